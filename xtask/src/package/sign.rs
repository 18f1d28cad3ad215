//! Signing and verifying, with openssl and osslsigncode. The certificate is self-made, for machines in test-signing mode; its key never leaves
//! the target directory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// The programs, with Debian's packages of the same names.
const TOOLS: [&str; 2] = ["openssl", "osslsigncode"];

/// A program that is not there.
#[derive(Debug)]
pub struct NoTool(Vec<&'static str>);

impl fmt::Display for NoTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.join(" ");
        write!(
            f,
            "signing needs {names}, which this machine does not have. On Debian: apt-get install --no-install-recommends {names}"
        )
    }
}

impl std::error::Error for NoTool {}

/// The tools that are not there.
pub fn missing() -> Vec<&'static str> {
    TOOLS
        .into_iter()
        .filter(|tool| Command::new(tool).arg("version").output().is_err())
        .collect()
}

/// Sees to it that the tools are there: installs them where that takes no password.
///
/// # Errors
///
/// [`NoTool`].
pub fn ready() -> Result<()> {
    let absent = missing();
    if absent.is_empty() {
        return Ok(());
    }
    let root = Command::new("id").arg("-u").output();
    if root.is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        let names = absent.join(" ");
        say!("apt-get install {names}, which signing needs");
        for arguments in [
            ["update", "-qq"].as_slice(),
            &["install", "-y", "-qq", "--no-install-recommends"],
        ] {
            let mut apt = Command::new("apt-get");
            apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
            if arguments[0] == "install" {
                apt.args(&absent);
            }
            // Whether it worked shows below.
            let _ = apt.status();
        }
    }
    let absent = missing();
    if absent.is_empty() {
        Ok(())
    } else {
        Err(NoTool(absent).into())
    }
}

/// A key and the certificate that names it.
#[derive(Debug, Clone)]
pub struct Identity {
    key: PathBuf,
    certificate: PathBuf,
}

/// What is asked of the certificate: for signing code, by its holder alone. It is no authority, so that trusting it trusts nothing else.
const REQUEST: &str = "\
[req]
distinguished_name = name
prompt = no
x509_extensions = extensions
[name]
CN = Tollgate test signing (made on this machine, trusted by nobody)
[extensions]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,codeSigning
subjectKeyIdentifier = hash
";

impl Identity {
    /// The identity in a directory, made if there is none that is good for another day.
    ///
    /// # Errors
    ///
    /// If openssl fails.
    pub fn at(directory: &Path) -> Result<Self> {
        let identity = Self {
            key: directory.join("key.pem"),
            certificate: directory.join("certificate.pem"),
        };
        let good = identity.key.is_file()
            && run(Command::new("openssl")
                .args(["x509", "-noout", "-checkend", "86400", "-in"])
                .arg(&identity.certificate))
            .is_ok();
        if good {
            return Ok(identity);
        }
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let request = directory.join("request.cnf");
        fs::write(&request, REQUEST)?;
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:3072", "-sha256", "-nodes"])
            .args(["-days", "3650", "-config"])
            .arg(&request)
            .arg("-keyout")
            .arg(&identity.key)
            .arg("-out")
            .arg(&identity.certificate))?;
        Ok(identity)
    }

    /// Writes the certificate in the form that Windows' certificate tools take.
    ///
    /// # Errors
    ///
    /// If openssl fails.
    pub fn export(&self, to: &Path) -> Result<()> {
        run(Command::new("openssl")
            .args(["x509", "-outform", "DER", "-in"])
            .arg(&self.certificate)
            .arg("-out")
            .arg(to))?;
        Ok(())
    }

    /// Signs an image, with a digest of each page, or a catalog. No server is asked for the time.
    ///
    /// # Errors
    ///
    /// If osslsigncode fails.
    pub fn sign(&self, from: &Path, to: &Path, is_image: bool) -> Result<()> {
        // osslsigncode does not overwrite.
        let _ = fs::remove_file(to);
        let mut command = Command::new("osslsigncode");
        command.args(["sign", "-h", "sha256", "-n", "Tollgate"]);
        if is_image {
            command.arg("-ph");
        }
        command.arg("-certs").arg(&self.certificate);
        command.arg("-key").arg(&self.key);
        command.arg("-in").arg(from).arg("-out").arg(to);
        run(&mut command)?;
        Ok(())
    }
}

/// A certificate from a package, in the form that openssl verifies with.
///
/// # Errors
///
/// If it is no certificate.
pub fn import(certificate: &Path, to: &Path) -> Result<()> {
    run(Command::new("openssl")
        .args(["x509", "-inform", "DER", "-in"])
        .arg(certificate)
        .arg("-out")
        .arg(to))?;
    Ok(())
}

/// Verifies a signature against one certificate: the file's own, or the one of the catalog that has the file.
///
/// # Errors
///
/// If it is not good, with what osslsigncode says.
pub fn verify(file: &Path, certificate: &Path, catalog: Option<&Path>) -> Result<String> {
    let mut command = Command::new("osslsigncode");
    command.arg("verify");
    if let Some(catalog) = catalog {
        command.arg("-catalog").arg(catalog);
    }
    // There is no timestamp; without the second option Debian's would miss a file of certificates that it does not need.
    command.arg("-CAfile").arg(certificate);
    command.arg("-TSA-CAfile").arg(certificate);
    command.arg("-in").arg(file);
    let output = run(&mut command)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !said.contains("Signature verification: ok") {
        bail!("no good signature: {}", last_lines(&output));
    }
    Ok(said)
}

/// Whether the digests of the image's pages are in its signature and right, from what osslsigncode says of it.
pub fn page_digests_agree(said: &str) -> bool {
    let after = |label: &str| {
        said.lines()
            .find_map(|line| line.trim_start().strip_prefix(label)?.split_once(':'))
            .map(|(_, digest)| digest.trim())
    };
    // The labels differ in what is before them, not in how they begin.
    match (after("Page hash  "), after("Calculated page hash")) {
        (Some(signed), Some(calculated)) => signed == calculated && !signed.is_empty(),
        _ => false,
    }
}

/// Runs a command; an error unless it succeeds.
fn run(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!(
            "{} failed: {}",
            command.get_program().display(),
            last_lines(&output)
        );
    }
    Ok(output)
}

/// What a command said last, on one line.
fn last_lines(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(4)..].join(" | ")
}
