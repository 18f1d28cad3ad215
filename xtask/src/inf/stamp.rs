//! What Stampinf does to an INX file: `$ARCH$`, DriverVer. The framework's version has no place in ours.

use super::Inf;
use crate::image::Arch;

/// What is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The machine.
    pub arch: Arch,
    /// Year, month, day.
    pub date: (i64, u32, u32),
    /// `1.2.3.0`.
    pub version: String,
}

impl Arch {
    /// Its name in the decoration of a section.
    pub fn decoration(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

/// The INF file of an INX file. Lines end as Windows' editors end them.
///
/// # Errors
///
/// If the INX file has no DriverVer to fill in, more than one, or another variable.
pub fn stamp(inx: &str, stamp: &Stamp) -> Result<String, String> {
    let (year, month, day) = stamp.date;
    let driver_ver = format!(
        "DriverVer   = {month:02}/{day:02}/{year:04},{}",
        stamp.version
    );
    let mut stamped = 0;
    let lines: Vec<String> = inx
        .replace("$ARCH$", stamp.arch.decoration())
        .lines()
        .map(|line| {
            let is_driver_ver = line
                .split_once('=')
                .is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case("DriverVer"));
            if is_driver_ver {
                stamped += 1;
                driver_ver.clone()
            } else {
                line.to_owned()
            }
        })
        .collect();
    if stamped != 1 {
        return Err(format!("{stamped} lines say DriverVer, not one"));
    }
    let text = lines.join("\r\n") + "\r\n";
    // A comment may name a variable; an entry or a section must not.
    let inf = Inf::parse(&text).map_err(|problems| problems.join("; "))?;
    let left = inf
        .sections()
        .iter()
        .flat_map(|section| {
            section
                .entries
                .iter()
                .flat_map(|entry| entry.list())
                .chain([section.name.as_str()])
        })
        .find(|text| text.matches('$').count() > 1 && *text != "$Windows NT$");
    match left {
        Some(text) => Err(format!("{text} has a variable that is not filled in")),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm() -> Stamp {
        Stamp {
            arch: Arch::Aarch64,
            date: (2026, 3, 9),
            version: "1.2.3.0".into(),
        }
    }

    #[test]
    fn architecture_date_and_version_are_filled_in() {
        let inf = stamp(
            "; $ARCH$\n[Version]\nDriverVer =\n[DefaultInstall.NT$ARCH$]\nCopyFiles = A\n",
            &arm(),
        )
        .unwrap();
        assert_eq!(
            inf,
            "; arm64\r\n[Version]\r\nDriverVer   = 03/09/2026,1.2.3.0\r\n[DefaultInstall.NTarm64]\r\nCopyFiles = A\r\n"
        );
    }

    #[test]
    fn a_file_that_cannot_be_stamped_is_refused() {
        for (inx, expected) in [
            ("[Version]\n", "0 lines"),
            ("[Version]\nDriverVer=\nDriverVer=\n", "2 lines"),
            ("[Version]\nDriverVer=\nA = $KMDFVERSION$\n", "KMDFVERSION"),
        ] {
            let problem = stamp(inx, &arm()).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
