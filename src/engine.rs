//! The driver's objects in the filter engine, and the thread that keeps them there.
//!
//! The session is dynamic: when it is closed, by the driver or by its death, the engine removes every object that was
//! added through it. So no filter is ever left behind without its callout, which would block all it
//! matches.
//!
//! The base filtering engine is a service: it may not be up yet when the driver loads, and it can be restarted, which
//! ends every session. Its state changes are told by a callback that must not call into the engine; it wakes
//! the keeper, a thread that looks at the state and opens a new session when there is an engine to open it with. It is
//! not the worker's job, because committing the filters takes long enough for held packets to grow old.

use core::time::Duration;

use nt::signal::{Signal, Wake};
use nt::utf16;
use nt::{Passive, Result};
use tollgate_abi::Counter;
use wfp::{Bfe, BfeState, Engine, Family, GUID, Layer, LayerKind};

use crate::counters::Counters;

/// The provider's key. All of the driver's objects belong to it.
pub const PROVIDER: GUID = GUID::from_u128(0x154be31f_42bf_4a2c_b93e_80c15864d72e);

/// The sublayer's key.
pub const SUBLAYER: GUID = GUID::from_u128(0x7ce4bad4_ab9a_4a45_8000_ad7eae0452c7);

/// What the driver has at one layer.
pub struct LayerObjects {
    /// The layer.
    pub layer: Layer,
    /// The callout's key, which the registration and the engine's object share.
    pub callout: GUID,
    /// The filter's key.
    pub filter: GUID,
    /// The name of both, for `netsh wfp show` and the event log.
    pub name: &'static nt::utf16::WStr,
}

/// What the driver has at each of its layers.
pub const LAYERS: [LayerObjects; 8] = [
    LayerObjects {
        layer: Layer {
            kind: LayerKind::RecvAccept,
            family: Family::V4,
        },
        callout: GUID::from_u128(0x588fb4a2_faba_426d_8894_626e4f65a9c7),
        filter: GUID::from_u128(0x96abeccd_505b_4269_8a02_7283c1a5a2b0),
        name: utf16!("Tollgate: inbound connections, V4"),
    },
    LayerObjects {
        layer: Layer {
            kind: LayerKind::RecvAccept,
            family: Family::V6,
        },
        callout: GUID::from_u128(0xc27e2bc2_75d7_4030_b4c9_148fc3619390),
        filter: GUID::from_u128(0x1db4892b_9128_4a04_8dac_c72706ff0a2e),
        name: utf16!("Tollgate: inbound connections, V6"),
    },
    LayerObjects {
        layer: Layer {
            kind: LayerKind::Connect,
            family: Family::V4,
        },
        callout: GUID::from_u128(0x2eb90607_9fdd_47db_92ed_9da56cde4f72),
        filter: GUID::from_u128(0x7f44a9a1_c67d_43ac_a392_9ff7e5405b0d),
        name: utf16!("Tollgate: outbound connections, V4"),
    },
    LayerObjects {
        layer: Layer {
            kind: LayerKind::Connect,
            family: Family::V6,
        },
        callout: GUID::from_u128(0xa8d7edc8_3be0_4778_bd82_fb3b79db2401),
        filter: GUID::from_u128(0x5e7f9218_69aa_4836_8872_298d66885ffa),
        name: utf16!("Tollgate: outbound connections, V6"),
    },
    LayerObjects {
        layer: Layer {
            kind: LayerKind::InboundTransport,
            family: Family::V4,
        },
        callout: GUID::from_u128(0x3df2ffe9_cc2d_4f64_85d8_47d9469daf5e),
        filter: GUID::from_u128(0x89e7dfb2_4273_4539_95fc_4a3155355485),
        name: utf16!("Tollgate: inbound packets, V4"),
    },
    LayerObjects {
        layer: Layer {
            kind: LayerKind::InboundTransport,
            family: Family::V6,
        },
        callout: GUID::from_u128(0x932a343d_d597_41a9_b5a2_d7575bf1923f),
        filter: GUID::from_u128(0x33d56004_7be7_4a94_a0d4_06cc73323a75),
        name: utf16!("Tollgate: inbound packets, V6"),
    },
    LayerObjects {
        layer: Layer {
            kind: LayerKind::OutboundTransport,
            family: Family::V4,
        },
        callout: GUID::from_u128(0x9e2e61ec_af80_4276_b603_7f938628bcc2),
        filter: GUID::from_u128(0xda8272e9_010a_41cf_8d2a_86271c2e5cf0),
        name: utf16!("Tollgate: outbound packets, V4"),
    },
    LayerObjects {
        layer: Layer {
            kind: LayerKind::OutboundTransport,
            family: Family::V6,
        },
        callout: GUID::from_u128(0xa065889c_f0cc_480b_889c_b5c132bbecef),
        filter: GUID::from_u128(0xbbe453ba_b803_4ba2_aa84_f5405b8e6b45),
        name: utf16!("Tollgate: outbound packets, V6"),
    },
];

/// How long the keeper waits before it tries again to open a session with an engine that says it is running.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Opens a session and adds provider, sublayer, callouts and filters, all of them or none.
///
/// Errors: those of the engine, among them STATUS_FWP_ALREADY_EXISTS when another instance has its objects there.
/// IRQL = PASSIVE_LEVEL.
pub fn open(passive: &Passive) -> Result<Engine> {
    let mut engine = Engine::open_dynamic(passive, utf16!("Tollgate"))?;
    // Returning early drops the transaction, which aborts it, and then the session.
    let transaction = engine.transaction(passive)?;
    transaction.add_provider(&PROVIDER, utf16!("Tollgate"))?;
    // IPsec's own callouts are in the universal sublayer. Ours must see packets after them, and what that
    // sublayer weighs is not documented, so it is looked up.
    let weight = transaction.weight_below_universal()?;
    transaction.add_sublayer(&SUBLAYER, &PROVIDER, weight, utf16!("Tollgate"))?;
    for LayerObjects {
        layer,
        callout,
        filter,
        name,
    } in &LAYERS
    {
        transaction.add_callout(callout, &PROVIDER, *layer, name)?;
        let _runtime_id =
            transaction.add_filter(filter, &PROVIDER, &SUBLAYER, callout, *layer, name)?;
    }
    transaction.commit()?;
    Ok(engine)
}

/// Opens a session if the engine is up; `None` if it is not, which is no error: the keeper will.
///
/// IRQL = PASSIVE_LEVEL.
pub fn open_if_running(passive: &Passive, counters: &Counters) -> Result<Option<Engine>> {
    if Bfe::state() != BfeState::Running {
        return Ok(None);
    }
    match open(passive) {
        Ok(engine) => {
            counters.add(Counter::EngineAdded);
            Ok(Some(engine))
        }
        Err(status) => {
            counters.add(Counter::EngineFailed);
            Err(status)
        }
    }
}

/// The keeper's body: starts with the session that was opened at load, if there was an engine then, and closes
/// the one it has last. IRQL = PASSIVE_LEVEL.
pub fn keep(passive: &Passive, signal: &Signal, counters: &Counters, mut engine: Option<Engine>) {
    loop {
        // Without a session and with an engine the last try failed: the engine was just going away, or memory was short.
        let waiting = engine.is_none() && Bfe::state() == BfeState::Running;
        match signal.wait(passive, waiting.then_some(TRY_AGAIN)) {
            Wake::Stopped => break,
            // A session that came through a change of state is one with an engine that may be gone, and its objects with
            // it. The old one is closed first, because the new one adds objects of the same keys.
            Wake::Woken => drop(engine.take()),
            Wake::TimedOut => {}
        }
        if engine.is_none() {
            engine = open_if_running(passive, counters).unwrap_or(None);
        }
    }
    if let Some(engine) = engine {
        engine.close(passive);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_is_there_once_and_no_key_twice() {
        let mut keys = vec![PROVIDER, SUBLAYER];
        for layer in Layer::ALL {
            let objects: Vec<_> = LAYERS
                .iter()
                .filter(|objects| objects.layer == layer)
                .collect();
            assert_eq!(objects.len(), 1, "{layer:?}");
            keys.extend([objects[0].callout, objects[0].filter]);
        }
        let numbers = |key: &GUID| (key.data1, key.data2, key.data3, key.data4);
        for (index, key) in keys.iter().enumerate() {
            let earlier = &keys[..index];
            assert!(
                earlier.iter().all(|other| numbers(other) != numbers(key)),
                "key {index}"
            );
        }
    }
}
