//! The kernel side of the Windows Filtering Platform, as raw declarations: what fwpsk.h, fwpmk.h and the NDIS headers say and
//! `wdk-sys` does not. There is no logic here and nothing is checked for the caller.
//!
//! Layouts, numbers and rules are those of the project's platform contract (`docs/contract.md`); `F.1` and the like name its
//! sections, `A-43` and the like its rules. Layouts are those of x64 with `NTDDI_VERSION` 0x0A00000C and NDIS 6.85, which ARM64
//! shares; compile-time assertions next to each structure hold them to the numbers of the contract.
//!
//! # Where a declaration comes from
//!
//! Structures that user mode shares with the kernel (fwptypes.h, fwpmtypes.h, ws2def.h) are re-exported from `windows-sys` and
//! their layout is asserted here. Functions are never taken from there: `windows-sys` binds the `Fwpm*` functions to
//! `fwpuclnt.dll`, and a driver that imports a user-mode library does not load.
//!
//! # Linking
//!
//! On Windows the functions are imported from `fwpkclnt.sys` and `ndis.sys` without an import library (`raw-dylib`). Elsewhere
//! they are plain external symbols that whoever links the program defines: wfpsim does, so a driver can run on a Linux host.
//!
//! `windows-sys` brings imports of the same names from `fwpuclnt.dll` along. The linker takes the first definition it meets, and
//! rustc hands it a crate before the crate's dependencies, so that those of `fwpkclnt.sys` win. An image's import table is
//! nevertheless worth a look after every change of the build: it may name `fwpkclnt.sys`, never `fwpuclnt.dll`.
//!
//! # Enumerations
//!
//! A C enumeration is an integer alias with constants: the kernel may return a value that is newer than this file, and such a
//! value has to be representable.

#![no_std]
#![expect(
    non_camel_case_types,
    non_snake_case,
    reason = "Types, fields and functions keep the names the Windows headers give them"
)]

#[macro_use]
mod layout;

pub mod consts;
pub mod fwpm;
pub mod fwps;
pub mod layers;
pub mod ndis;
pub mod status;

/// A kernel handle (ntdef.h). What it stands for is said where it is used: an injection handle, a completion context, an engine
/// session, or a context pointer that the caller chose.
pub use windows_sys::Win32::Foundation::HANDLE;
/// The status most kernel functions return (ntdef.h). Negative values are errors and warnings; see [`status`].
pub use windows_sys::Win32::Foundation::NTSTATUS;
/// A 128-bit identifier (guiddef.h).
pub use windows_sys::core::GUID;

/// The kernel's one-byte truth value (ntdef.h): 0 is false, anything else is true.
pub type BOOLEAN = u8;
/// `BOOLEAN` false.
pub const FALSE: BOOLEAN = 0;
/// `BOOLEAN` true.
pub const TRUE: BOOLEAN = 1;
