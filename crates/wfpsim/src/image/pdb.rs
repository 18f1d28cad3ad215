//! A PDB, opened once its counts were compared with what there is: its reader takes memory for as much as a count says, and a host
//! that does not have that much ends the process.

use std::io;

use pdb_addr2line::pdb;
use pdb_addr2line::pdb::FallibleIterator as _;
use pdb_addr2line::pdb::PDB;
use pdb_addr2line::pdb::Source;
use pdb_addr2line::pdb::SourceSlice;
use pdb_addr2line::pdb::SourceView;
use pdb_addr2line::pdb::StreamIndex;

/// The streams with types, and with functions and strings by number.
const TYPES: [StreamIndex; 2] = [StreamIndex(2), StreamIndex(4)];
/// Type records that begin with a count of 32 bits: LF_ARGLIST and LF_SUBSTR_LIST.
const COUNTED_TYPES: [u16; 2] = [0x1201, 0x1604];
/// Symbol records that do: S_CALLEES, S_CALLERS and S_INLINEES.
const COUNTED_SYMBOLS: [u16; 3] = [0x115A, 0x115B, 0x1168];

/// The bytes of a file, of which no more is read than there is.
#[derive(Debug)]
pub(super) struct Bytes<'a>(&'a [u8]);

/// Parts of them, one behind the other.
#[derive(Debug)]
struct Parts(Vec<u8>);

impl SourceView<'_> for Parts {
    fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Source<'a> for Bytes<'a> {
    fn view(
        &mut self,
        slices: &[SourceSlice],
    ) -> io::Result<Box<dyn SourceView<'a> + Send + Sync>> {
        let mut parts = Vec::new();
        for slice in slices {
            let part = usize::try_from(slice.offset).ok().and_then(|start| {
                let end = start.checked_add(slice.size)?;
                self.0.get(start..end)
            });
            parts.extend_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        }
        Ok(Box::new(Parts(parts)))
    }
}

/// Opens a PDB; `None` if it is none, or one whose counts cannot be right.
pub(super) fn open<'a>(bytes: &'a [u8]) -> Option<PDB<'a, Bytes<'a>>> {
    let mut pdb = PDB::open(Bytes(bytes)).ok()?;
    let sound = types_are_sound(&mut pdb) && symbols_are_sound(&mut pdb).ok()?;
    sound.then_some(pdb)
}

fn types_are_sound<'a>(pdb: &mut PDB<'a, Bytes<'a>>) -> bool {
    TYPES.into_iter().all(|index| {
        let stream = pdb.raw_stream(index);
        // Without the stream there is nothing that could be wrong.
        let Ok(Some(stream)) = stream else {
            return true;
        };
        stream.is_empty() || are_sound(&stream).unwrap_or(false)
    })
}

/// Whether a stream with types has as many as its header says, at least four bytes each, and each is as long as it says.
fn are_sound(stream: &[u8]) -> Option<bool> {
    let word = |at: usize| Some(u32::from_le_bytes(*stream.get(at..)?.first_chunk()?));
    let (header, first, end) = (word(4)?, word(8)?, word(12)?);
    let mut records = stream.get(usize::try_from(header).ok()?..)?;
    if usize::try_from(end.checked_sub(first)?).ok()? > records.len() / 4 {
        return Some(false);
    }
    while let Some((length, rest)) = records.split_first_chunk::<2>() {
        let (record, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        if !count_fits(record, &COUNTED_TYPES) {
            return Some(false);
        }
        records = rest;
    }
    Some(true)
}

/// Whether a record, which begins with its kind, has as many numbers as its count says, if its kind is one of these.
fn count_fits(record: &[u8], counted: &[u16]) -> bool {
    let Some((kind, rest)) = record.split_first_chunk::<2>() else {
        return true;
    };
    if !counted.contains(&u16::from_le_bytes(*kind)) {
        return true;
    }
    rest.split_first_chunk::<4>().is_some_and(|(count, rest)| {
        usize::try_from(u32::from_le_bytes(*count)).is_ok_and(|count| count <= rest.len() / 4)
    })
}

fn symbols_are_sound<'a>(pdb: &mut PDB<'a, Bytes<'a>>) -> pdb::Result<bool> {
    // A PDB for the public lacks some of this, and is sound without.
    if let Ok(globals) = pdb.global_symbols()
        && !all_fit(globals.iter())?
    {
        return Ok(false);
    }
    let Ok(information) = pdb.debug_information() else {
        return Ok(true);
    };
    let mut modules = information.modules()?;
    while let Some(module) = modules.next()? {
        if let Some(module) = pdb.module_info(&module)?
            && !all_fit(module.symbols()?)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn all_fit(mut symbols: pdb::SymbolIter<'_>) -> pdb::Result<bool> {
    while let Some(symbol) = symbols.next()? {
        if !count_fits(symbol.raw_bytes(), &COUNTED_SYMBOLS) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_fits_that_the_record_has_room_for() {
        let record = |count: u32| {
            let mut record = vec![0x01, 0x12];
            record.extend(count.to_le_bytes());
            record.extend([0; 8]);
            record
        };
        assert!(count_fits(&record(2), &COUNTED_TYPES));
        assert!(!count_fits(&record(3), &COUNTED_TYPES));
        assert!(!count_fits(&record(u32::MAX), &COUNTED_TYPES));
        assert!(
            count_fits(&record(u32::MAX), &COUNTED_SYMBOLS),
            "another kind"
        );
    }
}
