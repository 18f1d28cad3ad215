//! The history of each object: who did what to it, when, at which IRQL.

use std::borrow::Cow;
use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use super::journey::Journey;
use super::stack;
use crate::machine::Kernel;
use crate::machine::Thread;
use crate::machine::ThreadId;
use crate::machine::Time;

/// Stands for object 0 where a step says what it concerns.
const LEDGER: usize = 1 << 55;

/// How many dead objects are remembered. A use after free comes soon after the free.
const DEAD_KEPT: usize = 8192;

/// Names an object within one machine. Never used again for another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectId(pub u32);

/// Something that happened to an object.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub time: Time,
    /// On which thread; `None` for what the simulator did from outside.
    pub thread: Option<(ThreadId, u8)>,
    /// At which level.
    pub irql: u8,
    /// What, in the field's words: "referenced", "cloned as 0x…", "freed".
    pub what: Cow<'static, str>,
    /// The thread's name.
    pub name: Option<Arc<str>>,
    /// Return addresses, innermost first, if the machine keeps them ([`Config::event_stacks`](crate::Config::event_stacks)).
    pub(crate) frames: Box<[usize]>,
    /// The same as function, file and line, in the history of a violation; they are looked up only there.
    pub stack: Vec<String>,
}

struct Object {
    label: String,
    events: Vec<Event>,
    late: Option<&'static str>,
}

/// All histories.
pub struct Ledger {
    /// Whether histories are kept at all.
    keeps: bool,
    /// Stands for the events of each object and all that led to them, by number.
    orders: RefCell<Vec<u64>>,
    objects: RefCell<BTreeMap<ObjectId, Object>>,
    dead: RefCell<VecDeque<ObjectId>>,
    next: Cell<u32>,
    /// Stands for the order of all events of each object and each thread.
    order: Cell<u64>,
    /// The packet that somebody follows.
    pub(super) journey: Journey,
}

impl Ledger {
    /// A ledger that keeps histories, or one that only numbers objects.
    pub(crate) fn new(keeps: bool) -> Self {
        Self {
            keeps,
            orders: RefCell::default(),
            objects: RefCell::default(),
            dead: RefCell::default(),
            next: Cell::new(0),
            order: Cell::new(0),
            journey: Journey::default(),
        }
    }

    /// Text for the ledger; none where it keeps nothing.
    pub(crate) fn told(&self, tell: impl FnOnce() -> String) -> String {
        if self.keeps { tell() } else { String::new() }
    }

    /// Begins the history of an object.
    pub fn begin(&self, label: impl Into<String>) -> ObjectId {
        let id = ObjectId(self.next.get() + 1);
        self.next.set(id.0);
        if !self.keeps {
            return id;
        }
        self.objects.borrow_mut().insert(
            id,
            Object {
                label: label.into(),
                events: Vec::new(),
                late: None,
            },
        );
        id
    }

    /// Notes that the object is gone; its history is kept for a while.
    pub fn end(&self, id: ObjectId) {
        if !self.keeps {
            return;
        }
        let mut dead = self.dead.borrow_mut();
        dead.push_back(id);
        if dead.len() > DEAD_KEPT
            && let Some(oldest) = dead.pop_front()
        {
            self.objects.borrow_mut().remove(&oldest);
        }
    }

    /// A number that stands for the order in which things happened to each object and on each thread: runs in which it is the
    /// same differ at most in the order of things that do not concern each other.
    pub fn order(&self) -> u64 {
        self.order.get()
    }

    /// How many objects are remembered, alive and dead.
    pub fn remembered(&self) -> usize {
        self.objects.borrow().len()
    }

    /// What the object is called.
    pub fn label(&self, id: ObjectId) -> String {
        self.objects.borrow().get(&id).map_or_else(
            || "an object no longer remembered".to_owned(),
            |object| object.label.clone(),
        )
    }

    /// What happened to it, oldest first.
    pub fn events(&self, id: ObjectId) -> Vec<Event> {
        self.objects
            .borrow()
            .get(&id)
            .map(|object| object.events.clone())
            .unwrap_or_default()
    }

    /// Says which rule a touch of the object breaks once it is gone, where there is one that tells more than "freed".
    pub fn set_late_rule(&self, id: ObjectId, rule: &'static str) {
        if let Some(object) = self.objects.borrow_mut().get_mut(&id) {
            object.late = Some(rule);
        }
    }

    /// The rule that a touch of the object breaks once it is gone, if it is not just that of freed memory.
    pub fn late_rule(&self, id: ObjectId) -> Option<&'static str> {
        self.objects.borrow().get(&id)?.late
    }

    fn push(&self, id: ObjectId, event: Event) {
        if let Some(object) = self.objects.borrow_mut().get_mut(&id) {
            object.events.push(event);
        }
    }
}

impl Ledger {
    /// Counts an event in: what it is follows from what came before on its object and on its thread.
    fn mix(&self, object: ObjectId, thread: Option<&Thread>, what: &str) {
        let mut orders = self.orders.borrow_mut();
        let index = object.0 as usize;
        if orders.len() <= index {
            orders.resize(index + 64, 0);
        }
        let before = thread.map_or(0, |thread| thread.order.get());
        let mut order = orders[index].rotate_left(21) ^ before;
        // Addresses in it tell nothing of the order; the words before them do.
        for &byte in what.as_bytes().iter().take(10) {
            order = (order ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        order = (order ^ (order >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        orders[index] = order;
        if let Some(thread) = thread {
            thread.order.set(order);
        }
        // Added up, so that events that do not concern each other count the same in either order.
        self.order.set(self.order.get().wrapping_add(order));
    }
}

impl Kernel {
    /// Notes that something happened to an object, by the running thread.
    pub(crate) fn note(&self, id: ObjectId, what: impl Into<Cow<'static, str>>) {
        let thread = self.running_thread();
        let what = what.into();
        self.ledger.mix(id, thread.as_deref(), &what);
        self.random.touches(LEDGER + id.0 as usize);
        if !self.ledger.keeps {
            return;
        }
        let event = self.event(what);
        self.ledger.journey.add(id, &event);
        self.ledger.push(id, event);
    }

    /// Something that the running thread does now.
    pub(super) fn event(&self, what: Cow<'static, str>) -> Event {
        let thread = self.running_thread();
        let frames = if self.config.event_stacks {
            stack::capture(self).into_boxed_slice()
        } else {
            Box::default()
        };
        Event {
            time: self.now(),
            irql: thread.as_ref().map_or(0, |thread| thread.irql.get()),
            name: thread.as_ref().map(|thread| Arc::clone(&thread.name)),
            thread: thread.map(|thread| (thread.id, thread.processor.get().unwrap_or(0))),
            what,
            frames,
            stack: Vec::new(),
        }
    }

    /// What happened to an object, each event with its stack told, if it was kept.
    pub(crate) fn history(&self, id: ObjectId) -> Vec<Event> {
        let mut events = self.ledger.events(id);
        for event in &mut events {
            event.stack = stack::of_event(self, &event.frames);
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Ledger;

    /// What may happen to an object, in these stories.
    const WORDS: [&str; 3] = ["held", "told", "gone"];

    /// The order of a ledger to one of whose objects each of these happened, one after the other.
    fn order_after(events: impl IntoIterator<Item = usize>) -> u64 {
        let ledger = Ledger::new(false);
        let object = ledger.begin("");
        for event in events {
            ledger.mix(object, None, WORDS[event]);
        }
        ledger.order()
    }

    #[test]
    fn each_of_twenty_thousand_histories_has_an_order_of_its_own() {
        const LENGTH: u32 = 9;
        let histories = WORDS.len().pow(LENGTH);
        let orders: BTreeSet<u64> = (0..histories)
            .map(|history| {
                order_after((0..LENGTH).map(|place| history / 3usize.pow(place) % WORDS.len()))
            })
            .collect();
        assert_eq!(orders.len(), histories);
    }

    #[test]
    fn what_happened_is_told_by_each_of_its_first_ten_letters() {
        let order_of = |what: &str| {
            let ledger = Ledger::new(false);
            let object = ledger.begin("");
            ledger.mix(object, None, what);
            ledger.order()
        };
        let words = "it is held by 0x1000";
        for place in 0..words.len() {
            let mut other = words.to_owned();
            other.replace_range(place..=place, "Z");
            let told_apart = order_of(&other) != order_of(words);
            // Addresses stand behind, and tell nothing.
            assert_eq!(told_apart, place < 10, "{other}");
        }
    }

    #[test]
    fn what_concerns_different_objects_counts_the_same_in_either_order() {
        let order_of = |first_happens_first: bool| {
            let ledger = Ledger::new(false);
            let objects = [ledger.begin(""), ledger.begin("")];
            let [earlier, later] = if first_happens_first { [0, 1] } else { [1, 0] };
            ledger.mix(objects[earlier], None, WORDS[earlier]);
            ledger.mix(objects[later], None, WORDS[later]);
            ledger.order()
        };
        assert_eq!(order_of(true), order_of(false));
    }
}
