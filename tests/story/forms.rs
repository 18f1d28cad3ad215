//! Tollgate's two forms: linked into this process, and the image that `cargo xtask image` builds. Whatever a whole-driver test
//! does, it does with both, and they must not differ in anything that is told.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::SystemTime;

use wfpsim::driver::Driver;
use wfpsim::replay::Summary;
use wfpsim::verifier::Violation;

/// What the image is built from.
const SOURCES: [&str; 9] = [
    "src",
    "image",
    "inf/version_resource.rs",
    "crates/nt",
    "crates/wfp",
    "crates/wfp-sys",
    "crates/wdk-sys-portable",
    "crates/wdk-build-portable",
    "crates/tollgate-abi",
];

/// The image, or nothing if this machine has none that is up to date; then the reason is told once, and where `CI` is set it is a
/// failure.
pub fn image() -> Option<&'static Driver> {
    static IMAGE: OnceLock<Option<Driver>> = OnceLock::new();
    IMAGE.get_or_init(|| Some(open(path()?))).as_ref()
}

/// The same: where it is.
pub fn path() -> Option<&'static Path> {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PATH.get_or_init(|| {
        let found = find();
        if let Err(reason) = &found {
            // Not println!, which nobody sees of a test that passes.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: what the image would do: {reason}"
            );
        }
        found
    });
    let on_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
    match found {
        Ok(path) => Some(path),
        Err(reason) if on_ci && cfg!(target_arch = "x86_64") => {
            panic!("CI runs every story as the image too: {reason}")
        }
        Err(_) => None,
    }
}

/// The repository, from whichever of its packages this is part of.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .ancestors()
        .find(|directory| directory.join("image/Cargo.toml").is_file())
        .unwrap_or(package)
}

#[cfg(not(target_arch = "x86_64"))]
fn open(path: &Path) -> Driver {
    unreachable!("{} cannot run here", path.display())
}

#[cfg(target_arch = "x86_64")]
fn open(path: &Path) -> Driver {
    match wfpsim::image::Image::open(path) {
        Ok(image) => image.into(),
        Err(error) => panic!("{error}"),
    }
}

/// Where the image is, or why there is none to run.
fn find() -> Result<PathBuf, String> {
    if !cfg!(target_arch = "x86_64") {
        return Err("images run on x86-64 only".to_owned());
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let path = target.join("image/x86_64/tollgate.sys");
    let built = modified(&path).ok_or_else(|| {
        format!(
            "{} is not there; `cargo xtask image` builds it",
            path.display()
        )
    })?;
    // An older image is another driver, and that the two differ would tell nothing.
    let sources = SOURCES
        .iter()
        .filter_map(|source| newest_in(&root().join(source)));
    match sources.max() {
        Some((time, source)) if time > built => Err(format!(
            "{} is older than {}; `cargo xtask image` builds it",
            path.display(),
            source.display()
        )),
        _ => Ok(path),
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}

/// The file that was changed last, under a directory or itself.
fn newest_in(path: &Path) -> Option<(SystemTime, PathBuf)> {
    if path.is_file() {
        return Some((modified(path)?, path.to_owned()));
    }
    let entries = path.read_dir().ok()?.flatten();
    entries.filter_map(|entry| newest_in(&entry.path())).max()
}

/// What of a violation is the same for both forms: all but addresses and the names of functions.
pub fn essence(violation: &Violation) -> String {
    let Violation {
        code,
        rule,
        thread,
        irql,
        processor,
        time,
        ..
    } = violation;
    let history: Vec<_> = violation.history.iter().map(|event| &event.what).collect();
    format!(
        "{code:#x} {rule} thread {thread} IRQL {irql} processor {processor:?} at {time}: {history:?}"
    )
}

/// Compares what is told of a replay through both forms.
#[track_caller]
pub fn assert_same(linked: &Summary, image: &Summary) {
    let told = |summary: &Summary| {
        let violations: Vec<_> = summary.violations.iter().map(essence).collect();
        let Summary {
            delivered,
            sent,
            blocked,
            dropped,
            lost,
            driver,
            leaks,
            stack,
            stopped_at,
            input_error,
            ..
        } = summary;
        format!(
            "{:#?}",
            (
                (delivered, sent, blocked, dropped, lost),
                (driver, stack, leaks, violations),
                (stopped_at, input_error)
            )
        )
    };
    assert!(
        told(linked) == told(image),
        "{}, seed {}: the linked driver and the image differ\nlinked:\n{linked}\nimage:\n{image}",
        linked.capture,
        linked.seed
    );
}
