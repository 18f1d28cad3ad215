//! What an image is, as a driver developer wants to know it: what it says of itself, what it needs, what it does when it is
//! loaded, and what memory integrity and the Windows hardware-lab tests would find in it.
//!
//! Nothing here trusts the file: what cannot be read is told as absent or as a finding, and only a file that is no PE32+ image at
//! all is an error. So an image that [`super::Image`] refuses to load is described too.

mod certificate;
mod code;
mod debug;
mod findings;
mod framework;
mod instructions;
mod json;
mod pe;
mod run;
mod text;
mod values;
mod version;
mod walk;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::Image;
use super::ImageError;

pub use certificate::Signature;
pub use code::Code;
pub use code::Place;
pub use debug::Symbols;
pub use findings::Finding;
pub use findings::Severity;
pub use framework::Framework;
pub use pe::Headers;
pub use pe::Module;
pub use pe::SectionFacts;
pub use run::Outcome;
pub use run::Run;

pub use crate::fwp::inventory::CalloutSeen;
pub use crate::fwp::inventory::FilterSeen;

/// All that is told of an image.
#[derive(Clone, Debug)]
pub struct Description {
    /// The file's name.
    pub file: String,
    /// Bytes of the file.
    pub length: usize,
    /// What the headers say.
    pub headers: Headers,
    /// The strings of the version resource, in its order; empty if it has none.
    pub version: Vec<(String, String)>,
    /// The signature.
    pub signature: Signature,
    /// The symbols that it names, and whether they are there.
    pub symbols: Option<Symbols>,
    /// Its sections.
    pub sections: Vec<SectionFacts>,
    /// What it imports, by module.
    pub imports: Vec<Module>,
    /// The framework that it binds to.
    pub framework: Option<Framework>,
    /// What its code was seen to have; `None` if it is not for x86-64.
    pub code: Option<Code>,
    /// What happened when it was run.
    pub run: Run,
    /// What is to be looked after, errors first.
    pub findings: Vec<Finding>,
}

impl Description {
    /// Whether a finding is an error.
    pub fn has_errors(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Error)
    }

    /// The description as data. Names are stable; new ones may be added.
    pub fn json(&self) -> serde_json::Value {
        json::description(self)
    }
}

/// Describes the image in a file. `run` lets its code run: DriverEntry and unload, in a simulated machine, but on this processor
/// and with the rights of this process.
pub fn describe(path: &Path, run: bool) -> Result<Description, ImageError> {
    let within = |error: ImageError| error.within(&path.display().to_string());
    let bytes = std::fs::read(path)
        .map_err(|error| within(ImageError::new(format!("cannot be read: {error}"))))?;
    describe_bytes(&bytes, path, run).map_err(within)
}

/// Describes an image in memory that would be the file `path`, which is where its symbols are looked for.
pub fn describe_bytes(bytes: &[u8], path: &Path, run: bool) -> Result<Description, ImageError> {
    let pe = pe::Pe::parse(bytes)?;
    let symbols = debug::read(&pe, path);
    let pdb: Option<PathBuf> = symbols
        .as_ref()
        .and_then(|symbols| symbols.beside.clone().filter(|_| symbols.matches));
    let (imports, thunks) = pe.imports();
    let code = pe
        .is_amd64()
        .then(|| code::look(&pe, &thunks, pdb.as_deref()));
    let loads = Image::parse(bytes).map(|mut image| {
        image.name = stem(path);
        image.pdb.clone_from(&pdb);
        Arc::new(image)
    });
    let run = run::run(loads, run);
    let mut description = Description {
        file: path
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        length: bytes.len(),
        headers: pe.headers(),
        version: version::read(&pe),
        signature: certificate::read(&pe),
        symbols,
        sections: pe.sections.clone(),
        imports,
        framework: framework::find(&pe, &thunks),
        code,
        run,
        findings: Vec::new(),
    };
    description.findings = findings::find(&description, &pe, &thunks);
    Ok(description)
}

/// The file's name without its ending, which is what reports call the image.
fn stem(path: &Path) -> String {
    path.file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}
