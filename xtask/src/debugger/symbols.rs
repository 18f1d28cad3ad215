//! What a PDB says of types, constants and statics.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use pdb2::{
    FallibleIterator, PDB, PrimitiveKind, SymbolData, TypeData, TypeFinder, TypeIndex, Variant,
};

/// What a field, a pointer's target or an array's element is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A struct, union or enum, by name.
    Named(String),
    /// A pointer to something.
    Pointer(Box<Shape>),
    /// An array of that many bytes in all.
    Array(Box<Shape>, u64),
    /// A number of that many bytes, or `void` of none.
    Number(u64),
    /// Anything else: a function.
    Other,
}

/// A struct, union or enum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Type {
    /// Bytes.
    pub size: u64,
    /// Fields with their offset in bytes.
    pub fields: BTreeMap<String, (u64, Shape)>,
    /// Names of static members. Their values are in [`Symbols::constants`].
    pub statics: Vec<String>,
    /// The names of an enum's values, and the values.
    pub enumerators: Vec<(String, u64)>,
}

/// Everything that is looked up by name.
#[derive(Debug, Default)]
pub struct Symbols {
    /// Types by name.
    pub types: HashMap<String, Type>,
    /// Constants by qualified name.
    pub constants: HashMap<String, u64>,
    /// Statics by qualified name, with their type.
    pub statics: HashMap<String, Shape>,
}

impl Symbols {
    /// Reads a PDB.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not a PDB.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Self::from_pdb(PDB::open(file).context("not a PDB")?)
            .with_context(|| format!("cannot read {}", path.display()))
    }

    fn from_pdb(mut pdb: PDB<'_, File>) -> Result<Self> {
        let information = pdb.type_information()?;
        let mut finder = information.finder();
        let mut indices = Vec::new();
        let mut types = information.iter();
        while let Some(item) = types.next()? {
            finder.update(&types);
            indices.push(item.index());
        }
        let mut symbols = Self::default();
        for index in indices {
            symbols.add(&finder, index)?;
        }
        let globals = pdb.global_symbols()?;
        let mut items = globals.iter();
        while let Some(item) = items.next()? {
            match item.parse() {
                Ok(SymbolData::Constant(constant)) => {
                    let name = constant.name.to_string().into_owned();
                    symbols.constants.insert(name, unsigned(constant.value));
                }
                Ok(SymbolData::Data(data)) => {
                    let shape = shape(&finder, data.type_index);
                    symbols
                        .statics
                        .insert(data.name.to_string().into_owned(), shape);
                }
                _ => {}
            }
        }
        Ok(symbols)
    }

    fn add(&mut self, finder: &TypeFinder<'_>, index: TypeIndex) -> Result<()> {
        let Ok(data) = finder.find(index)?.parse() else {
            // A record that this reader does not know is no type of Rust's.
            return Ok(());
        };
        let (name, size, fields, forward) = match &data {
            TypeData::Class(class) => (
                class.name,
                class.size,
                class.fields,
                class.properties.forward_reference(),
            ),
            TypeData::Union(union) => (
                union.name,
                union.size,
                Some(union.fields),
                union.properties.forward_reference(),
            ),
            TypeData::Enumeration(of) => {
                let size = bytes(&shape(finder, of.underlying_type));
                (
                    of.name,
                    size,
                    Some(of.fields),
                    of.properties.forward_reference(),
                )
            }
            _ => return Ok(()),
        };
        if forward {
            return Ok(());
        }
        let mut found = Type {
            size,
            ..Type::default()
        };
        let mut next = fields;
        while let Some(index) = next {
            let TypeData::FieldList(list) = finder.find(index)?.parse()? else {
                break;
            };
            for field in &list.fields {
                match field {
                    TypeData::Member(member) => {
                        let place = (member.offset, shape(finder, member.field_type));
                        found
                            .fields
                            .insert(member.name.to_string().into_owned(), place);
                    }
                    TypeData::StaticMember(member) => {
                        found.statics.push(member.name.to_string().into_owned());
                    }
                    TypeData::Enumerate(value) => {
                        let name = value.name.to_string().into_owned();
                        found.enumerators.push((name, unsigned(value.value)));
                    }
                    _ => {}
                }
            }
            next = list.continuation;
        }
        self.types.insert(name.to_string().into_owned(), found);
        Ok(())
    }
}

fn bytes(shape: &Shape) -> u64 {
    match shape {
        Shape::Pointer(_) => 8,
        Shape::Array(_, size) | Shape::Number(size) => *size,
        Shape::Named(_) | Shape::Other => 0,
    }
}

fn unsigned(value: Variant) -> u64 {
    match value {
        Variant::U8(value) => value.into(),
        Variant::U16(value) => value.into(),
        Variant::U32(value) => value.into(),
        Variant::U64(value) => value,
        Variant::I8(value) => i64::from(value).cast_unsigned(),
        Variant::I16(value) => i64::from(value).cast_unsigned(),
        Variant::I32(value) => i64::from(value).cast_unsigned(),
        Variant::I64(value) => value.cast_unsigned(),
    }
}

fn shape(finder: &TypeFinder<'_>, index: TypeIndex) -> Shape {
    let Ok(Ok(data)) = finder.find(index).map(|item| item.parse()) else {
        return Shape::Other;
    };
    match data {
        TypeData::Class(class) => Shape::Named(class.name.to_string().into_owned()),
        TypeData::Union(union) => Shape::Named(union.name.to_string().into_owned()),
        TypeData::Enumeration(of) => Shape::Named(of.name.to_string().into_owned()),
        TypeData::Modifier(modifier) => shape(finder, modifier.underlying_type),
        TypeData::Pointer(pointer) => {
            Shape::Pointer(Box::new(shape(finder, pointer.underlying_type)))
        }
        TypeData::Array(array) => {
            let size = array.dimensions.first().copied().unwrap_or(0);
            Shape::Array(Box::new(shape(finder, array.element_type)), size.into())
        }
        TypeData::Primitive(primitive) if primitive.indirection.is_some() => {
            Shape::Pointer(Box::new(Shape::Number(number(primitive.kind))))
        }
        TypeData::Primitive(primitive) => Shape::Number(number(primitive.kind)),
        _ => Shape::Other,
    }
}

fn number(kind: PrimitiveKind) -> u64 {
    match kind {
        PrimitiveKind::Char
        | PrimitiveKind::UChar
        | PrimitiveKind::RChar
        | PrimitiveKind::I8
        | PrimitiveKind::U8
        | PrimitiveKind::Bool8 => 1,
        PrimitiveKind::Short
        | PrimitiveKind::UShort
        | PrimitiveKind::I16
        | PrimitiveKind::U16
        | PrimitiveKind::WChar => 2,
        PrimitiveKind::Long
        | PrimitiveKind::ULong
        | PrimitiveKind::I32
        | PrimitiveKind::U32
        | PrimitiveKind::RChar32 => 4,
        PrimitiveKind::Quad | PrimitiveKind::UQuad | PrimitiveKind::I64 | PrimitiveKind::U64 => 8,
        _ => 0,
    }
}
