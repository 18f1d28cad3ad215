//! Tells the linker that it makes a KMDF driver, and gives it the version resource. On this manifest wdk-build is
//! crates/wdk-build-portable.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

#[path = "../inf/version_resource.rs"]
mod version_resource;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../inf/version_resource.rs");
    let version = version_resource::parse(env!("CARGO_PKG_VERSION"))
        .ok_or("the package's version is not three numbers")?;
    let resource = Path::new(&env::var("OUT_DIR")?).join("tollgate.res");
    fs::write(&resource, version_resource::resource_file(version))?;
    println!("cargo::rustc-cdylib-link-arg={}", resource.display());
    wdk_build::configure_wdk_binary_build()?;
    Ok(())
}
