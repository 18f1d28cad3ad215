//! Tells the linker that it makes a KMDF driver. On this manifest wdk-build is crates/wdk-build-portable.

fn main() -> Result<(), wdk_build::ConfigError> {
    wdk_build::configure_wdk_binary_build()
}
