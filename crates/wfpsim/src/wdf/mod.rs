//! KMDF.

/// Tables.
#[derive(Default)]
pub struct State {}
