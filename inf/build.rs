//! Tells the linker that it makes a KMDF driver, where its libraries are, and gives it the version resource. On this manifest wdk-build is the
//! published one.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

mod version_resource;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=version_resource.rs");
    let version = version_resource::parse(env!("CARGO_PKG_VERSION"))
        .ok_or("the package's version is not three numbers")?;
    let resource = Path::new(&env::var("OUT_DIR")?).join("tollgate.res");
    fs::write(&resource, version_resource::resource_file(version))?;
    println!("cargo::rustc-cdylib-link-arg={}", resource.display());
    // The debugger finds symbols by this name, wherever the image was built.
    println!("cargo::rustc-cdylib-link-arg=/PDBALTPATH:tollgate.pdb");
    wdk_build::configure_wdk_binary_build()?;
    Ok(())
}
