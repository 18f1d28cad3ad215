//! What the service's registry key says.

use wdk_sys_portable::REG_DWORD;
use wdk_sys_portable::REG_SZ;

use crate::wdf::Values;

/// The values of the service's `Parameters` key, by name without regard to case.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    values: Values,
    missing: bool,
}

impl Parameters {
    /// A service without a `Parameters` key.
    pub fn missing() -> Self {
        Self {
            missing: true,
            ..Self::default()
        }
    }

    /// Sets a REG_DWORD value.
    pub fn set_u32(&mut self, name: &str, value: u32) {
        self.set(name, REG_DWORD, value.to_le_bytes().to_vec());
    }

    /// Sets a REG_SZ value, with its terminating zero.
    pub fn set_string(&mut self, name: &str, value: &str) {
        self.set(
            name,
            REG_SZ,
            value
                .encode_utf16()
                .chain([0])
                .flat_map(u16::to_le_bytes)
                .collect(),
        );
    }

    /// Sets a value of any type (`REG_*`) to any bytes, well formed or not.
    pub fn set(&mut self, name: &str, kind: u32, data: Vec<u8>) {
        self.missing = false;
        self.values.insert(crate::wdf::folded(name), (kind, data));
    }

    pub(super) fn values(&self) -> Option<Values> {
        (!self.missing).then(|| self.values.clone())
    }
}
