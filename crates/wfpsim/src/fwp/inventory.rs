//! What a driver has in the filter engine, for people to read.

use std::collections::BTreeMap;

use wfp_sys::layers::LAYER_NAMES;

use super::State;
use super::objects::FilterAction;
use super::objects::Key;

/// A callout, by its key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalloutSeen {
    /// Its key, a GUID.
    pub key: String,
    /// Whether it is registered with the run-time engine (FwpsCalloutRegister).
    pub registered: bool,
    /// The layer that it was added at (FwpmCalloutAdd).
    pub layer: Option<String>,
    /// The filters that name it.
    pub filters: Vec<FilterSeen>,
}

/// A filter that names a callout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterSeen {
    /// Its layer.
    pub layer: String,
    /// What the callout may do: `terminating`, `unknown`, `inspection`.
    pub action: &'static str,
    /// How many conditions it has.
    pub conditions: usize,
}

impl State {
    /// The callouts that a driver registered, added, or named in a filter.
    pub(crate) fn inventory(&self) -> Vec<CalloutSeen> {
        let mut seen: BTreeMap<Key, CalloutSeen> = BTreeMap::new();
        for callout in self.callouts.borrow().values() {
            seen.entry(callout.key).or_default().registered = true;
        }
        let objects = self.objects.borrow();
        for (&key, callout) in &objects.callouts {
            seen.entry(key).or_default().layer = Some(layer(callout.layer));
        }
        for filter in objects
            .filters
            .iter()
            .filter(|filter| filter.owner.is_some())
        {
            let (key, action) = match filter.action {
                FilterAction::Block | FilterAction::Permit => continue,
                FilterAction::Terminating(key) => (key, "terminating"),
                FilterAction::Unknown(key) => (key, "unknown"),
                FilterAction::Inspection(key) => (key, "inspection"),
            };
            seen.entry(key).or_default().filters.push(FilterSeen {
                layer: layer(filter.layer),
                action,
                conditions: filter.conditions.len(),
            });
        }
        let named = seen.into_iter().map(|(key, mut callout)| {
            callout.key = key.to_string();
            callout
        });
        named.collect()
    }
}

/// The name of a layer, without what all of them begin with.
fn layer(number: u16) -> String {
    LAYER_NAMES.get(usize::from(number)).map_or_else(
        || format!("layer {number}"),
        |name| name.trim_start_matches("FWPS_LAYER_").to_owned(),
    )
}
