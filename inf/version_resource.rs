//! The version resource of the image, as the `.res` file that a linker takes: what Windows shows under Properties, and the debugger under
//! `lmvm tollgate`.
//!
//! A resource compiler would be one more thing to have. The two formats are short and documented ("Resource File Formats" and
//! "VS_VERSIONINFO" in the Windows SDK's documentation), so they are written here. The build scripts of `image/` and `inf/` include this file.

/// The four parts of a version, as Windows counts them.
pub type Version = [u16; 4];

/// What is said of a driver: each string's name and value, in the order of the resource.
pub fn strings(version: &str) -> [(&'static str, &str); 8] {
    [
        ("CompanyName", "Tollgate project"),
        ("FileDescription", "Tollgate WFP callout driver"),
        ("FileVersion", version),
        ("InternalName", "tollgate.sys"),
        ("LegalCopyright", "MIT OR Apache-2.0"),
        ("OriginalFilename", "tollgate.sys"),
        ("ProductName", "Tollgate"),
        ("ProductVersion", version),
    ]
}

/// `1.2.3` and `1.2.3-beta.4` are version 1.2.3.0. `None` if it is not three numbers of 16 bits.
pub fn parse(package_version: &str) -> Option<Version> {
    let numbers = package_version.split(['-', '+']).next()?;
    let mut parts = numbers.split('.').map(|part| part.parse().ok());
    let version = [parts.next()??, parts.next()??, parts.next()??, 0];
    parts.next().is_none().then_some(version)
}

/// `1.2.3.0`.
pub fn text(version: Version) -> String {
    version.map(|part| part.to_string()).join(".")
}

/// The `.res` file.
pub fn resource_file(version: Version) -> Vec<u8> {
    // What tells this format from the one of 16-bit Windows: a resource of nothing.
    let mut file = entry([0, 0], 0, 0, &[]);
    /// RT_VERSION.
    const VERSION: u16 = 16;
    /// MOVEABLE | PURE, which says nothing any more and which compilers write.
    const FLAGS: u16 = 0x30;
    /// US English.
    const LANGUAGE: u16 = 0x409;
    file.extend(entry([VERSION, 1], FLAGS, LANGUAGE, &version_info(version)));
    file
}

/// One resource of a `.res` file. `identity` is its type and its name, both numbers.
fn entry(identity: [u16; 2], flags: u16, language: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(32u32.to_le_bytes()); // this header
    for number in identity {
        bytes.extend(0xFFFFu16.to_le_bytes()); // a number follows, not a string
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(0u32.to_le_bytes()); // version of the data
    bytes.extend(flags.to_le_bytes());
    bytes.extend(language.to_le_bytes());
    bytes.extend([0; 8]); // version and characteristics
    bytes.extend(data);
    pad(&mut bytes);
    bytes
}

/// VS_VERSIONINFO with everything in it.
fn version_info(version: Version) -> Vec<u8> {
    let text = text(version);
    let values: Vec<Vec<u8>> = strings(&text)
        .iter()
        .map(|(name, value)| {
            let value: Vec<u16> = value.encode_utf16().chain([0]).collect();
            let bytes: Vec<u8> = value.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            // The length of text counts characters.
            node(name, true, value.len(), &bytes, &[])
        })
        .collect();
    // US English in UTF-16.
    let table = node("040904B0", true, 0, &[], &values);
    let translation = [0x09, 0x04, 0xB0, 0x04];
    let translation = node("Translation", false, translation.len(), &translation, &[]);
    let fixed = fixed_file_info(version);
    node(
        "VS_VERSION_INFO",
        false,
        fixed.len(),
        &fixed,
        &[
            node("StringFileInfo", true, 0, &[], &[table]),
            node("VarFileInfo", true, 0, &[], &[translation]),
        ],
    )
}

/// VS_FIXEDFILEINFO.
fn fixed_file_info([major, minor, build, revision]: Version) -> Vec<u8> {
    let high = u32::from(major) << 16 | u32::from(minor);
    let low = u32::from(build) << 16 | u32::from(revision);
    [
        0xFEEF_04BD, // signature
        0x0001_0000, // of this structure
        high,        // file version
        low,
        high, // product version
        low,
        0x3F,        // the flags that are valid
        0,           // none is set
        0x0004_0004, // VOS_NT_WINDOWS32
        3,           // VFT_DRV
        6,           // VFT2_DRV_NETWORK
        0,           // a date that nobody reads
        0,
    ]
    .iter()
    .flat_map(|word: &u32| word.to_le_bytes())
    .collect()
}

/// The shape that every part of VS_VERSIONINFO has: lengths, whether the value is text, a name, the value, what is inside.
fn node(name: &str, text: bool, length: usize, value: &[u8], inside: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; 2];
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(u16::from(text).to_le_bytes());
    bytes.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    pad(&mut bytes);
    bytes.extend(value);
    for part in inside {
        pad(&mut bytes);
        bytes.extend(part);
    }
    let whole = (bytes.len() as u16).to_le_bytes();
    bytes[..2].copy_from_slice(&whole);
    bytes
}

/// To the next multiple of four.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
