//! The description as text, at most 80 columns wide.

use std::fmt;

use object::pe;

use super::Description;
use super::Finding;
use super::Outcome;
use super::Severity;
use super::Signature;

/// Columns.
const WIDTH: usize = 80;
/// At how many places of a finding the text points; the data have all.
const PLACES: usize = 4;

/// Writes words, broken between them, behind an indent.
fn wrap(f: &mut fmt::Formatter<'_>, lead: &str, indent: usize, text: &str) -> fmt::Result {
    write!(f, "{lead}")?;
    let mut column = lead.chars().count();
    let mut fresh = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !fresh && column + 1 + length > WIDTH {
            write!(f, "\n{:indent$}", "")?;
            column = indent;
            fresh = true;
        }
        if !fresh {
            f.write_str(" ")?;
            column += 1;
        }
        f.write_str(word)?;
        column += length;
        fresh = false;
    }
    writeln!(f)
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    wrap(f, &format!("{name:<12}"), 12, text)
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "image", &format!("{}, {} bytes", self.file, self.length))?;
        for (name, value) in &self.version {
            let wanted = matches!(
                name.as_str(),
                "FileVersionNumber" | "FileDescription" | "CompanyName" | "OriginalFilename"
            );
            if wanted {
                let name = match name.as_str() {
                    "FileVersionNumber" => "version",
                    "FileDescription" => "what",
                    "CompanyName" => "company",
                    _ => "named",
                };
                line(f, name, value)?;
            }
        }
        if self.version.is_empty() {
            line(f, "version", "no version resource")?;
        }
        let headers = &self.headers;
        let time = if headers.reproducible {
            format!(
                "{:#010x}, a hash of the content: the build is reproducible",
                headers.timestamp
            )
        } else {
            format!("{} ({:#010x})", date(headers.timestamp), headers.timestamp)
        };
        line(f, "timestamp", &time)?;
        let signature = match &self.signature {
            Signature::Absent => "none".to_owned(),
            Signature::Present(None) => "present; whose could not be read".to_owned(),
            Signature::Present(Some(signer)) => {
                // The common name says it; the data have the whole subject.
                let name = signer.split(',').find_map(|part| part.strip_prefix("CN="));
                format!("present, not verified: {}", name.unwrap_or(signer))
            }
        };
        line(f, "signature", &signature)?;
        self.symbols(f)?;
        line(f, "KMDF", &self.framework())?;
        self.sections(f)?;
        self.imports(f)?;
        self.run(f)?;
        self.findings(f)
    }
}

impl Description {
    fn symbols(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(symbols) = &self.symbols else {
            return line(f, "symbols", "it names none");
        };
        line(f, "symbols", &symbols.name)?;
        line(
            f,
            "",
            &format!("GUID {}, age {}", symbols.guid, symbols.age),
        )?;
        let beside = match (&symbols.beside, symbols.matches) {
            (None, _) => "no PDB beside the image",
            (Some(_), true) => "the PDB beside the image matches",
            (Some(_), false) => "the PDB beside the image is of another build",
        };
        line(f, "", beside)
    }

    fn framework(&self) -> String {
        let Some(framework) = &self.framework else {
            return "does not bind to it".to_owned();
        };
        let Some((major, minor, functions)) = framework.version else {
            return "binds to it; which version is not in the data".to_owned();
        };
        let minimum = framework.minimum.map_or_else(String::new, |minimum| {
            format!("; {major}.{minimum} will do")
        });
        format!("{major}.{minor}, {functions} functions{minimum}")
    }

    fn sections(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nsections")?;
        for section in &self.sections {
            let mut words = Vec::new();
            if section.has(pe::IMAGE_SCN_MEM_DISCARDABLE) {
                words.push("discardable");
            }
            if section.has(pe::IMAGE_SCN_MEM_NOT_PAGED) {
                words.push("not paged");
            }
            let text = format!(
                "  {:<8}  {:#010x}  {:>8} bytes  {}  {}",
                section.name.trim_end_matches('\0'),
                section.address,
                section.size,
                section.protection(),
                words.join(", ")
            );
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }

    fn imports(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nimports (* the simulator lacks it)")?;
        for module in &self.imports {
            let names: Vec<String> = module
                .symbols
                .iter()
                .map(|(name, known)| format!("{name}{}", if *known { "" } else { "*" }))
                .collect();
            let lacking = module.symbols.iter().filter(|symbol| !symbol.1).count();
            let count = match lacking {
                0 => format!("{}", names.len()),
                lacking => format!("{}, {lacking} lacking", names.len()),
            };
            writeln!(f, "  {} ({count})", module.name)?;
            wrap(f, "    ", 4, &names.join(" "))?;
        }
        Ok(())
    }

    fn run(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match &self.run.outcome {
            Outcome::NotRun => "not run, as asked".to_owned(),
            Outcome::NotLoaded(message) => format!("the simulator cannot load it: {message}"),
            Outcome::Refused(message) => format!("in a simulated machine {message}"),
            Outcome::Stopped(message) => format!("the simulated machine stopped: {message}"),
            Outcome::Ran => "DriverEntry and unload were run in a simulated machine".to_owned(),
        };
        writeln!(f)?;
        line(f, "callouts", &text)?;
        for callout in &self.run.callouts {
            let registered = if callout.registered {
                "registered"
            } else {
                "not registered"
            };
            let layer = callout.layer.as_deref().unwrap_or("added at no layer");
            writeln!(f, "  {}  {registered}, {layer}", callout.key)?;
            for filter in &callout.filters {
                writeln!(
                    f,
                    "    filter at {}: {}, {} conditions",
                    filter.layer, filter.action, filter.conditions
                )?;
            }
        }
        if self.run.callouts.is_empty() && self.run.outcome == Outcome::Ran {
            writeln!(
                f,
                "  none up to the end of DriverEntry and its threads' first turns"
            )?;
        }
        Ok(())
    }

    fn findings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |severity| {
            self.findings
                .iter()
                .filter(|finding| finding.severity == severity)
                .count()
        };
        let (errors, notes) = (of(Severity::Error), of(Severity::Note));
        writeln!(f, "\nfindings: {errors} errors, {notes} notes")?;
        for finding in &self.findings {
            one(f, finding)?;
        }
        Ok(())
    }
}

fn one(f: &mut fmt::Formatter<'_>, finding: &Finding) -> fmt::Result {
    let guess = if finding.heuristic {
        " (heuristic)"
    } else {
        ""
    };
    writeln!(f, "  {} {}{guess}", finding.severity.name(), finding.name)?;
    wrap(f, "    found: ", 11, &finding.found)?;
    wrap(f, "    right: ", 11, finding.wanted)?;
    for place in finding.places.iter().take(PLACES) {
        let told = place.told.as_deref().unwrap_or(&place.what);
        wrap(f, "    at ", 7, &format!("{:#x}  {told}", place.address))?;
    }
    match finding.places.len().saturating_sub(PLACES) {
        0 => Ok(()),
        more => writeln!(f, "    and {more} more places"),
    }
}

/// Seconds since 1970 as a date and time in UTC.
fn date(seconds: u32) -> String {
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u32| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u32::from(is_leap(year)) {
        days -= 365 + u32::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u32::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "{year}-{month:02}-{:02} {hours:02}:{minutes:02}:{seconds:02} UTC",
        days + 1
    )
}
