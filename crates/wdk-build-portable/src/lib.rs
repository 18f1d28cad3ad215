//! The part of wdk-build that the build scripts of `wdk`, `wdk-alloc`, `wdk-panic` and of the driver image call.
//!
//! wdk-build looks for a WDK and reads the driver's kind from its metadata. This crate looks for nothing: the driver is a KMDF driver,
//! there is no WDK, and imports need no library. See `image/Cargo.toml`.

use core::fmt;

/// Nothing here fails; the type is in the signatures that build scripts use.
#[derive(Debug)]
pub enum ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl core::error::Error for ConfigError {}

/// What the linker is told of a KMDF driver, each with its reason.
///
/// Not among them is `/guard:cf`. Control flow guard wants a load configuration with the addresses of the check functions and a table of
/// call targets, code that was compiled to make the checks, and a Windows to try it on: the linker alone would set the flag in the header
/// without any of it. Nor is there anything that needs a load configuration for its security cookie, because Rust code has none.
pub const LINK_ARGS: &[&str] = &[
    // A kernel-mode image.
    "/DRIVER",
    // Kernel mode, from the Windows that calls itself 10.0 on.
    "/SUBSYSTEM:NATIVE,10.0",
    // There is no C runtime in the kernel: what is missing must show as an unresolved symbol.
    "/NODEFAULTLIB",
    // Binds to the framework first, then calls DriverEntry: see wdk-sys-portable.
    "/ENTRY:FxDriverEntry",
    // Windows loads the image at an address of its choice, and data is never code.
    "/DYNAMICBASE",
    "/NXCOMPAT",
    // Signature checked whenever it is loaded.
    "/INTEGRITYCHECK",
    // Only what is used.
    "/OPT:REF",
    // The debugger finds symbols by this name, wherever the image was built.
    "/PDBALTPATH:tollgate.pdb",
    // The time in the header is a hash of the content, not a clock's.
    "/Brepro",
    // The Windows manifest is for programs.
    "/MANIFEST:NO",
];

/// Called by the build script of a library: tells the compiler what kind of driver it is part of.
///
/// # Errors
///
/// None.
pub fn configure_wdk_library_build() -> Result<(), ConfigError> {
    println!(
        r#"cargo::rustc-check-cfg=cfg(driver_model__driver_type, values("WDM", "KMDF", "UMDF"))"#
    );
    println!(r#"cargo::rustc-cfg=driver_model__driver_type="KMDF""#);
    Ok(())
}

/// Called by the build script of the driver: as for a library, and tells the linker what it makes.
///
/// # Errors
///
/// None.
pub fn configure_wdk_binary_build() -> Result<(), ConfigError> {
    configure_wdk_library_build()?;
    for argument in LINK_ARGS {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
    Ok(())
}
