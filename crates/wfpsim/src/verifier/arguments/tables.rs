//! The tables: one line for each kind.

/// What the parameters behind the first are, and what the first says, where it is a kind.
pub(super) struct Kind {
    pub value: u64,
    pub says: &'static str,
    pub rest: [&'static str; 3],
}

/// Lines of a table: the first parameter, what it says, and what the others are.
macro_rules! kinds {
    ($($value:literal: $says:literal, $second:expr, $third:expr, $fourth:expr;)*) => {
        &[$( Kind { value: $value, says: $says, rest: [$second, $third, $fourth] } ),*]
    };
}

/// Lines of a table: a rule, and what the four parameters are.
macro_rules! by_rule {
    ($($rule:literal: $($what:expr),*;)*) => {
        &[$( ($rule, [$($what),*]) ),*]
    };
}

pub(super) const IRQL: &str = "the current IRQL";
const LOCK: &str = "the spin lock";

/// Bug check 0xC4.
pub(super) const VERIFIER: &[Kind] = kinds! {
    0x00: "pool of zero bytes was asked for", "the flags", "the tag", "";
    0x01: "paged pool was asked for above APC_LEVEL", IRQL, "the flags", "the bytes asked for";
    0x02: "pool was asked for above DISPATCH_LEVEL", IRQL, "the highest IRQL allowed", "";
    0x10: "an address that was never allocated was freed", "the address", "", "";
    0x11: "paged pool was freed above APC_LEVEL", IRQL, "the flags", "the block";
    0x12: "pool was freed above DISPATCH_LEVEL", IRQL, "the highest IRQL allowed", "";
    0x13: "pool that is free was freed", "", "the block", "";
    0x14: "pool that is free was freed", "", "the block", "";
    0x15: "pool with an active timer in it was freed", "the timer", "", "the block";
    0x30: "KeRaiseIrql to an IRQL below the current one", IRQL, "the IRQL asked for", "";
    0x31: "KeLowerIrql to an IRQL above the current one", IRQL, "the IRQL asked for", "";
    0x32: "a spin lock was released at an IRQL other than DISPATCH_LEVEL", IRQL, LOCK, "";
    0x35: "a queued spin lock was released at an IRQL other than DISPATCH_LEVEL", IRQL, LOCK, "the IRQL to return to";
    0x36: "a queued spin lock was released at an IRQL other than DISPATCH_LEVEL", IRQL, LOCK, "the IRQL to return to";
    0x3B: "a wait at DISPATCH_LEVEL or above", IRQL, "the object waited for", "";
    0x3C: "ObReferenceObjectByHandle was given a handle that is not open", "the handle", "", "";
    0x3E: "KeLeaveCriticalRegion without KeEnterCriticalRegion", "", "", "";
    0x3F: "an object without references was dereferenced", "the object", "its new number of references", "";
    0x40: "KeAcquireSpinLockAtDpcLevel below DISPATCH_LEVEL", IRQL, LOCK, "";
    0x41: "KeReleaseSpinLockFromDpcLevel below DISPATCH_LEVEL", IRQL, LOCK, "";
    0x42: "a spin lock was acquired above DISPATCH_LEVEL", IRQL, LOCK, "";
    0x60: "the driver was unloaded with pool not freed", "bytes of paged pool", "bytes of nonpaged pool", "how many blocks";
    0x61: "pool was asked for while the driver is unloaded", "bytes of paged pool", "bytes of nonpaged pool", "how many blocks";
    0x62: "the driver was unloaded with pool not freed", "the driver object", "", "how many blocks";
    0x80: "KeSetEvent above the IRQL that it allows", IRQL, "the event", "";
    0xC5: "a routine of the driver changed in how many critical regions its thread is", "the routine", "the regions now", "the regions before";
    0xDF: "a synchronization object where none may be", "the object", "", "";
    0xE0: "a user-mode address was given to a kernel function", "the address", "the bytes", "";
    0xE1: "a synchronization object at an invalid or pageable address", "the object", "", "";
    0xE3: "a user-mode address was given to a Zw function", "the call", "the address", "";
    0xE5: "a kernel function at an IRQL that it does not allow", IRQL, "", "";
    0xE6: "a Zw function above PASSIVE_LEVEL or with special APCs disabled", "", IRQL, "";
    0xF5: "a NULL handle was given to ObReferenceObjectByHandle", "the handle", "the object type", "";
    0xF6: "a handle that is none of the kernel's was used as one", "the handle", "", "";
    0xF7: "a kernel handle was referenced as user mode does", "the handle", "the object type", "the access mode";
    0x11A: "KeEnterCriticalRegion above APC_LEVEL", IRQL, "the highest IRQL allowed", "";
    0x11B: "KeLeaveCriticalRegion above APC_LEVEL", IRQL, "the highest IRQL allowed", "";
    0x120: "a wait above DISPATCH_LEVEL", IRQL, "the object waited for", "the timeout";
    0x121: "a wait without timeout at DISPATCH_LEVEL", IRQL, "the object waited for", "the timeout";
    0x122: "a wait with a timeout that is not zero at DISPATCH_LEVEL", IRQL, "the object waited for", "the timeout";
    0x123: "a wait as user mode for an object on the kernel's stack", "the object waited for", "", "";
    0x131: "a work item in pageable memory", "the work item", "", "";
    0x1000: "the lock was acquired by the thread that holds it", "the lock", "", "";
    0x1001: "locks were acquired in an order that can deadlock", "the lock that closes the ring", "", "";
    0x1002: "the lock was acquired without having been initialized", "the lock", "", "";
    0x1003: "locks were released in another order than the reverse", "the lock that was released", "the lock that had to be released first", "";
    0x1004: "the lock was released by a thread that does not hold it", "the lock", "the thread that holds it", "this thread";
    0x1005: "the lock was initialized twice", "the lock", "", "";
    0x1007: "the lock was released without having been acquired", "the lock", "", "";
    0x1008: "the lock was acquired by a function of another kind of lock", "the lock", "", "";
    0x1009: "the lock was released by a function of another kind of lock", "the lock", "", "";
    0x100A: "a thread that ended holds the lock", "the lock", "", "";
    0x100B: "memory was freed with a lock in it that is held", "the lock", "the number of the thread that holds it", "";
    0x2000: "executable pool was asked for", "", "the flags", "the tag";
    0x2000F: "DDI compliance: IrqlKeApcLte1", IRQL, "the highest IRQL allowed", "";
    0x20011: "DDI compliance: IrqlKeDispatchLte", IRQL, "the highest IRQL allowed", "";
    0x2001B: "DDI compliance: ObPassive", IRQL, "the highest IRQL allowed", "";
    0x2001C: "DDI compliance: PsPassive", IRQL, "the highest IRQL allowed", "";
    0x2001F: "DDI compliance: ZwPassive", IRQL, "the highest IRQL allowed", "";
};

/// Bug check 0xC2.
pub(super) const BAD_POOL: &[Kind] = kinds! {
    0x06: "a block that is free was freed", "", "the block", "";
    0x07: "a block that is free was freed", "", "", "the block";
    0x08: "pool was asked for at an IRQL that is not allowed", IRQL, "the flags", "the bytes asked for";
    0x09: "pool was freed at an IRQL that is not allowed", IRQL, "the flags", "the block";
    0x0A: "pool was freed with another tag", "the block", "the tag that it was allocated with", "the tag that it was freed with";
    0x99: "what is no pool was freed as pool", "the address", "", "";
    0x9B: "pool was asked for with tag 0", "the flags", "the bytes asked for", "";
};

/// Bug check 0xC7.
pub(super) const DEFERRED: &[Kind] = kinds! {
    0x01: "a queued DPC lies in memory that is freed", "the DPC", "the beginning of the memory", "its end";
    0x03: "a DPC is to run on a processor that is not there", "the DPC", "the processor", "how many processors there are";
};

/// Bug check 0xE4.
pub(super) const WORKER: &[Kind] = kinds! {
    0x01: "a work item that is queued was queued", "the work item", "the queue", "";
    0x02: "a work item that is queued was freed", "the work item", "its routine", "";
    0x03: "a work item was allocated for what is no device object", "", "the object", "";
};

/// Bug check 0x139.
pub(super) const FAST_FAIL: &[Kind] = kinds! {
    0x03: "a LIST_ENTRY whose neighbours do not point to it", "", "", "";
};

/// Bug check 0x10D.
pub(super) const FRAMEWORK: &[Kind] = kinds! {
    0x02: "a lock that is held was acquired", "", "", "";
    0x03: "a request was completed with references left", "the request", "how many", "";
    0x04: "NULL was given to a function that wants a value", "", "", "";
    0x05: "a handle of another type, or one that is gone", "the handle", "", "";
    0x06: "a request was handled wrongly", "how: 4 is more bytes than the buffer has", "the Information", "the bytes of the output buffer";
    0x07: "an object was dereferenced away instead of deleted", "the handle", "", "";
    0x0A: "a request was given to a queue that cannot take it", "the queue or the request", "", "";
    0x0B: "a lock was acquired or released wrongly", "the handle", "how", "";
    0x0E: "a callback returned at another IRQL than it was called at", "the IRQL that it was called at", "the IRQL that it returned at", "";
    0x0F: "a callback returned inside a critical region", "the callback", "", "";
};

/// What the parameters of the simulator's own codes are, by rule. Of rules that are not here the first is the object.
pub(super) const CONTRACT: &[(&str, [&str; 4])] = by_rule! {
    "A.1": IRQL, "the highest IRQL allowed", "", "";
    "A-02": "the device object, or the status", "", "", "";
    "A-03": "the filter", "the layer", "", "";
    "A-06": "the handle", "", "", "";
    "A-07": "the flow", "the layer", "the callout", "";
    "A-10": "the net buffer list", "", "", "";
    "A-11": "the handle or address that was given", "", "", "";
    "A-13": "the handle or list that was given", "the number that was given", "", "";
    "A-19": "the net buffer list", "what is linked behind it", "", "";
    "A-21": "the IPv4 address as it was given", "", "", "";
    "A-22": "the IPv4 address as it was given", "", "", "";
    "A-24": "the net buffer list", "the address family", "", "";
    "A-25": "the net buffer list, or the layer", "the bytes that it is retreated by, or the answer's action", "the answer's flags", "the answer's rights";
    "A-26": "the net buffer list", "the bytes that it was made with", "the bytes that it shows", "";
    "A-27": "the net buffer list", "", "", "";
    "A-28": "the net buffer list", "", "", "";
    "A-29": "the net buffer list", IRQL, "", "";
    "A-30": "the net buffer list, or the packet's number", "how long it was held, in units of 100 ns", "the longest that it may be held", "";
    "A-32": "the net buffer list", "what the filter engine had put there", "what is there now", "";
    "A-35": "the net buffer list", "the block of its bytes that was written", "", "";
    "A-36": "the net buffer list", "the address family", "", "";
    "A-37": "the net buffer list", "", "", "";
    "A-38": "the net buffer list", "the MDL that is not the clone's, 0 if one is missing", "", "";
    "A-39": "the net buffer list", "", "", "";
    "A-40": "the net buffer list, or the clone", "the layer, or the original", "", "";
    "A-43": "the net buffer list, or the address touched", "0 read, 1 write", "the instruction", "";
    "A-44": "the net buffer list, or the IRQL before", "the IRQL", "the spin locks that are held", "";
    "A-45": "the net buffer list", "the address family, or the header's total length", "the bytes that it has", "";
    "A-47": "the net buffer list", "", "", "";
    "A-48": "the net buffer list", "", "", "";
    "A-49": "the net buffer list", "the interface", "the sub-interface", "the compartment";
    "A-51": "the net buffer list", "how often it was injected, or the packet's number", "the callout's number", "";
    "A-53": "the net buffer list", "the endpoint handle that was given", "the one that the classify had told", "";
    "A-54": "the net buffer list", "the packet's number", "", "";
    "A-55": "the net buffer list", "where its IP header is", "", "";
    "A-56": "the injection handle, or the net buffer list", "the address family", "the packet's IP version", "";
    "A-57": "the injection handle", "", "", "";
    "A-59": "the net buffer list", "its Status", "", "";
    "A-60": "the net buffer list", "the packet's number", "", "";
    "A-61": "the net buffer list", "the packet's number", "", "";
    "A-62": "the net buffer list", "its NET_BUFFERs, the address family, or the length that was given", "", "";
    "A-63": "the net buffer list", "the protocol that is left in its header", "", "";
    "A-64": "the net buffer list", "queryFlags", "", "";
    "A-65": "the net buffer list", "", "", "";
    "A-66": "the layer", "the answer's action", "the answer's flags", "the answer's rights";
    "A-67": "the layer", "the sublayer's weight", "that of FWPM_SUBLAYER_UNIVERSAL", "";
    "A-68": "the net buffer list", "", "", "";
    "A-69": "the completion handle", "", "", "";
    "A-71": "the completion context", "the layer that it was pended at", "", "";
    "A-72": "the clone that was given", "", "", "";
    "A-74": "the completion context, or the net buffer list that was injected", "the net buffer list it was completed with", "", "";
    "A-76": "the net buffer list", "the layer that it was referenced at", "", "";
    "A-77": "the completion context", "the layer that it was pended at", "", "";
    "A-78": "the completion handle", "", "", "";
    "B-01": "the NET_BUFFER", "the bytes asked for", "", "";
    "B-02": "the net buffer list", "FreeMdl", "", "";
    "B-03": "the net buffer list", "the bytes that it was advanced by", "the bytes of the retreat that is to be undone", "";
    "B-06": "the MDL", "its flags", "", "";
    "B-07": IRQL, "the highest IRQL allowed", "", "";
    "B-09": "the net buffer list", "", "", "";
    "B-10": "the net buffer list", "", "", "";
    "B-11": "the net buffer list, or the MDL chain", "the NET_BUFFER, or the offset", "the length", "the bytes that the chain describes";
    "B-12": "the driver's copy", "the NET_BUFFER that it names", "", "";
    "C.1": "the IRQL, or the object", "the highest IRQL allowed, or the IRQL to return to", "the spin lock", "";
    "C-01": "the spin lock", "the lock queue handle", "", "";
    "C-02": "the spin locks that were held before", "the spin locks that are held", "", "";
    "C-03": "the spin lock that is held", "", "", "";
    "C-04": "the object", "", "", "";
    "C-05": "the work item", "", "", "";
    "C-06": "the EX_RUNDOWN_REF", "its value", "", "";
    "C-07": "the flags", "the bytes asked for", "the tag", "";
    "C-50": "the filter or the device object", "the layer, or the callouts registered with it", "", "";
    "C-51": "the device object", "the callouts registered with it", "", "";
    "D.1": IRQL, "the handle", "", "";
    "D-01": "the driver object", "", "", "";
    "D-02": "the device", "", "", "";
    "D-04": "the device", "the callouts registered with it", "", "";
    "D-06": "the request", "the Information that it was completed with", "the first byte that was not written", "";
};
