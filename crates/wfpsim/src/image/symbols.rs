//! Addresses of an image told by its PDB: function, file and line, inlined functions too.

use std::path::Path;

use pdb_addr2line::ContextPdbData;

use crate::contain::contained;

/// Tells offsets of an image, innermost function first; what the PDB does not know is told as an offset.
pub(crate) fn tell(pdb: Option<&Path>, name: &str, offsets: &[usize]) -> Vec<String> {
    let pdb = pdb.and_then(|pdb| std::fs::read(pdb).ok());
    let told = pdb.and_then(|pdb| tell_by(&pdb, name, offsets));
    told.unwrap_or_else(|| {
        offsets
            .iter()
            .map(|offset| format!("{name}+{offset:#x}"))
            .collect()
    })
}

/// Tells offsets by the bytes of a PDB; `None` if it is none that can be read.
pub fn tell_by(pdb: &[u8], name: &str, offsets: &[usize]) -> Option<Vec<String>> {
    contained(|| tell_or_panic(pdb, name, offsets))
}

fn tell_or_panic(pdb: &[u8], name: &str, offsets: &[usize]) -> Option<Vec<String>> {
    let data = ContextPdbData::try_from_pdb(super::pdb::open(pdb)?).ok()?;
    let context = data.make_context().ok()?;
    let mut told = Vec::new();
    for &offset in offsets {
        // A return address lies behind the call; the call is what people look for.
        let found = u32::try_from(offset)
            .ok()
            .and_then(|offset| context.find_frames(offset.saturating_sub(1)).ok().flatten());
        let Some(found) = found else {
            told.push(format!("{name}+{offset:#x}"));
            continue;
        };
        for frame in found.frames {
            let function = frame.function.unwrap_or_else(|| format!("+{offset:#x}"));
            let place = match (frame.file, frame.line) {
                (Some(file), Some(line)) => format!("  [{} @ {line}]", short(&file)),
                _ => String::new(),
            };
            told.push(format!("{name}!{function}{place}"));
        }
    }
    Some(told)
}

/// The last components of a path: enough to find the file, and nothing of the machine it was built on.
fn short(file: &str) -> String {
    let parts: Vec<&str> = file.rsplit(['/', '\\']).take(4).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}
