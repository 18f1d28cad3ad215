//! Every name in windbg/tollgate.natvis, held against a PDB.
//!
//! Expressions there are kept to what this can follow: paths of fields with `.`, `->` and `[n]`, numbers, operators, casts to a pointer to
//! a named type, and `this`.

use anyhow::{Context, Result};
use roxmltree::{Document, Node};

use super::symbols::{Shape, Symbols};

/// Each name that the PDB does not have.
///
/// # Errors
///
/// If the text is not XML.
pub fn problems(text: &str, symbols: &Symbols) -> Result<Vec<String>> {
    let document = Document::parse(text).context("the natvis file is not XML")?;
    let mut problems = Vec::new();
    for shown in document.root_element().children().filter(is("Type")) {
        let alternatives = shown.children().filter(is("AlternativeType"));
        for name in std::iter::once(shown)
            .chain(alternatives)
            .filter_map(|node| node.attribute("Name"))
        {
            let matching: Vec<_> = symbols
                .types
                .keys()
                .filter(|of| matches(name, of))
                .collect();
            if matching.is_empty() {
                problems.push(format!("natvis: there is no type {name}"));
            }
            for of in matching {
                let this = Shape::Named(of.clone());
                visit(shown, &this, symbols, &mut problems);
            }
        }
    }
    problems.sort_unstable();
    problems.dedup();
    Ok(problems)
}

fn is(name: &'static str) -> impl Fn(&Node<'_, '_>) -> bool {
    move |node| {
        node.has_tag_name((
            "http://schemas.microsoft.com/vstudio/debugger/natvis/2010",
            name,
        ))
    }
}

/// Whether a type's name is the one of a visualizer, in which `*` stands for any arguments.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            name.len() >= before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
                // Of a struct's own nested types only those that were asked for.
                && !name[before.len()..].contains(">::")
        }
    }
}

fn visit(node: Node<'_, '_>, this: &Shape, symbols: &Symbols, problems: &mut Vec<String>) {
    let mut check = |expression: &str, this: &Shape| {
        if let Err(problem) = resolve(expression, this, symbols) {
            problems.push(format!("natvis: {problem} in `{expression}`"));
        }
    };
    if let Some(condition) = node.attribute("Condition") {
        check(condition, this);
    }
    let text = node.text().unwrap_or_default();
    match node.tag_name().name() {
        "DisplayString" => braced(text)
            .into_iter()
            .for_each(|expression| check(expression, this)),
        "Item" | "ExpandedItem" | "Size" | "ValuePointer" => check(without_format(text), this),
        "LinkedListItems" => {
            let of =
                |name: &'static str| node.children().find(is(name)).and_then(|node| node.text());
            let head = of("HeadPointer").unwrap_or_default();
            check(head, this);
            // The other two are said of what the first points to.
            match resolve(head, this, symbols) {
                Ok(Some(Shape::Pointer(element))) => {
                    check(of("NextPointer").unwrap_or_default(), &element);
                    check(of("ValueNode").unwrap_or_default(), &element);
                }
                Ok(_) => problems.push(format!("natvis: `{head}` is not a pointer")),
                Err(_) => {}
            }
            return;
        }
        _ => {}
    }
    for child in node.children().filter(Node::is_element) {
        visit(child, this, symbols, problems);
    }
}

/// The expressions in a text's braces, without their formats.
fn braced(text: &str) -> Vec<&str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(inside, _)| without_format(inside))
        .collect()
}

fn without_format(expression: &str) -> &str {
    expression
        .rsplit_once(',')
        .map_or(expression, |(before, _)| before)
        .trim()
}

/// Follows every path of an expression, and gives the last one's shape.
fn resolve(
    expression: &str,
    this: &Shape,
    symbols: &Symbols,
) -> std::result::Result<Option<Shape>, String> {
    let mut rest = expression.trim();
    let mut last = None;
    while let Some(first) = rest.chars().next() {
        if let Some((of, after)) = cast(rest) {
            if !symbols.types.contains_key(of) {
                return Err(format!("there is no type {of}"));
            }
            rest = after;
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        } else if first.is_ascii_alphabetic() || first == '_' {
            let (shape, after) = path(rest, this, symbols)?;
            last = Some(shape);
            rest = after;
        } else if first.is_ascii_whitespace() || "()=!&|<>*+-".contains(first) {
            rest = &rest[first.len_utf8()..];
        } else {
            return Err(format!("`{first}` cannot be followed"));
        }
    }
    Ok(last)
}

/// A cast to a pointer at the start: its type, and what comes after.
fn cast(text: &str) -> Option<(&str, &str)> {
    let (of, after) = text.strip_prefix('(')?.split_once("*)")?;
    (!of.contains(['(', ' ']) || of.contains('<')).then_some((of, after))
}

fn path<'text>(
    text: &'text str,
    this: &Shape,
    symbols: &Symbols,
) -> std::result::Result<(Shape, &'text str), String> {
    let mut at = this.clone();
    let mut rest = text;
    loop {
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name != "this" {
            at = field(&at, name, symbols)?;
        }
        rest = after;
        while let Some((_, after)) = rest
            .strip_prefix('[')
            .and_then(|index| index.split_once(']'))
        {
            let Shape::Array(element, _) = at else {
                return Err(format!("{name} is not an array"));
            };
            at = *element;
            rest = after;
        }
        rest = if let Some(after) = rest.strip_prefix("->") {
            let Shape::Pointer(target) = at else {
                return Err(format!("{name} is not a pointer"));
            };
            at = *target;
            after
        } else if let Some(after) = rest.strip_prefix('.') {
            after
        } else {
            return Ok((at, rest));
        };
    }
}

fn field(of: &Shape, name: &str, symbols: &Symbols) -> std::result::Result<Shape, String> {
    let Shape::Named(of) = of else {
        return Err(format!("{name} is asked of something that has no fields"));
    };
    let found = symbols
        .types
        .get(of)
        .ok_or_else(|| format!("there is no type {of}"))?;
    match found.fields.get(name) {
        Some((_, shape)) => Ok(shape.clone()),
        None if found.statics.iter().any(|member| member == name) => Ok(Shape::Number(8)),
        None => Err(format!("{of} has no field {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::symbols::Type;
    use super::*;

    fn symbols() -> Symbols {
        let mut symbols = Symbols::default();
        let mut add = |name: &str, fields: Vec<(&str, Shape)>| {
            let fields = fields
                .into_iter()
                .map(|(name, shape)| (name.to_owned(), (0, shape)))
                .collect();
            let statics = vec!["DISCR_EXACT".to_owned()];
            symbols.types.insert(
                name.to_owned(),
                Type {
                    fields,
                    statics,
                    ..Type::default()
                },
            );
        };
        let node = Shape::Pointer(Box::new(Shape::Named("a::Node<u8>".into())));
        add("a::List<u8>", vec![("head", node.clone())]);
        add(
            "a::Node<u8>",
            vec![
                ("next", node),
                ("words", Shape::Array(Box::new(Shape::Number(8)), 16)),
            ],
        );
        symbols
    }

    fn found(inside: &str) -> Vec<String> {
        let text = format!(
            r#"<AutoVisualizer xmlns="http://schemas.microsoft.com/vstudio/debugger/natvis/2010">{inside}</AutoVisualizer>"#
        );
        problems(&text, &symbols()).unwrap()
    }

    #[test]
    fn names_that_are_there_are_no_problem() {
        let none: [&str; 0] = [];
        assert_eq!(
            found(
                r#"<Type Name="a::List&lt;*&gt;">
                    <DisplayString Condition="head->words[1] == 0">{head->next,x} and {(a::Node<u8>*)head}</DisplayString>
                    <Expand><LinkedListItems><HeadPointer>head</HeadPointer><NextPointer>next</NextPointer>
                    <ValueNode>words</ValueNode></LinkedListItems></Expand></Type>"#
                    .replace("(a::Node<u8>*)", "(a::Node&lt;u8&gt;*)")
                    .as_str()
            ),
            none
        );
    }

    #[test]
    fn a_wrong_type_field_condition_or_item_is_named() {
        assert_eq!(
            found(r#"<Type Name="a::Gone"/>"#),
            ["natvis: there is no type a::Gone"]
        );
        for (inside, problem) in [
            ("<DisplayString>{tail}</DisplayString>", "no field tail"),
            (
                r#"<DisplayString Condition="head->prior != 0">x</DisplayString>"#,
                "no field prior",
            ),
            (
                "<Expand><Item Name=\"[x]\">head->words.length</Item></Expand>",
                "has no fields",
            ),
            (
                "<Expand><Item Name=\"[x]\">(b::Gone*)head</Item></Expand>",
                "no type b::Gone",
            ),
            (
                "<Expand><LinkedListItems><HeadPointer>head</HeadPointer><NextPointer>prior</NextPointer><ValueNode>this</ValueNode></LinkedListItems></Expand>",
                "no field prior",
            ),
        ] {
            let problems = found(&format!(
                r#"<Type Name="a::List&lt;u8&gt;">{inside}</Type>"#
            ));
            assert_eq!(problems.len(), 1, "{inside}: {problems:?}");
            assert!(problems[0].contains(problem), "{problems:?}");
        }
    }
}
