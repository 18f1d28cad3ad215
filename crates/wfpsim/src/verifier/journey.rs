//! What happens to one packet, for somebody who wants to see it: from its arrival to its end, with its lists, clones and pended
//! operations.

use std::borrow::Cow;
use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use wfp_sys::ndis::NET_BUFFER_LIST;

use super::ledger::Event;
use super::ledger::ObjectId;
use crate::machine::Kernel;

/// What a packet is called among its own.
const PACKET: &str = "packet";

/// Something that happened to the packet, or to something of its.
#[derive(Clone, Debug)]
pub struct Happening {
    /// To what: "packet", "original", "clone", "copy" (a list that the driver made), "pended"; a second one is "clone 2".
    pub of: Arc<str>,
    /// What, when, and on which thread.
    pub event: Event,
}

/// The packet that is followed, what is known to be of it, and what has happened.
#[derive(Default)]
pub(super) struct Journey {
    packet: Cell<Option<u64>>,
    objects: RefCell<BTreeMap<ObjectId, Arc<str>>>,
    /// How many of each kind there were.
    kinds: RefCell<BTreeMap<&'static str, u32>>,
    happened: RefCell<Vec<Happening>>,
}

impl Journey {
    /// Adds an event, if its object is one of the packet's.
    pub(super) fn add(&self, object: ObjectId, event: &Event) {
        if self.packet.get().is_none() {
            return;
        }
        if let Some(of) = self.objects.borrow().get(&object) {
            self.happened.borrow_mut().push(Happening {
                of: Arc::clone(of),
                event: event.clone(),
            });
        }
    }
}

impl Kernel {
    /// Follows a packet from now on, and no other.
    pub(crate) fn follow(&self, packet: u64) {
        self.ledger.journey.packet.set(Some(packet));
    }

    /// What has happened to the packet that is followed.
    pub(crate) fn journey(&self) -> Vec<Happening> {
        self.ledger.journey.happened.borrow().clone()
    }

    /// Whether it is this packet that is followed.
    pub(crate) fn follows(&self, packet: u64) -> bool {
        self.ledger.journey.packet.get() == Some(packet)
    }

    /// Whether the packet that is followed is in a list.
    pub(crate) fn follows_list(&self, list: *const NET_BUFFER_LIST) -> bool {
        let packet = self.ledger.journey.packet.get();
        packet.is_some_and(|packet| {
            self.ndis.with(list, |list| list.packets.contains(&packet)) == Some(true)
        })
    }

    /// Something happened to the packet that is followed.
    pub(crate) fn tell(&self, what: impl Into<Cow<'static, str>>) {
        let happening = Happening {
            of: PACKET.into(),
            event: self.event(what.into()),
        };
        self.ledger.journey.happened.borrow_mut().push(happening);
    }

    /// What happens to an object from now on happens to the packet that is followed.
    pub(crate) fn follow_too(&self, object: ObjectId, kind: &'static str) {
        let journey = &self.ledger.journey;
        let mut kinds = journey.kinds.borrow_mut();
        let count = kinds.entry(kind).or_default();
        *count += 1;
        let name = if *count == 1 {
            kind.into()
        } else {
            format!("{kind} {count}").into()
        };
        journey.objects.borrow_mut().insert(object, name);
    }
}
