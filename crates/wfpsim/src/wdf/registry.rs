//! The service's Parameters key.

use std::collections::BTreeMap;
use std::ffi::c_void;

use wdk_sys_portable::PCUNICODE_STRING;
use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::REG_DWORD;
use wdk_sys_portable::WDFDRIVER;
use wdk_sys_portable::WDFKEY;

use super::driver::Driver;
use super::object;
use super::object::Kind;
use crate::machine::Kernel;
use crate::nt::NtStatus;
use crate::nt::status;

/// Values by name (folded to lower case): type and data.
pub(crate) type Values = BTreeMap<String, (u32, Vec<u8>)>;

/// An open key. There is one key only.
pub(super) struct RegistryKey;

pub(super) fn open_parameters(
    kernel: &Kernel,
    driver: WDFDRIVER,
    _access: u32,
    attributes: PWDF_OBJECT_ATTRIBUTES,
    key: *mut WDFKEY,
) -> NtStatus {
    const NAME: &str = "WdfDriverOpenParametersRegistryKey";
    object::with::<Driver, _>(kernel, NAME, driver as usize, |_| ());
    super::require_parameter(kernel, NAME, "Key", key.cast());
    let attributes = match object::attributes(attributes) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if kernel.fails(NAME) {
        return status::INSUFFICIENT_RESOURCES;
    }
    if kernel.wdf.parameters.borrow().is_none() {
        return status::OBJECT_NAME_NOT_FOUND;
    }
    let parent = object::parent(kernel, NAME, &attributes, driver as usize);
    let handle = object::insert(
        kernel,
        Kind::RegistryKey(RegistryKey),
        Some(parent),
        attributes,
    );
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { key.write(handle as WDFKEY) };
    status::SUCCESS
}

pub(super) fn close(kernel: &Kernel, key: WDFKEY) {
    object::with::<RegistryKey, _>(kernel, "WdfRegistryClose", key as usize, |_| ());
    object::delete(kernel, key as usize);
}

/// The value of a name.
fn value(kernel: &Kernel, name: PCUNICODE_STRING) -> Option<(u32, Vec<u8>)> {
    let name = super::folded(&super::text(name));
    kernel
        .wdf
        .parameters
        .borrow()
        .as_ref()
        .and_then(|values| values.get(&name).cloned())
}

pub(super) fn query_value(
    kernel: &Kernel,
    key: WDFKEY,
    name: PCUNICODE_STRING,
    length: u32,
    place: *mut c_void,
    queried: *mut u32,
    kind: *mut u32,
) -> NtStatus {
    const NAME: &str = "WdfRegistryQueryValue";
    object::with::<RegistryKey, _>(kernel, NAME, key as usize, |_| ());
    super::require_parameter(kernel, NAME, "ValueName", name.cast());
    if length > 0 {
        super::require_parameter(kernel, NAME, "Value", place);
    }
    if kernel.fails(NAME) {
        return status::INSUFFICIENT_RESOURCES;
    }
    let Some((found, data)) = value(kernel, name) else {
        return status::OBJECT_NAME_NOT_FOUND;
    };
    if !queried.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { queried.write(data.len() as u32) };
    }
    if !kind.is_null() {
        // SAFETY: as above.
        unsafe { kind.write(found) };
    }
    if data.len() > length as usize {
        return status::BUFFER_OVERFLOW;
    }
    // SAFETY: as above; the data is no longer than the driver says its buffer is.
    unsafe {
        place
            .cast::<u8>()
            .copy_from_nonoverlapping(data.as_ptr(), data.len())
    };
    status::SUCCESS
}

pub(super) fn query_ulong(
    kernel: &Kernel,
    key: WDFKEY,
    name: PCUNICODE_STRING,
    place: *mut u32,
) -> NtStatus {
    const NAME: &str = "WdfRegistryQueryULong";
    object::with::<RegistryKey, _>(kernel, NAME, key as usize, |_| ());
    super::require_parameter(kernel, NAME, "ValueName", name.cast());
    super::require_parameter(kernel, NAME, "Value", place.cast());
    if kernel.fails(NAME) {
        return status::INSUFFICIENT_RESOURCES;
    }
    match value(kernel, name) {
        None => status::OBJECT_NAME_NOT_FOUND,
        Some((REG_DWORD, data)) if data.len() == 4 => {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&data);
            // SAFETY: the driver's pointer; a bad one faults and is reported.
            unsafe { place.write(u32::from_le_bytes(bytes)) };
            status::SUCCESS
        }
        Some(_) => status::OBJECT_TYPE_MISMATCH,
    }
}
