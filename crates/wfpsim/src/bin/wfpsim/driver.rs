//! Which driver a command runs.

#[cfg(target_arch = "x86_64")]
use std::path::PathBuf;

use wfpsim::driver::Driver;
#[cfg(target_arch = "x86_64")]
use wfpsim::image::Image;

/// The driver, as the command line names it.
#[derive(clap::Args)]
pub struct Which {
    /// Run this driver image instead of the Tollgate that is linked into wfpsim.
    #[cfg(target_arch = "x86_64")]
    #[arg(long, value_name = "FILE.sys")]
    pub image: Option<PathBuf>,
}

impl Which {
    /// Tollgate as it is linked, or an image.
    pub fn driver(&self) -> Result<Driver, String> {
        #[cfg(target_arch = "x86_64")]
        if let Some(path) = &self.image {
            return Image::open(path)
                .map(Driver::from)
                .map_err(|error| error.to_string());
        }
        Ok(wfpsim::driver::tollgate().into())
    }

    /// The options that name it again, with a space before.
    pub fn options(&self) -> String {
        #[cfg(target_arch = "x86_64")]
        if let Some(path) = &self.image {
            return format!(" --image {}", path.display());
        }
        String::new()
    }
}
