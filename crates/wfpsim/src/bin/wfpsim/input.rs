//! Where a capture comes from: a file, or a pipe that can be read only once.

use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::path::PathBuf;

use wfpsim_packet::CaptureError;
use wfpsim_packet::CaptureReader;

/// A capture that can be opened as often as it must be read.
pub struct Input {
    path: PathBuf,
    /// What was read from a pipe, to be read again.
    kept: Option<File>,
}

impl Input {
    /// The capture at `path`; `-` is the standard input.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            kept: None,
        }
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        if self.is_standard_input() {
            "standard input".to_owned()
        } else {
            self.path.display().to_string()
        }
    }

    /// Opens it to be read and then read again. What comes from a pipe is kept in a temporary file on the way.
    pub fn open_first(&mut self) -> Result<CaptureReader, String> {
        if !self.is_pipe() {
            return self.open();
        }
        let keep = tempfile::tempfile()
            .and_then(|file| file.try_clone().map(|kept| (file, kept)))
            .map_err(|error| {
                format!(
                    "{}: a pipe is read once, and guessing whose capture it is takes a temporary file: {error}; \
                     say with --host",
                    self.name()
                )
            })?;
        let (to, kept) = keep;
        let from = self.file().map_err(|error| self.cannot(&error))?;
        self.kept = Some(kept);
        let tee = BufReader::new(Tee { from, to });
        CaptureReader::from_reader(tee, self.name()).map_err(|error| told(&error))
    }

    /// Whether it can be opened once more: it is no pipe, or what came from it was kept.
    pub fn can_be_read_again(&self) -> bool {
        !self.is_pipe() || self.kept.is_some()
    }

    /// Opens it to be read, again if it can be.
    pub fn open(&self) -> Result<CaptureReader, String> {
        if let Some(kept) = &self.kept {
            let mut kept = kept.try_clone().map_err(|error| self.cannot(&error))?;
            kept.rewind().map_err(|error| self.cannot(&error))?;
            return CaptureReader::from_reader(BufReader::new(kept), self.name())
                .map_err(|error| told(&error));
        }
        if self.is_standard_input() {
            let file = self.file().map_err(|error| self.cannot(&error))?;
            return CaptureReader::from_reader(BufReader::new(file), self.name())
                .map_err(|error| told(&error));
        }
        CaptureReader::open(&self.path).map_err(|error| told(&error))
    }

    /// Whether `path` is the capture itself, which writing there would destroy.
    pub fn is_same_file(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let place = |metadata: std::fs::Metadata| {
            metadata
                .is_file()
                .then_some((metadata.dev(), metadata.ino()))
        };
        match (self.metadata(), std::fs::metadata(path)) {
            (Ok(own), Ok(other)) => place(own).is_some_and(|own| place(other) == Some(own)),
            _ => false,
        }
    }

    fn is_standard_input(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Whether it can be read only once.
    fn is_pipe(&self) -> bool {
        self.metadata()
            .is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
    }

    fn metadata(&self) -> io::Result<std::fs::Metadata> {
        if self.is_standard_input() {
            self.file()?.metadata()
        } else {
            std::fs::metadata(&self.path)
        }
    }

    fn file(&self) -> io::Result<File> {
        if !self.is_standard_input() {
            return File::open(&self.path);
        }
        let mut file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        // A file as standard input can be read again; a pipe cannot seek, and need not.
        let _ = file.rewind();
        Ok(file)
    }

    fn cannot(&self, error: &io::Error) -> String {
        format!("{}: cannot be read: {error}", self.name())
    }
}

fn told(error: &CaptureError) -> String {
    error.to_string()
}

/// Reads, and keeps what was read.
struct Tee {
    from: File,
    to: File,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        self.to.write_all(bytes).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("keeping it in a temporary file failed ({error}); --host does without"),
            )
        })?;
        Ok(read)
    }
}
