//! wdk-sys-portable
