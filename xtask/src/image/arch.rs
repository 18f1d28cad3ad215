//! The machines that an image can be for.

use clap::ValueEnum;
use object::pe;

/// A machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// x64
    #[value(name = "x86_64", alias = "x64")]
    X86_64,
    /// ARM64
    #[value(name = "aarch64", alias = "arm64")]
    Aarch64,
}

impl Arch {
    /// The name of the output directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// Rust's name of the target.
    pub fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-pc-windows-msvc",
            Self::Aarch64 => "aarch64-pc-windows-msvc",
        }
    }

    /// The number in the image's header.
    pub fn machine(self) -> pe::Machine {
        match self {
            Self::X86_64 => pe::IMAGE_FILE_MACHINE_AMD64,
            Self::Aarch64 => pe::IMAGE_FILE_MACHINE_ARM64,
        }
    }
}
