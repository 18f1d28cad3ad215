//! Here, and nowhere else, the shared source files see `cfg(loom)`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cfg=loom");
}
