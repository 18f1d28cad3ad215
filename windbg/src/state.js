// --- the driver's state

const PHASES = ["empty", "opening", "open", "closed"];

function slotAddress() {
    for (let index = 0; index < SLOT_NUMBERS; index++) {
        try {
            const name = SLOT_SYMBOL.replace("#", String(index));
            const found = typeof host.getModuleSymbolAddress === "function"
                ? host.getModuleSymbolAddress(MODULE, name)
                : host.getModuleSymbol(MODULE, name).targetLocation.address;
            const at = word(found);
            if (!isZero(at)) { return at; }
        } catch (error) {
            // The next number.
        }
    }
    throw new Missing("there is no symbol tollgate!" + SLOT_SYMBOL.replace("#", "N") + ": is tollgate.sys loaded (lm m tollgate),"
        + " and is its PDB the one of this build (.reload /f tollgate.sys; !sym noisy)?");
}

// The slot, and the state in it if there is one.
function find() {
    const at = slotAddress();
    let storage;
    try {
        storage = Place.of(MODULE, "nt::slot::Slot<tollgate::entry::Tollgate>", at).go("storage");
    } catch (error) {
        // A debugger that does not find a generic type by its name: the storage is all there is in a slot.
        storage = Place.of(MODULE, "nt::slot::Storage", at);
    }
    const phase = PHASES[storage.go("state").number()] || "unknown";
    const value = storage.go("value").word();
    return { storage, phase, tollgate: isZero(value) ? null : Place.of(MODULE, "tollgate::entry::Tollgate", value) };
}

// What the phase means when there is no state to look at.
function absence(found) {
    if (found.phase === "empty") {
        return "The slot is empty: DriverEntry has not published the driver's state. It is still running (it waits up to 5 seconds for"
            + " tcpip.sys), or it failed (a value of the Parameters key, memory, the injection handle).";
    }
    if (found.phase === "closed") {
        return "The slot is closed and its value was taken out: the unload is past stop() and past everyone inside. It drops the state, which"
            + " waits for injections under way, or is over. See the unloading thread: !stacks 2 tollgate";
    }
    return "The slot is " + found.phase + " and has no value: it is being opened this moment, or was overwritten.";
}

// Runs `work` with the state, or says why there is none.
function withState(work) {
    part(() => {
        const found = find();
        if (found.tollgate === null) {
            print(absence(found));
        } else {
            print("Tollgate: slot " + pointer(found.storage.at) + " is " + found.phase + ", state " + pointer(found.tollgate.at));
            work(found.tollgate, found);
        }
    });
}

// Every counter's value, by name, and their sums by group.
function counters(tollgate) {
    const array = tollgate.go("counters", "counted", "pointer", "value", "__0");
    const all = array.bytes();
    const values = {};
    const sums = {};
    const count = Math.floor(all.length / 8);
    for (let index = 0; index < COUNTERS.length; index++) {
        const value = index < count ? number(little(Array.prototype.slice.call(all, index * 8, index * 8 + 8))) : 0;
        values[COUNTERS[index][1]] = value;
        sums[COUNTERS[index][0]] = (sums[COUNTERS[index][0]] || 0) + value;
    }
    const injected = values.reinjected_receive + values.reinjected_send;
    return { values, sums, count, inFlight: injected - sums.completed };
}

// The word that says how full the queue is: bit 63 closed, bits 32 to 62 packets, bits 0 to 31 bytes.
function room(tollgate) {
    const { hi, lo } = tollgate.go("queue", "room").word();
    const limits = tollgate.go("queue", "limits");
    return {
        closed: hi >= 0x80000000, packets: (hi & 0x7fffffff) >>> 0, bytes: lo,
        mostPackets: limits.go("packets").number(), mostBytes: limits.go("bytes").number(),
        age: limits.go("age", "secs").number() + limits.go("age", "nanos").number() / 1e9,
    };
}

// The nodes in the queue's list, oldest first, and whether the list could be followed to its end.
function waiting(tollgate, most) {
    const nodes = [];
    const seen = new Set();
    const ends = option(tollgate.go("queue", "list", "value", "value", "ends"));
    let node = ends === null ? null : ends.go("__0", "pointer").target();
    while (node !== null && nodes.length < most) {
        const at = node.at;
        if (seen.has(hex(at))) {
            return { nodes, broken: "the list leads back into itself at " + pointer(at) };
        }
        seen.add(hex(at));
        nodes.push(node);
        try {
            const next = option(node.go("next"));
            node = next === null ? null : next.go("pointer").target();
        } catch (error) {
            return { nodes, broken: String(error) };
        }
    }
    return { nodes, broken: node === null ? null : "more than " + plural(most, "node") };
}

const MOST_NODES = 4096;

// Seconds since a packet was classified, or null. The shared page is behind the precise clock by up to a clock tick.
function age(since) {
    try {
        const low = Place.of("nt", "_KUSER_SHARED_DATA", SHARED_DATA).go("InterruptTime");
        const now = number({ hi: low.go("High1Time").number(), lo: low.go("LowPart").number() });
        return Math.max(0, (now - number(since)) / 1e7);
    } catch (error) {
        return null;
    }
}
