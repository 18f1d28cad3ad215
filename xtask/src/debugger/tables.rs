//! windbg/src/tables.json: what the script reads, held against a PDB, and the layout of it for the script's tests.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::symbols::{Shape, Symbols};

/// How many numbers of impl blocks the script tries for the slot; SLOT_NUMBERS in windbg/src/header.js.
const SLOT_NUMBERS: u32 = 32;

/// The slot's type.
const SLOT_TYPE: &str = "nt::slot::Slot<tollgate::entry::Tollgate>";

/// What the script names of tollgate.pdb.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tables {
    /// The slot's symbol, with `#` for the number of the impl block.
    pub slot: String,
    /// Structs with the fields that are read.
    pub types: BTreeMap<String, Vec<String>>,
    /// Enums with data: their variants with the fields that are read.
    pub unions: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Enums without data, in the order of their values from zero.
    pub enums: BTreeMap<String, Vec<String>>,
}

impl Tables {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// If the text is not such tables.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("windbg/src/tables.json is not as it should be")
    }

    /// Each name that the PDB does not have.
    #[must_use]
    pub fn problems(&self, symbols: &Symbols) -> Vec<String> {
        let mut problems = Vec::new();
        if self.slot(symbols).is_none() {
            problems.push(format!("there is no static {} of {SLOT_TYPE}", self.slot));
        }
        for (name, fields) in &self.types {
            let Some(found) = symbols.types.get(name) else {
                problems.push(format!("there is no type {name}"));
                continue;
            };
            for field in fields {
                if !found.fields.contains_key(field) {
                    problems.push(format!("{name} has no field {field}"));
                }
            }
        }
        for (name, variants) in &self.unions {
            problems.extend(union_problems(symbols, name, variants));
        }
        for (name, values) in &self.enums {
            let expected: Vec<_> = values.iter().cloned().zip(0_u64..).collect();
            match symbols.types.get(name) {
                None => problems.push(format!("there is no enum {name}")),
                Some(found) if found.enumerators != expected => problems.push(format!(
                    "{name} has the values {:?}, not {expected:?}",
                    found.enumerators
                )),
                Some(_) => {}
            }
        }
        problems
    }

    /// The slot's symbol in this PDB.
    #[must_use]
    pub fn slot(&self, symbols: &Symbols) -> Option<String> {
        (0..SLOT_NUMBERS)
            .map(|number| self.slot.replace('#', &number.to_string()))
            .find(|name| symbols.statics.get(name) == Some(&Shape::Named(SLOT_TYPE.to_owned())))
    }

    /// Sizes, offsets and discriminants of everything named, for the model of a debugger that the script's tests run against:
    /// JSON, a line for each type.
    #[must_use]
    pub fn layout(&self, symbols: &Symbols) -> String {
        let mut types = Map::new();
        for (name, fields) in &self.types {
            types.insert(name.clone(), described(symbols, name, fields));
        }
        for (name, variants) in &self.unions {
            let mut fields = vec!["tag".to_owned()];
            for index in 0..variants.len() {
                fields.push(format!("variant{index}"));
                let of = format!("{name}::Variant{index}");
                types.insert(of.clone(), described(symbols, &of, &["value".to_owned()]));
            }
            types.insert(name.clone(), described(symbols, name, &fields));
            for (variant, fields) in variants {
                let of = format!("{name}::{variant}");
                types.insert(of.clone(), described(symbols, &of, fields));
            }
        }
        for name in self.enums.keys() {
            types.insert(name.clone(), described(symbols, name, &[]));
        }
        // What is only ever read whole: its size is enough.
        let mut whole = Map::new();
        for description in types.values() {
            for field in description["fields"]
                .as_object()
                .into_iter()
                .flat_map(Map::values)
            {
                add_whole(symbols, &field["type"], &types, &mut whole);
            }
        }
        types.append(&mut whole);
        let lines: Vec<_> = types
            .iter()
            .map(|(name, of)| format!("{}: {of}", json!(name)))
            .collect();
        format!(
            "{{\"slot\": {}, \"types\": {{\n{}\n}}}}\n",
            json!(self.slot(symbols)),
            lines.join(",\n")
        )
    }
}

fn union_problems(
    symbols: &Symbols,
    name: &str,
    variants: &BTreeMap<String, Vec<String>>,
) -> Vec<String> {
    let mut problems = Vec::new();
    let Some(union) = symbols.types.get(name) else {
        return vec![format!("there is no enum {name}")];
    };
    if !union.fields.contains_key("tag") {
        problems.push(format!("{name} has no tag"));
    }
    let mut found = Vec::new();
    for index in 0.. {
        let Some((_, shape)) = union.fields.get(&format!("variant{index}")) else {
            break;
        };
        let of = format!("{name}::Variant{index}");
        let value = symbols
            .types
            .get(&of)
            .and_then(|of| of.fields.get("value"))
            .map(|(_, value)| value);
        let (true, Some(Shape::Named(body))) = (*shape == Shape::Named(of.clone()), value) else {
            problems.push(format!("{of} is not a struct with a value"));
            continue;
        };
        let constant = |which: &str| symbols.constants.contains_key(&format!("{of}::{which}"));
        let range = constant("DISCR_BEGIN") && constant("DISCR_END");
        if !constant("DISCR_EXACT") && !range {
            problems.push(format!("{of} has no discriminant"));
        }
        found.push(body.rsplit("::").next().unwrap_or(body.as_str()).to_owned());
    }
    found.sort_unstable();
    if !found.iter().eq(variants.keys()) {
        problems.push(format!(
            "{name} has the variants {found:?}, not {:?}",
            variants.keys()
        ));
    }
    for (variant, fields) in variants {
        let body = symbols.types.get(&format!("{name}::{variant}"));
        for field in fields {
            if !body.is_some_and(|body| body.fields.contains_key(field)) {
                problems.push(format!("{name}::{variant} has no field {field}"));
            }
        }
    }
    problems
}

/// A type with these of its fields, and its constants.
fn described(symbols: &Symbols, name: &str, fields: &[String]) -> Value {
    let Some(found) = symbols.types.get(name) else {
        return Value::Null;
    };
    let fields: Map<_, _> = fields
        .iter()
        .filter_map(|field| {
            let (offset, shape) = found.fields.get(field)?;
            let value = json!({ "offset": offset, "type": spelled(shape) });
            Some((field.clone(), value))
        })
        .collect();
    // As text: JSON's numbers are not exact beyond 53 bits.
    let constants: Map<_, _> = found
        .statics
        .iter()
        .filter(|name| name.starts_with("DISCR_"))
        .filter_map(|of| {
            let value = symbols.constants.get(&format!("{name}::{of}"))?;
            Some((of.clone(), value.to_string().into()))
        })
        .collect();
    let kind = if found.enumerators.is_empty() {
        "udt"
    } else {
        "enum"
    };
    json!({ "kind": kind, "size": found.size, "fields": fields, "constants": constants })
}

fn spelled(shape: &Shape) -> Value {
    match shape {
        Shape::Named(name) => json!(name),
        Shape::Pointer(to) => json!({ "pointer": spelled(to) }),
        Shape::Array(of, size) => json!({ "array": spelled(of), "size": size }),
        Shape::Number(size) => json!({ "number": size }),
        Shape::Other => json!({ "number": 0 }),
    }
}

fn add_whole(
    symbols: &Symbols,
    spelled: &Value,
    known: &Map<String, Value>,
    whole: &mut Map<String, Value>,
) {
    match spelled {
        Value::String(name) if !known.contains_key(name) => {
            whole.insert(name.clone(), described(symbols, name, &[]));
        }
        Value::Object(of) => of
            .values()
            .for_each(|inner| add_whole(symbols, inner, known, whole)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::symbols::Type;
    use super::*;

    const OPTION: &str = "enum2$<core::option::Option<u8> >";

    fn tables() -> Tables {
        Tables::parse(
            r#"{
                "slot": "a::impl$#::SLOT",
                "types": { "a::B": ["c"] },
                "unions": { "enum2$<core::option::Option<u8> >": { "None": [], "Some": ["__0"] } },
                "enums": { "a::E": ["First", "Second"] }
            }"#,
        )
        .unwrap()
    }

    fn record(fields: &[(&str, u64, Shape)]) -> Type {
        Type {
            size: 8,
            fields: fields
                .iter()
                .map(|(name, offset, shape)| ((*name).to_owned(), (*offset, shape.clone())))
                .collect(),
            ..Type::default()
        }
    }

    fn symbols() -> Symbols {
        let named = |name: String| Shape::Named(name);
        let mut symbols = Symbols::default();
        let mut add = |name: &str, of: Type| {
            symbols.types.insert(name.to_owned(), of);
        };
        add("a::B", record(&[("c", 4, Shape::Number(4))]));
        let mut values = record(&[]);
        values.enumerators = vec![("First".into(), 0), ("Second".into(), 1)];
        add("a::E", values);
        let variants = [
            ("tag", 0, Shape::Number(1)),
            ("variant0", 0, named(format!("{OPTION}::Variant0"))),
            ("variant1", 0, named(format!("{OPTION}::Variant1"))),
        ];
        add(OPTION, record(&variants));
        for (index, name) in ["None", "Some"].into_iter().enumerate() {
            let value = ("value", 0, named(format!("{OPTION}::{name}")));
            add(&format!("{OPTION}::Variant{index}"), record(&[value]));
        }
        add(&format!("{OPTION}::None"), record(&[]));
        add(
            &format!("{OPTION}::Some"),
            record(&[("__0", 1, Shape::Number(1))]),
        );
        symbols.constants = (0..2)
            .map(|index| (format!("{OPTION}::Variant{index}::DISCR_EXACT"), index))
            .collect();
        symbols
            .statics
            .insert("a::impl$7::SLOT".into(), named(SLOT_TYPE.into()));
        symbols
    }

    #[test]
    fn names_that_are_there_are_no_problem() {
        assert_eq!(tables().problems(&symbols()), Vec::<String>::new());
        assert_eq!(
            tables().slot(&symbols()).as_deref(),
            Some("a::impl$7::SLOT")
        );
    }

    #[test]
    fn a_wrong_type_or_field_is_named() {
        let mut tables = tables();
        tables
            .types
            .insert("a::B".into(), vec!["c".into(), "d".into()]);
        tables.types.insert("a::Gone".into(), vec![]);
        assert_eq!(
            tables.problems(&symbols()),
            ["a::B has no field d", "there is no type a::Gone"]
        );
    }

    #[test]
    fn an_enum_that_changed_its_values_or_variants_is_named() {
        let mut tables = tables();
        tables
            .enums
            .insert("a::E".into(), vec!["Second".into(), "First".into()]);
        tables.unions.insert(
            OPTION.into(),
            [
                ("None".into(), vec![]),
                ("Other".into(), vec!["__0".into()]),
            ]
            .into(),
        );
        let problems = tables.problems(&symbols());
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems[0].contains(r#"has the variants ["None", "Some"]"#),
            "{problems:?}"
        );
        assert!(
            problems[1].contains("Other has no field __0"),
            "{problems:?}"
        );
        assert!(
            problems[2].starts_with("a::E has the values"),
            "{problems:?}"
        );
    }

    #[test]
    fn a_slot_of_another_type_or_name_is_no_slot() {
        let mut symbols = symbols();
        symbols
            .statics
            .insert("a::impl$7::SLOT".into(), Shape::Number(8));
        assert_eq!(tables().problems(&symbols).len(), 1);
    }

    #[test]
    fn a_variant_without_discriminants_is_named() {
        let mut symbols = symbols();
        symbols.constants.clear();
        assert_eq!(tables().problems(&symbols).len(), 2);
    }
}
