//! `cargo xtask manifests`: image/Cargo.toml and inf/Cargo.toml are the root package again, and must depend on what that depends on.
//!
//! They differ in how they say it: the root inherits from the workspace, and counts paths from its own directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

/// The dependencies of a driver for Windows by their names in the manifest, each spelled out in one way.
type Dependencies = BTreeMap<String, String>;

/// The manifests that build the image: without a WDK, and with one.
const IMAGES: [&str; 2] = ["image/Cargo.toml", "inf/Cargo.toml"];

/// Compares the manifests of this repository.
///
/// # Errors
///
/// If one cannot be read, or they differ.
pub fn run(root: &Path) -> Result<()> {
    let read = |path: &Path| -> Result<Table> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        text.parse()
            .with_context(|| format!("{} is not TOML", path.display()))
    };
    let main = read(&root.join("Cargo.toml"))?;
    let mut differences = Vec::new();
    for name in IMAGES {
        let image = read(&root.join(name))?;
        let found = compare(&main, &image).with_context(|| name.to_owned())?;
        differences.extend(found.into_iter().map(|found| format!("{name}: {found}")));
        // The tools read it where the package is; without a WDK there are no tools.
        let metadata = image.get("package").and_then(|p| p.get("metadata"));
        if metadata.is_some() && metadata != main.get("package").and_then(|p| p.get("metadata")) {
            differences.push(format!("{name}: [package.metadata] is another"));
        }
    }
    if differences.is_empty() {
        say!(
            "{} have the version and the dependencies of the root package on Windows",
            IMAGES.join(" and ")
        );
        return Ok(());
    }
    for difference in &differences {
        complain!("{difference}");
    }
    bail!("{} differences from the root package", differences.len());
}

/// What differs, one line for each dependency.
fn compare(main: &Table, image: &Table) -> Result<Vec<String>> {
    let inherited = main
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(Value::as_table);
    let expected = dependencies(main, inherited, "")?;
    let found = dependencies(image, None, "../")?;
    let mut differences = Vec::new();
    for (name, specification) in &expected {
        match found.get(name) {
            None => differences.push(format!("lacks {name} ({specification})")),
            Some(other) if other != specification => {
                differences.push(format!(
                    "{name} is {specification} for the root package and {other} for the image"
                ));
            }
            Some(_) => {}
        }
    }
    for name in found.keys().filter(|name| !expected.contains_key(*name)) {
        differences.push(format!(
            "has {name}, which the root package does not depend on"
        ));
    }
    for field in ["version", "edition", "rust-version", "license"] {
        let of = |manifest: &Table, path: [&str; 2]| {
            let [first, second] = path;
            let table = manifest.get(first)?;
            let table = if second.is_empty() {
                table
            } else {
                table.get(second)?
            };
            table.get(field).cloned()
        };
        if of(image, ["package", ""]) != of(main, ["workspace", "package"]) {
            differences.push(format!("the {field} is another"));
        }
    }
    Ok(differences)
}

/// The dependencies that a manifest has on Windows. `up` leads from its directory to the repository's.
fn dependencies(manifest: &Table, inherited: Option<&Table>, up: &str) -> Result<Dependencies> {
    let mut all = Dependencies::new();
    let mut add = |table: Option<&Value>| -> Result<()> {
        for (name, value) in table.and_then(Value::as_table).into_iter().flatten() {
            let specification = specification(name, value, inherited, up)?;
            all.insert(name.clone(), specification);
        }
        Ok(())
    };
    add(manifest.get("dependencies"))?;
    for (condition, tables) in manifest
        .get("target")
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
    {
        match condition.as_str() {
            "cfg(windows)" => add(tables.get("dependencies"))?,
            "cfg(not(windows))" => {}
            other => bail!("a target condition that this check does not know: {other}"),
        }
    }
    Ok(all)
}

/// A dependency with what it inherits, paths from the repository's directory, defaults written out.
fn specification(name: &str, value: &Value, inherited: Option<&Table>, up: &str) -> Result<String> {
    let mut table = as_table(value);
    if table.remove("workspace").is_some() {
        let base = inherited.and_then(|inherited| inherited.get(name));
        let mut base =
            as_table(base.with_context(|| format!("the workspace has no dependency {name}"))?);
        let mut features = feature_list(&base);
        features.extend(feature_list(&table));
        base.extend(table);
        base.insert("features".into(), Value::Array(features));
        table = base;
    }
    let mut features: Vec<String> = feature_list(&table)
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    features.sort();
    features.dedup();
    let default_features = table
        .get("default-features")
        .and_then(Value::as_bool)
        .unwrap_or(true);
    let source = match (
        table.get("path").and_then(Value::as_str),
        table.get("version").and_then(Value::as_str),
    ) {
        (Some(path), _) => {
            format!(
                "path {}",
                path.strip_prefix(up)
                    .with_context(|| format!("{name}: {path} is not below {up}"))?
            )
        }
        (None, Some(version)) => format!("version {version}"),
        (None, None) => bail!("{name} has neither a version nor a path"),
    };
    let package = table.get("package").and_then(Value::as_str).unwrap_or(name);
    Ok(format!(
        "{package} {source}, features {features:?}, default {default_features}"
    ))
}

/// `"1.0"` is `{ version = "1.0" }`.
fn as_table(value: &Value) -> Table {
    match value {
        Value::Table(table) => table.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    }
}

fn feature_list(table: &Table) -> Vec<Value> {
    table
        .get("features")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = r#"
        [workspace.package]
        version = "0.1.0"
        edition = "2024"
        [workspace.dependencies]
        wfp = { path = "crates/wfp" }
        windows-sys = { version = "0.61.2", default-features = false, features = ["Wdk"] }
        [dependencies]
        wfp = { workspace = true }
        windows-sys = { workspace = true, features = ["Win32"] }
        [target.'cfg(windows)'.dependencies]
        wdk = "0.5.0"
        [target.'cfg(not(windows))'.dependencies]
        only-on-linux = "1"
    "#;
    const IMAGE: &str = r#"
        [package]
        version = "0.1.0"
        edition = "2024"
        [dependencies]
        wfp = { path = "../crates/wfp" }
        windows-sys = { version = "0.61.2", default-features = false, features = ["Win32", "Wdk"] }
        [target.'cfg(windows)'.dependencies]
        wdk = "0.5.0"
    "#;

    fn differences(main: &str, image: &str) -> Vec<String> {
        compare(&main.parse().unwrap(), &image.parse().unwrap()).unwrap()
    }

    #[test]
    fn the_image_has_the_dependencies_of_the_root_package() {
        run(crate::root()).unwrap();
    }

    #[test]
    fn the_same_list_said_in_two_ways_is_the_same() {
        assert_eq!(differences(MAIN, IMAGE), Vec::<String>::new());
    }

    #[test]
    fn a_dependency_that_was_forgotten_is_named() {
        let found = differences(MAIN, &IMAGE.replace("wdk = \"0.5.0\"", ""));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("lacks wdk"), "{found:?}");
    }

    #[test]
    fn another_version_and_another_feature_are_differences() {
        assert!(differences(MAIN, &IMAGE.replace("0.5.0", "0.4.0"))[0].contains("version 0.4.0"));
        assert!(differences(MAIN, &IMAGE.replace(", \"Wdk\"", ""))[0].contains("windows-sys"));
    }

    #[test]
    fn another_version_of_the_package_is_a_difference() {
        let found = differences(MAIN, &IMAGE.replace("\"0.1.0\"", "\"0.2.0\""));
        assert_eq!(found, ["the version is another"]);
    }

    #[test]
    fn a_dependency_of_the_image_alone_is_a_difference() {
        let found = differences(MAIN, &format!("{IMAGE}\nextra = \"1\""));
        assert!(found[0].contains("has extra"), "{found:?}");
    }
}
