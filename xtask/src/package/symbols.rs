//! Whether a PDB is that of an image: the debugger compares the GUID and the age, and so does this.

use std::io::Cursor;

use anyhow::{Context, Result, anyhow};
use object::Object;
use object::read::pe::PeFile64;

/// What tells one build's symbols from another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// As it lies in the image.
    pub guid: [u8; 16],
    /// How often the PDB has been written since it got the GUID.
    pub age: u32,
}

/// The identity that an image asks for, and the name it asks by.
///
/// # Errors
///
/// If it asks for none.
pub fn wanted(image: &[u8]) -> Result<(Identity, String)> {
    let file = PeFile64::parse(image).context("not PE32+")?;
    let info = file
        .pdb_info()
        .context("the image's debug directory")?
        .ok_or_else(|| anyhow!("the image does not name its symbols"))?;
    let identity = Identity {
        guid: info.guid(),
        age: info.age(),
    };
    Ok((identity, String::from_utf8_lossy(info.path()).into_owned()))
}

/// The identity that a PDB has.
///
/// # Errors
///
/// If it is no PDB.
pub fn of(pdb: &[u8]) -> Result<Identity> {
    let mut pdb = pdb2::PDB::open(Cursor::new(pdb)).context("not a PDB")?;
    let information = pdb.pdb_information().context("the PDB's identity")?;
    // The age that counts is the one with the modules, which tools that change a PDB count up.
    let age = pdb
        .debug_information()
        .context("the PDB's modules")?
        .age()
        .unwrap_or(information.age);
    let guid = information.guid.to_bytes_le();
    Ok(Identity { guid, age })
}

/// Why a PDB is not that of an image, if it is not.
///
/// # Errors
///
/// As [`wanted`] and [`of`].
pub fn compare(image: &[u8], pdb: &[u8]) -> Result<Option<String>> {
    let (wanted, _) = wanted(image)?;
    let found = of(pdb)?;
    let show = |identity: Identity| {
        let guid: String = identity
            .guid
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        format!("{guid}, age {}", identity.age)
    };
    Ok((wanted != found).then(|| {
        format!(
            "the symbols are of another build: the image asks for {}, the PDB is {}",
            show(wanted),
            show(found)
        )
    }))
}
