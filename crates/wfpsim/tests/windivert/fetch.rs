//! Where the images come from: releases of the Python package pydivert, which brings the driver; each .sys by its SHA-256. Kept in the
//! target directory.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;

use sha2::Digest as _;
use wfpsim::image::Image;

/// One version of the driver.
#[derive(Clone, Copy)]
pub struct Version {
    /// The release of pydivert that brings it.
    wheel: &'static str,
    sha256: &'static str,
}

/// WinDivert 1.1.8 (2016).
pub const V1_1_8: Version = Version {
    wheel: "2.0.1",
    sha256: "df12afa691e529f01c75b3dd734f6b45bf1488dbf90ced218657f0d205bff319",
};
/// WinDivert 1.3 (2017).
pub const V1_3: Version = Version {
    wheel: "2.1.0",
    sha256: "9026147943bd44a1eb5e2f0c89cc8f441c7d1f13c1571aba54e262d2e7354798",
};
/// WinDivert 2.2.2 (2022).
pub const V2_2_2: Version = Version {
    wheel: "3.0.0",
    sha256: "8da085332782708d8767bcace5327a6ec7283c17cfb85e40b03cd2323a90ddc2",
};

/// One test fetches at a time.
static FETCHING: Mutex<()> = Mutex::new(());

/// The image of a version. Where it cannot be had the test says so and passes, except in CI, where it fails.
pub fn image(version: Version) -> Option<Arc<Image>> {
    match path(version) {
        Ok(path) => {
            let image = Image::open(&path).unwrap_or_else(|error| panic!("{error}"));
            Some(Arc::new(image))
        }
        Err(why) => {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "WinDivert cannot be fetched: {why}"
            );
            println!("SKIPPED: WinDivert cannot be fetched: {why}");
            None
        }
    }
}

/// The file of a version, fetched if it is not there yet.
pub fn path(version: Version) -> Result<PathBuf, String> {
    let _one = FETCHING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("windivert");
    let file = folder.join(format!("WinDivert64-pydivert-{}.sys", version.wheel));
    if let Ok(bytes) = std::fs::read(&file)
        && digest(&bytes) == version.sha256
    {
        return Ok(file);
    }
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let bytes = fetch(version, &folder)?;
    let found = digest(&bytes);
    if found != version.sha256 {
        return Err(format!(
            "pydivert {} has another WinDivert64.sys than expected: SHA-256 {found}",
            version.wheel
        ));
    }
    // Written beside it and moved: another process may be at the same.
    let part = folder.join(format!("{}.{}", version.wheel, std::process::id()));
    std::fs::write(&part, &bytes)
        .and_then(|()| std::fs::rename(&part, &file))
        .map_err(|error| error.to_string())?;
    Ok(file)
}

fn digest(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Downloads the wheel with pip and takes the driver out of it.
fn fetch(version: Version, folder: &Path) -> Result<Vec<u8>, String> {
    let wheels = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let requirement = format!("pydivert=={}", version.wheel);
    run(Command::new("python3")
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
        ])
        .arg("--dest")
        .arg(wheels.path())
        .arg(requirement))?;
    // A wheel is a ZIP file; Python has a reader.
    let script = "import glob, sys, zipfile\n\
        wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + '/*.whl')[0])\n\
        name = [name for name in wheel.namelist() if name.endswith('/WinDivert64.sys')][0]\n\
        open(sys.argv[1] + '/WinDivert64.sys', 'wb').write(wheel.read(name))\n";
    run(Command::new("python3")
        .args(["-c", script])
        .arg(wheels.path()))?;
    std::fs::read(wheels.path().join("WinDivert64.sys")).map_err(|error| error.to_string())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("python3 cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said
        .lines()
        .last()
        .unwrap_or("pip failed without a word")
        .to_owned())
}
