//! What the driver has in the filter engine: callouts, a dynamic session, a sublayer and filters.

use std::ptr::null;
use std::ptr::null_mut;

use wdk_sys_portable::_KWAIT_REASON;
use wdk_sys_portable::LARGE_INTEGER;
use wdk_sys_portable::NTSTATUS;
use wdk_sys_portable::STATUS_SUCCESS;
use wdk_sys_portable::call_unsafe_wdf_function_binding;
use wdk_sys_portable::ntddk::KeDelayExecutionThread;
use wdk_sys_portable::ntddk::KeWaitForSingleObject;
use wfp_sys::GUID;
use wfp_sys::consts::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::status::STATUS_DEVICE_BUSY;

use super::Layer;
use super::classify;
use super::flows;
use super::globals;
use super::worker::KERNEL_MODE;
use crate::makes;

/// The sublayer's key.
pub const SUBLAYER: GUID = GUID::from_u128(0x1ee1_c0de_5b1a_4000_8000_0000_0000_0001);

/// The key of the sublayer below it.
const SECOND_SUBLAYER: GUID = GUID::from_u128(0x1ee1_c0de_5b1a_4000_8000_0000_0000_0002);

/// One place where the driver filters.
#[derive(Clone, Copy)]
struct Place {
    layer: Layer,
    v6: bool,
    /// In the second sublayer.
    second: bool,
}

impl Place {
    /// The key of its callout.
    fn key(self) -> GUID {
        let key = key(self.layer, self.v6);
        GUID {
            data1: key.data1 + u32::from(self.second),
            ..key
        }
    }

    fn sublayer(self) -> GUID {
        if self.second {
            SECOND_SUBLAYER
        } else {
            SUBLAYER
        }
    }
}

/// The key of the callout at a layer.
pub const fn key(layer: Layer, v6: bool) -> GUID {
    GUID::from_u128(0x1ee1_c0de_ca11_4000_8000_0000_0000_0000 | (layer as u128) << 8 | v6 as u128)
}

/// The layer's own key.
pub const fn layer_key(layer: Layer, v6: bool) -> GUID {
    match (layer, v6) {
        (Layer::InboundTransport, false) => FWPM_LAYER_INBOUND_TRANSPORT_V4,
        (Layer::InboundTransport, true) => FWPM_LAYER_INBOUND_TRANSPORT_V6,
        (Layer::OutboundTransport, false) => FWPM_LAYER_OUTBOUND_TRANSPORT_V4,
        (Layer::OutboundTransport, true) => FWPM_LAYER_OUTBOUND_TRANSPORT_V6,
        (Layer::RecvAccept, false) => FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4,
        (Layer::RecvAccept, true) => FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V6,
        (Layer::Connect, false) => FWPM_LAYER_ALE_AUTH_CONNECT_V4,
        (Layer::Connect, true) => FWPM_LAYER_ALE_AUTH_CONNECT_V6,
    }
}

/// Every layer of the setup in both its forms.
fn places() -> impl Iterator<Item = Place> {
    let setup = unsafe { (*globals()).setup };
    let sublayers = [false, true].into_iter().take(1 + usize::from(setup.twice));
    sublayers.flat_map(move |second| {
        setup
            .layers
            .iter()
            .flat_map(move |&layer| [false, true].map(|v6| Place { layer, v6, second }))
    })
}

/// Registers the callouts with the run-time engine.
pub fn register() -> NTSTATUS {
    let globals = globals();
    unsafe {
        let device =
            call_unsafe_wdf_function_binding!(WdfDeviceWdmGetDeviceObject, (*globals).device);
        let device = if makes("A-02-no-device") {
            null_mut()
        } else {
            device
        };
        for place in places() {
            if makes("A-03") && place.v6 {
                continue;
            }
            let copied = makes("A-02-copied-key") && place.v6;
            let callout = FWPS_CALLOUT3 {
                calloutKey: if copied {
                    key(place.layer, false)
                } else {
                    place.key()
                },
                // None of the offloads, or packets come that may not be injected.
                flags: if makes("A-10") {
                    FWP_CALLOUT_FLAG_ALLOW_URO
                } else {
                    0
                },
                classifyFn: Some(classify::classify),
                notifyFn: Some(classify::notify),
                flowDeleteFn: None,
            };
            let mut id = 0;
            let status = FwpsCalloutRegister3(device.cast(), &raw const callout, &raw mut id);
            if status != STATUS_SUCCESS {
                return status;
            }
            (*globals).callouts[(*globals).callout_count] = id;
            (*globals).callout_count += 1;
        }
        if (*globals).setup.flows {
            return flows::register(device);
        }
        STATUS_SUCCESS
    }
}

/// Unregisters the callouts, as often as it takes.
pub fn unregister() {
    let globals = globals();
    unsafe {
        while (*globals).callout_count > 0 {
            let id = (*globals).callouts[(*globals).callout_count - 1];
            while FwpsCalloutUnregisterById0(id) == STATUS_DEVICE_BUSY && !gives_up() {
                sleep_a_millisecond();
            }
            (*globals).callout_count -= 1;
        }
    }
}

/// STATUS_DEVICE_BUSY is taken for done.
fn gives_up() -> bool {
    makes("A-09") || makes("A-05")
}

/// Waits a little, at PASSIVE_LEVEL.
pub fn sleep_a_millisecond() {
    // Relative.
    let mut interval = LARGE_INTEGER { QuadPart: -10_000 };
    let _slept = unsafe { KeDelayExecutionThread(KERNEL_MODE, 0, &raw mut interval) };
}

/// Waits until notifyFn was told that every filter is gone, which nobody promises.
pub fn wait_for_notifications() {
    if makes("A-08-unbalanced") {
        unsafe {
            KeWaitForSingleObject(
                (&raw mut (*globals()).no_filters).cast(),
                _KWAIT_REASON::Executive,
                KERNEL_MODE,
                0,
                null_mut(),
            );
        }
    }
}

/// Opens a dynamic session and adds sublayer, callouts and filters in one transaction.
pub fn add() -> NTSTATUS {
    let globals = globals();
    unsafe {
        let session = FWPM_SESSION0 {
            flags: if makes("O-28") {
                0
            } else {
                FWPM_SESSION_FLAG_DYNAMIC
            },
            ..Default::default()
        };
        let status = FwpmEngineOpen0(
            null(),
            RPC_C_AUTHN_DEFAULT,
            null_mut(),
            &raw const session,
            &raw mut (*globals).engine,
        );
        if status != STATUS_SUCCESS {
            return status;
        }
        let engine = (*globals).engine;
        let status = FwpmTransactionBegin0(engine, 0);
        if status != STATUS_SUCCESS {
            return status;
        }
        let status = add_objects();
        if status != STATUS_SUCCESS {
            let _aborted = FwpmTransactionAbort0(engine);
            return status;
        }
        FwpmTransactionCommit0(engine)
    }
}

/// Closes the session, and everything that was added with it goes.
pub fn remove() {
    let globals = globals();
    unsafe {
        if !(*globals).engine.is_null() {
            let _closed = FwpmEngineClose0((*globals).engine);
            (*globals).engine = null_mut();
        }
    }
}

fn add_objects() -> NTSTATUS {
    unsafe {
        let engine = (*globals()).engine;
        let universal = match universal_weight() {
            Ok(universal) => universal,
            Err(status) => return status,
        };
        // below the sublayer in which IPsec's own callouts are.
        for (key, below) in [(SUBLAYER, 1), (SECOND_SUBLAYER, 2)] {
            let sublayer = FWPM_SUBLAYER0 {
                subLayerKey: key,
                weight: if makes("A-67") {
                    universal
                } else {
                    universal - below
                },
                ..Default::default()
            };
            let status = FwpmSubLayerAdd0(engine, &raw const sublayer, null_mut());
            if status != STATUS_SUCCESS {
                return status;
            }
        }
        for place in places() {
            let layer = layer_key(place.layer, place.v6);
            let callout = FWPM_CALLOUT0 {
                calloutKey: place.key(),
                applicableLayer: layer,
                ..Default::default()
            };
            let status = FwpmCalloutAdd0(engine, &raw const callout, null_mut(), null_mut());
            if status != STATUS_SUCCESS {
                return status;
            }
            let mut filter = FWPM_FILTER0 {
                layerKey: layer,
                subLayerKey: place.sublayer(),
                flags: if (*globals()).setup.final_permit {
                    FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT
                } else {
                    0
                },
                ..Default::default()
            };
            filter.action.r#type = FWP_ACTION_CALLOUT_TERMINATING;
            filter.action.Anonymous.calloutKey = place.key();
            let status = FwpmFilterAdd0(engine, &raw const filter, null_mut(), null_mut());
            if status != STATUS_SUCCESS {
                return status;
            }
        }
        if (*globals()).setup.flows {
            return flows::add(engine);
        }
        STATUS_SUCCESS
    }
}

/// The weight of FWPM_SUBLAYER_UNIVERSAL, which nothing documents.
fn universal_weight() -> Result<u16, NTSTATUS> {
    unsafe {
        let engine = (*globals()).engine;
        let mut enumeration = null_mut();
        let status = FwpmSubLayerCreateEnumHandle0(engine, null(), &raw mut enumeration);
        if status != STATUS_SUCCESS {
            return Err(status);
        }
        let (mut entries, mut count) = (null_mut(), 0);
        let status = FwpmSubLayerEnum0(engine, enumeration, 64, &raw mut entries, &raw mut count);
        let mut weight = Err(status);
        if status == STATUS_SUCCESS {
            // Without it there is nothing to be below of.
            weight = Ok(1);
            for index in 0..count as usize {
                let sublayer = &**entries.add(index);
                let (one, other) = (sublayer.subLayerKey, FWPM_SUBLAYER_UNIVERSAL);
                if (one.data1, one.data2, one.data3, one.data4)
                    == (other.data1, other.data2, other.data3, other.data4)
                {
                    weight = Ok(sublayer.weight);
                }
            }
            FwpmFreeMemory0((&raw mut entries).cast());
        }
        let _ended = FwpmSubLayerDestroyEnumHandle0(engine, enumeration);
        weight
    }
}
