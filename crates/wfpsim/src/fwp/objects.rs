//! Management objects: providers, sublayers, callouts and filters, as the base filtering engine keeps them.

use std::collections::BTreeMap;

use wfp_sys::GUID;
use wfp_sys::consts;
use wfp_sys::fwpm;

use crate::machine::Kernel;

/// A GUID that can be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u32, u16, u16, [u8; 8]);

impl From<&GUID> for Key {
    fn from(guid: &GUID) -> Self {
        Self(guid.data1, guid.data2, guid.data3, guid.data4)
    }
}

impl Key {
    /// The GUID itself.
    pub fn guid(self) -> GUID {
        GUID {
            data1: self.0,
            data2: self.1,
            data3: self.2,
            data4: self.3,
        }
    }

    /// A key that no driver gives, for the object of this number.
    pub fn made(number: u64) -> Self {
        Self(0x6F62_6A00, 0, 0, number.to_le_bytes())
    }

    /// Whether no key was given.
    pub fn is_zero(self) -> bool {
        self == Self(0, 0, 0, [0; 8])
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tail = self.3.map(|byte| format!("{byte:02x}")).concat();
        let (node, rest) = tail.split_at(4);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{node}-{rest}",
            self.0, self.1, self.2
        )
    }
}

/// Who added an object: `None` for what was there before any driver, the session's handle for what goes with the session,
/// [`STATIC`] for what a driver's session adds for good.
pub(super) type Owner = Option<usize>;

/// The owner of what a session that is not dynamic added. No handle has this value.
pub(super) const STATIC: usize = 0;

#[derive(Clone)]
pub(super) struct SubLayer {
    pub weight: u16,
    pub provider: Option<Key>,
    pub owner: Owner,
}

#[derive(Clone)]
pub(super) struct ManagementCallout {
    pub layer: u16,
    pub provider: Option<Key>,
    pub owner: Owner,
}

/// What a filter does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterAction {
    Block,
    Permit,
    /// Asks a callout whose answer decides.
    Terminating(Key),
    /// Asks a callout that may decide or pass.
    Unknown(Key),
    /// Shows a callout what passes.
    Inspection(Key),
}

impl FilterAction {
    /// The callout that it asks.
    pub fn callout(self) -> Option<Key> {
        match self {
            Self::Block | Self::Permit => None,
            Self::Terminating(key) | Self::Unknown(key) | Self::Inspection(key) => Some(key),
        }
    }

    /// FWP_ACTION_*.
    pub fn kind(self) -> u32 {
        match self {
            Self::Block => consts::FWP_ACTION_BLOCK,
            Self::Permit => consts::FWP_ACTION_PERMIT,
            Self::Terminating(_) => consts::FWP_ACTION_CALLOUT_TERMINATING,
            Self::Unknown(_) => consts::FWP_ACTION_CALLOUT_UNKNOWN,
            Self::Inspection(_) => consts::FWP_ACTION_CALLOUT_INSPECTION,
        }
    }
}

#[derive(Clone)]
pub(super) struct Filter {
    pub id: u64,
    pub key: Key,
    pub provider: Option<Key>,
    pub layer: u16,
    pub sublayer: Key,
    pub weight: u64,
    pub flags: u32,
    pub action: FilterAction,
    pub conditions: Vec<Condition>,
    pub context: u64,
    pub owner: Owner,
}

/// One condition, already resolved to a field of the layer.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub field: u16,
    pub matching: i32,
    pub value: super::Value,
}

/// All of it. A transaction works on a copy.
#[derive(Clone, Default)]
pub(super) struct Objects {
    pub providers: BTreeMap<Key, Owner>,
    pub sublayers: BTreeMap<Key, SubLayer>,
    pub callouts: BTreeMap<Key, ManagementCallout>,
    /// In the order added.
    pub filters: Vec<Filter>,
}

impl Objects {
    /// Takes away what a session owned. Gives the filters, of which their callouts are told.
    pub fn remove_owned(&mut self, session: usize) -> Vec<Filter> {
        let owned = |owner: &Owner| *owner == Some(session);
        let removed = self
            .filters
            .extract_if(.., |filter| owned(&filter.owner))
            .collect();
        self.callouts.retain(|_, callout| !owned(&callout.owner));
        self.sublayers.retain(|_, sublayer| !owned(&sublayer.owner));
        self.providers.retain(|_, owner| !owned(owner));
        removed
    }
}

/// The layer of a management key.
pub(super) fn layer_of(key: Key) -> Option<u16> {
    use wfp_sys::layers::*;
    macro_rules! table {
        ($(($guid:ident, $layer:ident),)*) => {
            [$((fwpm::$guid, $layer),)*]
        };
    }
    let table = table![
        (
            FWPM_LAYER_INBOUND_IPPACKET_V4,
            FWPS_LAYER_INBOUND_IPPACKET_V4
        ),
        (
            FWPM_LAYER_INBOUND_IPPACKET_V6,
            FWPS_LAYER_INBOUND_IPPACKET_V6
        ),
        (
            FWPM_LAYER_OUTBOUND_IPPACKET_V4,
            FWPS_LAYER_OUTBOUND_IPPACKET_V4
        ),
        (
            FWPM_LAYER_OUTBOUND_IPPACKET_V6,
            FWPS_LAYER_OUTBOUND_IPPACKET_V6
        ),
        (FWPM_LAYER_IPFORWARD_V4, FWPS_LAYER_IPFORWARD_V4),
        (FWPM_LAYER_IPFORWARD_V6, FWPS_LAYER_IPFORWARD_V6),
        (
            FWPM_LAYER_INBOUND_TRANSPORT_V4,
            FWPS_LAYER_INBOUND_TRANSPORT_V4
        ),
        (
            FWPM_LAYER_INBOUND_TRANSPORT_V6,
            FWPS_LAYER_INBOUND_TRANSPORT_V6
        ),
        (
            FWPM_LAYER_OUTBOUND_TRANSPORT_V4,
            FWPS_LAYER_OUTBOUND_TRANSPORT_V4
        ),
        (
            FWPM_LAYER_OUTBOUND_TRANSPORT_V6,
            FWPS_LAYER_OUTBOUND_TRANSPORT_V6
        ),
        (
            FWPM_LAYER_ALE_RESOURCE_ASSIGNMENT_V4,
            FWPS_LAYER_ALE_RESOURCE_ASSIGNMENT_V4
        ),
        (
            FWPM_LAYER_ALE_RESOURCE_ASSIGNMENT_V6,
            FWPS_LAYER_ALE_RESOURCE_ASSIGNMENT_V6
        ),
        (FWPM_LAYER_ALE_AUTH_LISTEN_V4, FWPS_LAYER_ALE_AUTH_LISTEN_V4),
        (FWPM_LAYER_ALE_AUTH_LISTEN_V6, FWPS_LAYER_ALE_AUTH_LISTEN_V6),
        (
            FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4,
            FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4
        ),
        (
            FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V6,
            FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6
        ),
        (
            FWPM_LAYER_ALE_AUTH_CONNECT_V4,
            FWPS_LAYER_ALE_AUTH_CONNECT_V4
        ),
        (
            FWPM_LAYER_ALE_AUTH_CONNECT_V6,
            FWPS_LAYER_ALE_AUTH_CONNECT_V6
        ),
        (
            FWPM_LAYER_ALE_FLOW_ESTABLISHED_V4,
            FWPS_LAYER_ALE_FLOW_ESTABLISHED_V4
        ),
        (
            FWPM_LAYER_ALE_FLOW_ESTABLISHED_V6,
            FWPS_LAYER_ALE_FLOW_ESTABLISHED_V6
        ),
        (
            FWPM_LAYER_ALE_RESOURCE_RELEASE_V4,
            FWPS_LAYER_ALE_RESOURCE_RELEASE_V4
        ),
        (
            FWPM_LAYER_ALE_RESOURCE_RELEASE_V6,
            FWPS_LAYER_ALE_RESOURCE_RELEASE_V6
        ),
        (
            FWPM_LAYER_ALE_ENDPOINT_CLOSURE_V4,
            FWPS_LAYER_ALE_ENDPOINT_CLOSURE_V4
        ),
        (
            FWPM_LAYER_ALE_ENDPOINT_CLOSURE_V6,
            FWPS_LAYER_ALE_ENDPOINT_CLOSURE_V6
        ),
    ];
    table
        .iter()
        .find(|(guid, _)| Key::from(guid) == key)
        .map(|&(_, layer)| layer)
}

/// The weight of FWPM_SUBLAYER_UNIVERSAL. The value is what Microsoft's WFPSampler assumes and nothing documents, so
/// drivers must enumerate it: each seed moves it.
fn universal_weight(kernel: &Kernel) -> u16 {
    0x8000u16.wrapping_sub((kernel.config.seed % 0x100) as u16)
}

/// What is there before any driver: the built-in sublayers, and another driver's filters if the machine is to have them.
pub(crate) fn boot(kernel: &Kernel) {
    let universal = universal_weight(kernel);
    let mut objects = kernel.fwp.objects.borrow_mut();
    objects.sublayers.insert(
        Key::from(&fwpm::FWPM_SUBLAYER_UNIVERSAL),
        SubLayer {
            weight: universal,
            provider: None,
            owner: None,
        },
    );
    // Two more of the built-in ones, so that an enumeration has something to pass over: one above, one below. Their
    // keys are made up; no driver asks for them.
    objects.sublayers.insert(
        Key(0x8, 0, 0, *b"built-in"),
        SubLayer {
            weight: universal.saturating_add(0x1000),
            provider: None,
            owner: None,
        },
    );
    objects.sublayers.insert(
        Key(0x9, 0, 0, *b"built-in"),
        SubLayer {
            weight: 1,
            provider: None,
            owner: None,
        },
    );
    if kernel.config.hard_permit {
        add_hard_permits(kernel, &mut objects);
    }
}

impl super::State {
    /// The weight of FWPM_SUBLAYER_UNIVERSAL.
    pub(super) fn universal_weight(&self) -> u16 {
        let key = Key::from(&fwpm::FWPM_SUBLAYER_UNIVERSAL);
        let objects = self.objects.borrow();
        objects
            .sublayers
            .get(&key)
            .map_or(0, |sublayer| sublayer.weight)
    }

    /// How many objects are there for good, whatever becomes of the sessions, and how many of them are filters whose callout is
    /// not registered: those block all that they match.
    pub(crate) fn stranded_objects(&self) -> (usize, usize) {
        let objects = self.objects.borrow();
        let stays = |owner: &Owner| *owner == Some(STATIC);
        let orphans = objects.filters.iter().filter(|filter| {
            let callout = filter.action.callout();
            stays(&filter.owner) && callout.is_some_and(|key| self.callout_id(key).is_none())
        });
        let others = [
            objects
                .filters
                .iter()
                .filter(|filter| stays(&filter.owner))
                .count(),
            objects
                .callouts
                .values()
                .filter(|callout| stays(&callout.owner))
                .count(),
            objects
                .sublayers
                .values()
                .filter(|sublayer| stays(&sublayer.owner))
                .count(),
            objects
                .providers
                .values()
                .filter(|owner| stays(owner))
                .count(),
        ];
        (others.iter().sum(), orphans.count())
    }

    /// Filters, callouts and sublayers that some driver added and that are still there.
    pub(crate) fn added_objects(&self) -> usize {
        let objects = self.objects.borrow();
        let owned_filters = objects
            .filters
            .iter()
            .filter(|filter| filter.owner.is_some())
            .count();
        let sublayers = objects
            .sublayers
            .values()
            .filter(|sublayer| sublayer.owner.is_some())
            .count();
        owned_filters + objects.callouts.len() + objects.providers.len() + sublayers
    }

    /// How many filters there are at a layer.
    pub(crate) fn filters_at(&self, layer: u16) -> usize {
        self.objects
            .borrow()
            .filters
            .iter()
            .filter(|filter| filter.layer == layer)
            .count()
    }
}

/// Another driver's filters that permit everything at every layer above whatever comes later, and take the right to change
/// that away: what a driver sees as a classify without the write right.
fn add_hard_permits(kernel: &Kernel, objects: &mut Objects) {
    use wfp_sys::layers::*;
    let key = Key(0x7, 0, 0, *b"hard-ok.");
    objects.sublayers.insert(
        key,
        SubLayer {
            weight: u16::MAX,
            provider: None,
            owner: None,
        },
    );
    let kinds = [
        FWPS_LAYER_INBOUND_TRANSPORT_V4,
        FWPS_LAYER_OUTBOUND_TRANSPORT_V4,
        FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4,
        FWPS_LAYER_ALE_AUTH_CONNECT_V4,
    ];
    for layer in kinds.into_iter().flat_map(|layer| [layer, layer + 2]) {
        objects.filters.push(Filter {
            id: u64::from(kernel.fwp.new_id()),
            key: Key(u32::from(layer), 0, 0, *b"hard-ok."),
            provider: None,
            layer,
            sublayer: key,
            weight: 0,
            flags: fwpm::FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT,
            action: FilterAction::Permit,
            conditions: Vec::new(),
            context: 0,
            owner: None,
        });
    }
}
