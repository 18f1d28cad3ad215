//! Deleting management objects: by key or number, in the session's transaction or at once. What others refer to stays.

use wfp_sys::GUID;

use super::engine::change;
use super::objects::Filter;
use super::objects::FilterAction;
use super::objects::Key;
use crate::machine::Kernel;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;

/// The key that a driver points to.
fn read(key: *const GUID) -> Key {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    Key::from(unsafe { &*key })
}

pub(super) fn provider(kernel: &Kernel, engine: Handle, key: *const GUID) -> NtStatus {
    let key = read(key);
    change(kernel, "FwpmProviderDeleteByKey0", engine, |objects, _| {
        let named = |provider: &Option<Key>| *provider == Some(key);
        let used = objects.filters.iter().any(|filter| named(&filter.provider))
            || objects
                .callouts
                .values()
                .any(|callout| named(&callout.provider))
            || objects
                .sublayers
                .values()
                .any(|sublayer| named(&sublayer.provider));
        if !objects.providers.contains_key(&key) {
            return status::FWP_PROVIDER_NOT_FOUND;
        }
        if used {
            return status::FWP_IN_USE;
        }
        objects.providers.remove(&key);
        status::SUCCESS
    })
}

pub(super) fn sublayer(kernel: &Kernel, engine: Handle, key: *const GUID) -> NtStatus {
    let key = read(key);
    change(kernel, "FwpmSubLayerDeleteByKey0", engine, |objects, _| {
        if !objects.sublayers.contains_key(&key) {
            return status::FWP_SUBLAYER_NOT_FOUND;
        }
        if objects.filters.iter().any(|filter| filter.sublayer == key) {
            return status::FWP_IN_USE;
        }
        objects.sublayers.remove(&key);
        status::SUCCESS
    })
}

pub(super) fn callout(kernel: &Kernel, engine: Handle, key: *const GUID) -> NtStatus {
    let key = read(key);
    change(kernel, "FwpmCalloutDeleteByKey0", engine, |objects, _| {
        let names = |filter: &Filter| {
            matches!(
                filter.action,
                FilterAction::Terminating(callout)
                | FilterAction::Unknown(callout)
                | FilterAction::Inspection(callout) if callout == key
            )
        };
        if !objects.callouts.contains_key(&key) {
            return status::FWP_CALLOUT_NOT_FOUND;
        }
        if objects.filters.iter().any(names) {
            return status::FWP_IN_USE;
        }
        objects.callouts.remove(&key);
        status::SUCCESS
    })
}

pub(super) fn filter(kernel: &Kernel, engine: Handle, key: *const GUID) -> NtStatus {
    let key = read(key);
    delete_filter(kernel, "FwpmFilterDeleteByKey0", engine, |filter| {
        filter.key == key
    })
}

pub(super) fn filter_by_id(kernel: &Kernel, engine: Handle, id: u64) -> NtStatus {
    delete_filter(kernel, "FwpmFilterDeleteById0", engine, |filter| {
        filter.id == id
    })
}

fn delete_filter(
    kernel: &Kernel,
    function: &'static str,
    engine: Handle,
    which: impl Fn(&Filter) -> bool,
) -> NtStatus {
    let mut gone = None;
    let result = change(kernel, function, engine, |objects, _| {
        match objects.filters.iter().position(which) {
            Some(index) => {
                gone = Some(objects.filters.remove(index));
                status::SUCCESS
            }
            None => status::FWP_FILTER_NOT_FOUND,
        }
    });
    // In a transaction it is gone when that is committed.
    if let Some(filter) = gone
        && !super::engine::is_in_transaction(kernel, engine)
    {
        super::notify::deleted(kernel, &[filter]);
    }
    result
}
