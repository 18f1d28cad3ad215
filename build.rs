//! On a Windows host with a WDK, makes the library linkable as a driver image. Everywhere else there is nothing to set: on other
//! hosts the library is linked into tests, and `image/` builds the image without a WDK.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // What the published wdk-build defines; named here so that the host's compiler knows it too.
    println!(
        r#"cargo::rustc-check-cfg=cfg(driver_model__driver_type, values("WDM", "KMDF", "UMDF"))"#
    );
    // wdk-build compiles on Windows hosts only, and a build script is compiled for the host: this cfg is the host's.
    #[cfg(windows)]
    if let Err(error) = wdk_build::configure_wdk_binary_build() {
        // A library needs none of it, so that a machine without a WDK still checks and tests.
        println!("cargo::warning=not linkable as a driver image: {error}");
    }
}
