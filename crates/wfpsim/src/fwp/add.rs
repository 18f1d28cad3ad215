//! Objects that a driver adds to the base filtering engine: providers, sublayers, callouts, filters.

use std::ffi::c_void;

use wfp_sys::consts;
use wfp_sys::fwpm;
use wfp_sys::fwpm::FWPM_CALLOUT0;
use wfp_sys::fwpm::FWPM_FILTER0;
use wfp_sys::fwpm::FWPM_PROVIDER0;
use wfp_sys::fwpm::FWPM_SUBLAYER0;

use super::engine::change;
use super::engine::take_back;
use super::notify;
use super::objects::Condition;
use super::objects::Filter;
use super::objects::FilterAction;
use super::objects::Key;
use super::objects::ManagementCallout;
use super::objects::Objects;
use super::objects::SubLayer;
use super::objects::layer_of;
use crate::machine::Kernel;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;

pub(super) fn add_provider(
    kernel: &Kernel,
    engine: Handle,
    provider: *const FWPM_PROVIDER0,
    _security: *mut c_void,
) -> NtStatus {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let key = Key::from(unsafe { &(*provider).providerKey });
    change(
        kernel,
        "FwpmProviderAdd0",
        engine,
        |objects, owner| match objects.providers.insert(key, owner) {
            None => status::SUCCESS,
            Some(before) => {
                objects.providers.insert(key, before);
                status::FWP_ALREADY_EXISTS
            }
        },
    )
}

/// The provider that an object names, if it names one. Read before anything is borrowed: the pointer may be bad.
fn provider_named(provider: *const wfp_sys::GUID) -> Option<Key> {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { provider.as_ref() }.map(Key::from)
}

/// Whether the provider that an object names is there (no name is allowed).
fn provider_known(objects: &Objects, provider: Option<Key>) -> bool {
    provider.is_none_or(|provider| objects.providers.contains_key(&provider))
}

pub(super) fn add_sublayer(
    kernel: &Kernel,
    engine: Handle,
    sublayer: *const FWPM_SUBLAYER0,
    _security: *mut c_void,
) -> NtStatus {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let sublayer = unsafe { &*sublayer };
    let (key, weight, provider) = (
        Key::from(&sublayer.subLayerKey),
        sublayer.weight,
        provider_named(sublayer.providerKey),
    );
    change(kernel, "FwpmSubLayerAdd0", engine, |objects, owner| {
        if objects.sublayers.contains_key(&key) {
            return status::FWP_ALREADY_EXISTS;
        }
        if !provider_known(objects, provider) {
            return status::FWP_PROVIDER_NOT_FOUND;
        }
        objects.sublayers.insert(
            key,
            SubLayer {
                weight,
                provider,
                owner,
            },
        );
        status::SUCCESS
    })
}

pub(super) fn add_callout(
    kernel: &Kernel,
    engine: Handle,
    callout: *const FWPM_CALLOUT0,
    _security: *mut c_void,
    id: *mut u32,
) -> NtStatus {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let callout = unsafe { &*callout };
    let key = Key::from(&callout.calloutKey);
    let provider = provider_named(callout.providerKey);
    let Some(layer) = layer_of(Key::from(&callout.applicableLayer)) else {
        return status::FWP_NOT_FOUND;
    };
    let number = kernel
        .fwp
        .callout_id(key)
        .unwrap_or_else(|| kernel.fwp.new_id());
    let result = change(kernel, "FwpmCalloutAdd0", engine, |objects, owner| {
        if objects.callouts.contains_key(&key) {
            return status::FWP_ALREADY_EXISTS;
        }
        if !provider_known(objects, provider) {
            return status::FWP_PROVIDER_NOT_FOUND;
        }
        objects.callouts.insert(
            key,
            ManagementCallout {
                layer,
                provider,
                owner,
            },
        );
        status::SUCCESS
    });
    if result == status::SUCCESS && !id.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { id.write(number) };
    }
    result
}

pub(super) fn add_filter(
    kernel: &Kernel,
    engine: Handle,
    filter: *const FWPM_FILTER0,
    _security: *mut c_void,
    id: *mut u64,
) -> NtStatus {
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let filter = unsafe { &*filter };
    let Some(layer) = layer_of(Key::from(&filter.layerKey)) else {
        return status::FWP_NOT_FOUND;
    };
    // SAFETY: the union is read as the action type says.
    let callout = Key::from(unsafe { &filter.action.Anonymous.calloutKey });
    let action = match filter.action.r#type {
        consts::FWP_ACTION_BLOCK => FilterAction::Block,
        consts::FWP_ACTION_PERMIT => FilterAction::Permit,
        consts::FWP_ACTION_CALLOUT_TERMINATING => FilterAction::Terminating(callout),
        consts::FWP_ACTION_CALLOUT_UNKNOWN => FilterAction::Unknown(callout),
        consts::FWP_ACTION_CALLOUT_INSPECTION => FilterAction::Inspection(callout),
        _ => return status::FWP_INVALID_PARAMETER,
    };
    let Some(conditions) = conditions(layer, filter) else {
        return status::FWP_INVALID_PARAMETER;
    };
    let weight = match filter.weight.r#type {
        consts::FWP_EMPTY => 0,
        // SAFETY: the union is read as the type says.
        consts::FWP_UINT8 => u64::from(unsafe { filter.weight.Anonymous.uint8 }) << 60,
        // SAFETY: as above; the pointer is the driver's.
        consts::FWP_UINT64 => unsafe { *filter.weight.Anonymous.uint64 },
        _ => return status::FWP_INVALID_PARAMETER,
    };
    let number = u64::from(kernel.fwp.new_id());
    let (key, flags, provider) = (
        Key::from(&filter.subLayerKey),
        filter.flags,
        provider_named(filter.providerKey),
    );
    // Without a key of the driver's the engine makes one.
    let own_key = match Key::from(&filter.filterKey) {
        none if none.is_zero() => Key::made(number),
        given => given,
    };
    let mut added = None;
    // SAFETY: both members of the union are plain data of which rawContext is the first eight bytes.
    let context = unsafe { filter.Anonymous.rawContext };
    let result = change(kernel, "FwpmFilterAdd0", engine, |objects, owner| {
        let sublayer = if key.is_zero() {
            Key::from(&fwpm::FWPM_SUBLAYER_UNIVERSAL)
        } else {
            key
        };
        if !objects.sublayers.contains_key(&sublayer) {
            return status::FWP_SUBLAYER_NOT_FOUND;
        }
        if !provider_known(objects, provider) {
            return status::FWP_PROVIDER_NOT_FOUND;
        }
        if let FilterAction::Terminating(callout)
        | FilterAction::Unknown(callout)
        | FilterAction::Inspection(callout) = action
            && objects
                .callouts
                .get(&callout)
                .is_none_or(|callout| callout.layer != layer)
        {
            return status::FWP_CALLOUT_NOT_FOUND;
        }
        if objects.filters.iter().any(|filter| filter.key == own_key) {
            return status::FWP_ALREADY_EXISTS;
        }
        let filter = Filter {
            id: number,
            key: own_key,
            provider,
            layer,
            sublayer,
            weight,
            flags,
            action,
            conditions,
            context,
            owner,
        };
        objects.filters.push(filter.clone());
        added = Some(filter);
        status::SUCCESS
    });
    if let Some(filter) = added {
        let refused = notify::added(kernel, &filter);
        if refused < 0 {
            take_back(kernel, engine, number);
            return refused;
        }
    }
    if result == status::SUCCESS && !id.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { id.write(number) };
    }
    result
}

/// The filter's conditions, by field of the layer; `None` for a field or a type that the model does not know.
fn conditions(layer: u16, filter: &FWPM_FILTER0) -> Option<Vec<Condition>> {
    (0..filter.numFilterConditions as usize)
        .map(|index| {
            // SAFETY: the driver says how many conditions there are; a lie faults and is reported.
            let condition = unsafe { &*filter.filterCondition.add(index) };
            let field = super::arguments::field_of(layer, Key::from(&condition.fieldKey))?;
            let value = super::Value::of_condition(&condition.conditionValue)?;
            Some(Condition {
                field,
                matching: condition.matchType,
                value,
            })
        })
        .collect()
}
