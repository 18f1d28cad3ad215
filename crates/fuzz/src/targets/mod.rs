//! The targets, by what takes the bytes.

mod driver;
#[cfg(target_arch = "x86_64")]
mod image;
mod packets;
mod token;

/// One target.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Takes the bytes, and panics if what comes of them is wrong.
    pub run: fn(&[u8]),
}

/// All of them.
pub static TARGETS: &[Target] = &[
    #[cfg(target_arch = "x86_64")]
    Target {
        name: "image",
        run: image::image,
    },
    #[cfg(target_arch = "x86_64")]
    Target {
        name: "symbols",
        run: image::symbols,
    },
    Target {
        name: "capture",
        run: packets::capture,
    },
    Target {
        name: "packet",
        run: packets::packet,
    },
    Target {
        name: "sa_file",
        run: packets::sa_file,
    },
    Target {
        name: "classify",
        run: driver::classify,
    },
    Target {
        name: "ioctl",
        run: driver::ioctl,
    },
    Target {
        name: "parameters",
        run: driver::parameters,
    },
    Target {
        name: "token",
        run: token::token,
    },
];
