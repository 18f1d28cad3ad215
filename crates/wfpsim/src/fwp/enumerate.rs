//! What the base filtering engine lists, and the memory that it hands out with it.

use std::ffi::c_void;

use wfp_sys::fwpm::FWPM_SUBLAYER0;

use super::engine::require;
use super::objects::Key;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;

/// One enumeration of sublayers: what is left to give.
pub(super) struct Enumeration {
    left: Vec<(Key, u16)>,
}

pub(super) fn create_enumeration(
    kernel: &Kernel,
    engine: Handle,
    _template: *const c_void,
    enumeration: *mut Handle,
) -> NtStatus {
    require(kernel, "FwpmSubLayerCreateEnumHandle0", engine);
    if kernel.fails("FwpmSubLayerCreateEnumHandle0") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let handle = kernel.fwp.new_handle();
    let left = kernel
        .fwp
        .objects
        .borrow()
        .sublayers
        .iter()
        .rev()
        .map(|(key, sublayer)| (*key, sublayer.weight))
        .collect();
    kernel
        .fwp
        .enumerations
        .borrow_mut()
        .insert(handle, Enumeration { left });
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { enumeration.write(handle as Handle) };
    status::SUCCESS
}

pub(super) fn enumerate(
    kernel: &Kernel,
    engine: Handle,
    enumeration: Handle,
    requested: u32,
    entries: *mut *mut *mut FWPM_SUBLAYER0,
    returned: *mut u32,
) -> NtStatus {
    require(kernel, "FwpmSubLayerEnum0", engine);
    if kernel.fails("FwpmSubLayerEnum0") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let taken = {
        let mut enumerations = kernel.fwp.enumerations.borrow_mut();
        let Some(enumeration) = enumerations.get_mut(&(enumeration as usize)) else {
            return status::INVALID_HANDLE;
        };
        let keep = enumeration.left.len().saturating_sub(requested as usize);
        enumeration.left.split_off(keep)
    };
    let ledger = kernel
        .ledger
        .begin("sublayers that FwpmSubLayerEnum0 returned");
    let array = kernel
        .arena
        .allocate(
            taken.len() * size_of::<usize>(),
            Purpose::Object,
            ledger,
            true,
        )
        .cast::<*mut FWPM_SUBLAYER0>();
    let mut blocks = vec![array.as_ptr() as usize];
    for (index, (key, weight)) in taken.iter().enumerate() {
        let entry = kernel
            .arena
            .allocate(size_of::<FWPM_SUBLAYER0>(), Purpose::Object, ledger, true)
            .cast::<FWPM_SUBLAYER0>();
        // SAFETY: both blocks were just allocated with room for this.
        unsafe {
            (*entry.as_ptr()).subLayerKey = key.guid();
            (*entry.as_ptr()).weight = *weight;
            array.as_ptr().add(index).write(entry.as_ptr());
        }
        blocks.push(entry.as_ptr() as usize);
    }
    kernel
        .fwp
        .memory
        .borrow_mut()
        .insert(array.as_ptr() as usize, blocks);
    // SAFETY: the driver's pointers; bad ones fault and are reported.
    unsafe {
        entries.write(array.as_ptr());
        returned.write(taken.len() as u32);
    }
    status::SUCCESS
}

pub(super) fn destroy_enumeration(
    kernel: &Kernel,
    engine: Handle,
    enumeration: Handle,
) -> NtStatus {
    require(kernel, "FwpmSubLayerDestroyEnumHandle0", engine);
    match kernel
        .fwp
        .enumerations
        .borrow_mut()
        .remove(&(enumeration as usize))
    {
        Some(_) => status::SUCCESS,
        None => status::INVALID_HANDLE,
    }
}

pub(super) fn free_memory(kernel: &Kernel, memory: *mut *mut c_void) {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let address = unsafe { memory.read() } as usize;
    if address == 0 {
        return;
    }
    let Some(blocks) = kernel.fwp.memory.borrow_mut().remove(&address) else {
        let summary = format!(
            "FwpmFreeMemory0 was given {address:#x}, which the filter engine did not allocate or has freed"
        );
        kernel.bug_check(Violation::contract(
            kernel,
            "A-11",
            [address as u64, 0, 0, 0],
            summary,
        ));
    };
    crate::nt::free_blocks(kernel, &blocks, "freed");
    // SAFETY: as above.
    unsafe { memory.write(std::ptr::null_mut()) };
}
