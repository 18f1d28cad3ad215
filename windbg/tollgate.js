// Made from windbg/src by `cargo xtask debugger --write`; do not edit.

// What Tollgate is doing, in WinDbg:
//
//   .scriptrun C:\path\tollgate.js
//   !tollgate.counters | .held | .packet ADDRESS | .worker | .history | .why
//
// See docs/windbg.md. Everything is read by what tollgate.pdb says of types and offsets, and by memory reads of plain bytes: no
// visualizer comes in between. What is not there (a driver half loaded, symbols, a page) is said, and the rest is printed.
// The debugger's engine speaks ECMAScript 2015: no BigInt, no optional chaining.
"use strict";

const MODULE = "tollgate";

// The debugger's symbol of the slot has the number of an impl block where SLOT_SYMBOL has a #.
const SLOT_NUMBERS = 32;

// Where KUSER_SHARED_DATA is, on every 64-bit Windows.
const SHARED_DATA = { hi: 0xfffff780, lo: 0 };

const SLOT_SYMBOL = "tollgate::entry::impl$#::slot::SLOT";

// Rust's enums without data, by value.
const ENUMS = {
  "tollgate::verdict::Verdict": [
    "Permit",
    "Block"
  ],
  "wfp::layer::Family": [
    "V4",
    "V6"
  ],
  "wfp::metadata::Direction": [
    "Outbound",
    "Inbound"
  ]
};

// Group, name and text of each counter, by index.
const COUNTERS = [
    ["classified","classified_inbound_transport","classifyFn calls at INBOUND_TRANSPORT."],
    ["classified","classified_outbound_transport","classifyFn calls at OUTBOUND_TRANSPORT."],
    ["classified","classified_recv_accept","classifyFn calls at ALE_AUTH_RECV_ACCEPT."],
    ["classified","classified_connect","classifyFn calls at ALE_AUTH_CONNECT."],
    ["left","left_self_injected","Injected by this driver, now or earlier (A-51)."],
    ["left","left_ale_classify_required","At INBOUND_TRANSPORT, to be authorized at ALE, where it is decided (A-66)."],
    ["left","left_tunnel_not_detunneled","IPsec tunnel mode, not yet detunneled (A-65): the inner packet is classified later."],
    ["inline","inline_no_write_right","Another callout's decision stands and the right to write the action is gone (A-15): only a veto is possible."],
    ["inline","inline_no_packet","The classify carries no packet."],
    ["inline","inline_security_unknown","Whether IPsec protected the packet could not be learned (A-64), so its header could not be trusted."],
    ["inline","inline_loopback","Inbound loopback, whose receive injection the stack refuses; its outbound half is what is held."],
    ["inline","inline_fragment","A fragment that is not reassembled: the stack refuses it when injected."],
    ["inline","inline_ip_header_size","The size of the IP header is not told, or not a possible one."],
    ["inline","inline_transport_header_size","The size of the transport header is not told."],
    ["inline","inline_interface","The interface to inject at is not told."],
    ["inline","inline_several_net_buffers","Inbound with several NET_BUFFERs, which must never be receive-injected (A-46), or several lists in a chain."],
    ["inline","inline_headers_out_of_reach","Less memory before the packet's data than its headers need (B-04)."],
    ["inline","inline_endpoint","A packet without a transport endpoint, as the stack's own resets: it cannot be send-injected."],
    ["inline","inline_address","An address or the protocol that an injection needs is not told, or not of the layer's family."],
    ["inline","inline_raw_header","A raw header that is not told, or that would have to be shared by several NET_BUFFERs (A-54)."],
    ["inline","inline_completion_handle","No completion handle, without which nothing can be pended (A-69)."],
    ["inline","inline_reauthorize","A reauthorization that cannot be pended and carries no packet that could be held (A-76)."],
    ["inline","inline_direction","The packet's direction is not the one the layer's packets have."],
    ["inline","inline_queue_count","The queue has as many packets as it may."],
    ["inline","inline_queue_bytes","The queue has as many bytes as it may."],
    ["inline","inline_closing","The driver is being unloaded and holds nothing more."],
    ["inline","inline_no_memory","No memory to hold the packet with."],
    ["inline_verdict","inline_permitted","Asked during the classify: permitted."],
    ["inline_verdict","inline_blocked","Asked during the classify: blocked."],
    ["answered","answered_permitted","The reauthorization of a pended connect found the decision: permit."],
    ["answered","answered_blocked","The reauthorization of a pended connect found the decision: block."],
    ["held","held_inbound_transport","Packets held at INBOUND_TRANSPORT."],
    ["held","held_outbound_transport","Packets held at OUTBOUND_TRANSPORT."],
    ["held","held_recv_accept","First classifies pended at ALE_AUTH_RECV_ACCEPT, with their packet."],
    ["held","held_recv_accept_reauthorize_inbound","Inbound packets of a reauthorization held at ALE_AUTH_RECV_ACCEPT (A-76b)."],
    ["held","held_recv_accept_reauthorize_outbound","Outbound packets of a reauthorization held at ALE_AUTH_RECV_ACCEPT (A-76b)."],
    ["held","held_connect","First classifies pended at ALE_AUTH_CONNECT without a packet."],
    ["held","held_connect_datagram","First classifies pended at ALE_AUTH_CONNECT with their first datagram."],
    ["refused","refused_cannot_pend","FwpsPendOperation0 said STATUS_FWP_CANNOT_PEND."],
    ["refused","refused_not_ready","FwpsPendOperation0 said STATUS_FWP_TCPIP_NOT_READY."],
    ["refused","refused_other","FwpsPendOperation0 failed with another status."],
    ["reinjected","reinjected_receive","Accepted by FwpsInjectTransportReceiveAsync0."],
    ["reinjected","reinjected_send","Accepted by FwpsInjectTransportSendAsync0."],
    ["reinjected","reinjected_nothing","Pended connects without a packet that were completed and permitted: there is nothing to inject."],
    ["blocked","blocked_inbound","Inbound packets blocked by the policy after they were held."],
    ["blocked","blocked_outbound","Outbound packets blocked by the policy after they were held."],
    ["blocked","blocked_recv_accept","Pended inbound connections blocked by the policy."],
    ["blocked","blocked_connect","Pended outbound connections blocked by the policy."],
    ["dropped","dropped_age","Held longer than a packet may be (A-30). A pended connection is denied."],
    ["dropped","dropped_offset","The packet's data offset changed by something other than the stack's own retreat (A-24)."],
    ["dropped","dropped_retreat","The packet could not be retreated to the start of its IP header."],
    ["dropped","dropped_clone","No clone could be made."],
    ["dropped","dropped_header","The clone has not the header that is to be checked, or is not a packet that may be injected."],
    ["dropped","dropped_rebuild","The IP header could not be rebuilt."],
    ["dropped","dropped_raw_header","A raw header could not be put before the clone."],
    ["dropped","dropped_memory","No memory for the injection's own block."],
    ["dropped","dropped_inject_receive","FwpsInjectTransportReceiveAsync0 failed."],
    ["dropped","dropped_inject_send","FwpsInjectTransportSendAsync0 failed, for instance because the socket was closed meanwhile (A-53)."],
    ["rebuilt","rebuilt_ipsec","IPsec protected the packet: AH, ESP and extension headers were taken out (A-63)."],
    ["rebuilt","rebuilt_reassembled","The packet was reassembled from fragments (A-60)."],
    ["rebuilt","rebuilt_checksum","The IPv4 header's checksum was wrong, with no flag that said why (A-60)."],
    ["completed","completed_success","Injections completed with success."],
    ["completed","completed_not_accepted","Injections completed with STATUS_DATA_NOT_ACCEPTED: the stack refused the packet (A-59)."],
    ["completed","completed_failure","Injections completed with another failure: the packet is lost (A-59)."],
    ["event","stack_retreated","The stack had retreated the packet to its transport header after the classify (A-24)."],
    ["event","reauthorize_missing","A pended connect was completed and no reauthorization asked for its decision meanwhile (A-73)."],
    ["event","engine_added","The filter engine's objects were added, at load or after the base filtering engine came up."],
    ["event","engine_failed","The filter engine's objects could not be added."],
    ["inline","inline_unopened","AH or ESP that IPsec did not open: it may not be injected to the transport layer, nor rebuilt (A-45, A-62)."],
];

// --- 64-bit numbers, as { hi, lo }

const TWO_32 = 4294967296;

// Of a number, the debugger's Int64, a native pointer, or one of ours.
function word(value) {
    if (typeof value === "number") {
        if (value >= TWO_32 * TWO_32) { return { hi: 0xffffffff, lo: 0xffffffff }; }
        return { hi: Math.floor(value / TWO_32) >>> 0, lo: value >>> 0 };
    }
    if (value !== null && typeof value === "object" || typeof value === "function") {
        if (typeof value.hi === "number" && typeof value.lo === "number") {
            return value;
        }
        if (typeof value.getLowPart === "function") {
            return { hi: value.getHighPart() >>> 0, lo: value.getLowPart() >>> 0 };
        }
        if (value.address !== undefined) {
            return word(value.address);
        }
    }
    throw new Missing("what was given is not a number or an address");
}

// As a number of JavaScript, exact up to 2^53.
function number(value) {
    const { hi, lo } = word(value);
    return hi * TWO_32 + lo;
}

function plus(value, more) {
    const lo = value.lo + more;
    return { hi: (value.hi + Math.floor(lo / TWO_32)) >>> 0, lo: lo % TWO_32 };
}

function compare(one, other) {
    return one.hi !== other.hi ? one.hi - other.hi : one.lo - other.lo;
}

const isZero = value => value.hi === 0 && value.lo === 0;
const same = (one, other) => compare(one, other) === 0;
const digits = value => ("00000000" + value.toString(16)).slice(-8);
const hex = value => value.hi === 0 ? "0x" + value.lo.toString(16) : "0x" + value.hi.toString(16) + digits(value.lo);
// Without the accent that some commands print: `dx`, which reads the arguments of these commands, does not take it.
const pointer = value => "0x" + digits(value.hi) + digits(value.lo);
const plural = (count, what) => count + " " + what + (count === 1 ? "" : "s");

// --- symbols and memory

// Something that is not there to be read. The text is printed in its place.
class Missing {
    constructor(text) { this.text = text; }
    toString() { return this.text; }
}

function bytes(at, length) {
    try {
        return host.memory.readMemoryValues(new host.Int64(at.lo, at.hi), length, 1, false);
    } catch (error) {
        throw new Missing("memory at " + pointer(at) + " cannot be read: freed, paged out or not in the dump");
    }
}

function little(values) {
    let hi = 0;
    let lo = 0;
    for (let index = values.length - 1; index >= 4; index--) { hi = hi * 256 + values[index]; }
    for (let index = Math.min(values.length, 4) - 1; index >= 0; index--) { lo = lo * 256 + values[index]; }
    return { hi, lo };
}

function typeOf(module, name) {
    let type;
    try {
        type = host.getModuleType(module, name);
    } catch (error) {
        type = undefined;
    }
    if (type === undefined || type === null) {
        throw new Missing("the symbols of " + module + " have no type " + name + " (lm m " + module + "; .reload /f)");
    }
    return type;
}

// A field of a type, or null.
function fieldOf(type, name) {
    let field;
    try { field = type.fields[name]; } catch (error) { field = undefined; }
    return field === undefined ? null : field;
}

// A value in the target: a type of the PDB, and an address.
class Place {
    constructor(type, at) { this.type = type; this.at = at; }

    static of(module, name, at) { return new Place(typeOf(module, name), at); }

    // What a pointer points to.
    target() {
        const at = this.word();
        if (isZero(at)) {
            throw new Missing("a pointer to " + this.type.baseType.name + " is null");
        }
        return new Place(this.type.baseType, at);
    }

    // A field of a field, through pointers.
    go(...names) {
        let place = this;
        for (const name of names) {
            if (place.type.typeKind === "pointer") {
                place = place.target();
            }
            const field = fieldOf(place.type, name);
            if (field === null) {
                throw new Missing("the symbols know no field " + name + " of " + place.type.name);
            }
            place = new Place(field.type, plus(place.at, number(field.offset)));
        }
        return place;
    }

    size() { return number(this.type.size); }
    bytes() { return bytes(this.at, this.size()); }

    word() {
        const size = this.size();
        if (size < 1 || size > 8) {
            throw new Missing(this.type.name + " has " + size + " bytes and is no number");
        }
        return little(this.bytes());
    }

    number() { return number(this.word()); }
    isTrue() { return !isZero(this.word()); }
}

function print(text) { host.diagnostics.debugLog(text + "\n"); }

// Prints what `work` prints. What is missing ends this part and no other.
function part(work) {
    try {
        return work();
    } catch (error) {
        print("  (" + (error instanceof Missing ? error.text : "the debugger said: " + error) + ")");
        return undefined;
    }
}

// A text, or why there is none.
function text(work) {
    try { return String(work()); } catch (error) { return error instanceof Missing ? "(" + error.text + ")" : "(" + error + ")"; }
}

// --- how Rust lays things out

// A constant of a variant's struct: from the type, or else by an object of that type.
function discriminant(variant, name) {
    const field = fieldOf(variant.type, name);
    if (field === null) {
        return null;
    }
    let value;
    try { value = field.value; } catch (error) { value = undefined; }
    if (value === undefined || value === null) {
        try {
            value = host.createTypedObject(new host.Int64(variant.at.lo, variant.at.hi), variant.type)[name];
        } catch (error) {
            value = undefined;
        }
    }
    if (value === undefined || value === null) {
        throw new Missing("the debugger does not tell the constant " + name + " of " + variant.type.name);
    }
    return word(value);
}

// Which variant of an enum with data is there, and its fields.
function variant(place) {
    const tag = place.go("tag").word();
    for (let index = 0; fieldOf(place.type, "variant" + index) !== null; index++) {
        const candidate = place.go("variant" + index);
        const exact = discriminant(candidate, "DISCR_EXACT");
        let fits;
        if (exact !== null) {
            fits = same(tag, exact);
        } else {
            const begin = discriminant(candidate, "DISCR_BEGIN");
            const end = discriminant(candidate, "DISCR_END");
            const after = begin !== null && compare(tag, begin) >= 0;
            const before = end !== null && compare(tag, end) <= 0;
            // A range whose end is before its begin goes around.
            fits = begin !== null && end !== null && (compare(begin, end) <= 0 ? after && before : after || before);
        }
        if (fits) {
            const body = candidate.go("value");
            return { name: body.type.name.split("::").pop(), body };
        }
    }
    throw new Missing("tag " + hex(tag) + " is no variant of " + place.type.name + ": not initialised, or overwritten");
}

// The value of an Option, or null.
function option(place) {
    const found = variant(place);
    return found.name === "None" ? null : found.body.go("__0");
}

function optionalNumber(place) {
    const value = option(place);
    return value === null ? null : value.number();
}

function enumerator(place) {
    const names = ENUMS[place.type.name] || [];
    const value = place.number();
    return value < names.length ? names[value] : "value " + value;
}

function address(place) {
    const found = variant(place);
    const octets = found.body.go("__0", "octets").bytes();
    if (found.name === "V4") {
        return Array.from(octets).join(".");
    }
    const groups = [];
    for (let index = 0; index < 16; index += 2) { groups.push((octets[index] * 256 + octets[index + 1]).toString(16)); }
    // The longest run of at least two zero groups is left out, the first of several.
    let best = { start: 0, length: 1 };
    for (let start = 0; start < 8; start++) {
        let end = start;
        while (end < 8 && groups[end] === "0") { end++; }
        if (end - start > best.length) { best = { start, length: end - start }; }
    }
    const text = best.length === 1 ? groups.join(":")
        : groups.slice(0, best.start).join(":") + "::" + groups.slice(best.start + best.length).join(":");
    return "[" + text + "]";
}

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

// --- one held packet

const PROTOCOLS = { 1: "ICMP", 6: "TCP", 17: "UDP", 33: "DCCP", 50: "ESP", 51: "AH", 58: "ICMPv6", 132: "SCTP", 136: "UDP-Lite" };

function endpoint(ip, port) {
    const at = option(ip);
    const number = optionalNumber(port);
    return (at === null ? "?" : address(at)) + ":" + (number === null ? "?" : number);
}

function tuple(facts) {
    const protocol = optionalNumber(facts.go("protocol"));
    const name = protocol === null ? "protocol ?" : PROTOCOLS[protocol] || "protocol " + protocol;
    const local = endpoint(facts.go("local_address"), facts.go("local_port"));
    const remote = endpoint(facts.go("remote_address"), facts.go("remote_port"));
    const outbound = enumerator(facts.go("direction")) === "Outbound";
    return name + " " + local + (outbound ? " -> " : " <- ") + remote;
}

// What is held, taken apart: the kind of work, its packet if it has one, and what is pended.
function takeApart(node) {
    const some = option(node.go("value"));
    if (some === null) {
        throw new Missing("the node at " + pointer(node.at) + " is a place that was not used yet");
    }
    const held = some.go("value");
    const work = variant(held.go("work"));
    const inside = { node, held, kind: work.name, size: some.go("bytes").number(), packet: null, pended: null, endpoint: null };
    if (work.name === "Inbound" || work.name === "Outbound") {
        inside.packet = work.body.go("__0");
    } else {
        inside.pended = work.body.go("pended").word();
        inside.packet = work.name === "RecvAccept" ? work.body.go("packet") : option(work.body.go("datagram"));
    }
    if (work.name === "Connect") {
        const handle = option(work.body.go("endpoint_handle"));
        inside.endpoint = handle === null ? null : handle.word();
    }
    inside.inbound = work.name === "Inbound" || work.name === "RecvAccept";
    inside.nbl = inside.packet === null ? null : inside.packet.go("nbl").word();
    return inside;
}

const LAYERS = {
    Inbound: "INBOUND_TRANSPORT (or a reauthorization)", Outbound: "OUTBOUND_TRANSPORT (or a reauthorization)",
    RecvAccept: "ALE_AUTH_RECV_ACCEPT", Connect: "ALE_AUTH_CONNECT",
};

function layer(inside) {
    return LAYERS[inside.kind] + (inside.packet === null ? "" : " " + enumerator(inside.packet.go("family")));
}

function ageText(inside) {
    const seconds = age(inside.held.go("since").word());
    return seconds === null ? "age unknown (no nt symbols or no shared page)" : "held for " + seconds.toFixed(3) + " s";
}

function summary(inside) {
    const parts = [text(() => layer(inside)), text(() => tuple(inside.held.go("facts"))), text(() => ageText(inside)), plural(inside.size, "byte")];
    parts.push(inside.nbl === null ? "no packet" : "NBL " + pointer(inside.nbl));
    if (inside.pended !== null) {
        parts.push(isZero(inside.pended) ? "pended, context gone" : "pended, context " + pointer(inside.pended));
    }
    return parts.join(", ");
}

function details(inside) {
    part(() => print("  layer      " + layer(inside)));
    part(() => print("  tuple      " + tuple(inside.held.go("facts"))));
    part(() => print("  since      " + hex(inside.held.go("since").word()) + " x 100 ns of interrupt time, " + ageText(inside)));
    if (inside.pended !== null) {
        print("  pended     " + (isZero(inside.pended) ? "already completed" : "completion context " + pointer(inside.pended)));
    }
    if (inside.endpoint !== null) { print("  endpoint   " + hex(inside.endpoint)); }
    const packet = inside.packet;
    if (packet === null) {
        print("  no packet: a TCP connect has none (A-20)");
        return;
    }
    part(() => print("  compartment " + packet.go("compartment_id").number()));
    if (inside.inbound) {
        part(() => {
            const plan = name => packet.go("plan", name).number();
            print("  at classify data offset " + plan("data_offset") + ", data length " + plan("data_length") + ", IP header "
                + plan("ip_header_size") + ", transport header " + plan("transport_header_size"));
            print("  inject at  interface " + plan("interface_index") + "." + plan("sub_interface_index"));
            print("  told       " + (packet.go("told", "secured").isTrue() ? "IPsec protected it" : "no IPsec")
                + (packet.go("told", "reassembled").isTrue() ? ", reassembled" : ""));
        });
    } else {
        part(() => {
            const length = optionalNumber(packet.go("data_length"));
            print("  at classify data length " + (length === null ? "unknown" : length) + ", endpoint " + hex(packet.go("endpoint_handle").word())
                + ", " + (variant(packet.go("route")).name === "Params" ? "send parameters" : "a raw header of the socket"));
        });
    }
}

// --- NET_BUFFER_LISTs

const MOST_NET_BUFFERS = 64;
const MOST_MDLS = 64;
const SHOWN_BYTES = 64;
// MDL_MAPPED_TO_SYSTEM_VA and MDL_SOURCE_IS_NONPAGED_POOL: MappedSystemVa is good.
const MAPPED = 0x0005;

// The list, by NDIS' own symbols if they are there and else by what the driver was compiled with.
function netBufferList(at) {
    try {
        return { list: Place.of("ndis", "_NET_BUFFER_LIST", at), by: "ndis.pdb" };
    } catch (error) {
        return { list: Place.of(MODULE, "wfp_sys::ndis::NET_BUFFER_LIST", at), by: "the driver's own declaration; ndis has no symbols here" };
    }
}

function dump(values) {
    for (let index = 0; index < values.length; index += 16) {
        const row = Array.prototype.slice.call(values, index, index + 16).map(value => ("0" + value.toString(16)).slice(-2));
        print("        " + ("000" + index.toString(16)).slice(-4) + "  " + row.join(" "));
    }
}

// The MDLs of a packet, and the first bytes of its data.
function mdls(packet) {
    let mdl = packet.go("MdlChain");
    let skip = packet.go("DataOffset").number();
    let left = Math.min(packet.go("DataLength").number(), SHOWN_BYTES);
    for (let index = 0; index < MOST_MDLS && mdl.isTrue(); index++) {
        const place = mdl.target();
        const count = place.go("ByteCount").number();
        const flags = place.go("MdlFlags").number();
        const start = place.go("MappedSystemVa").word();
        const isMapped = (flags & MAPPED) !== 0;
        print("      MDL " + pointer(place.at) + ": " + plural(count, "byte") + " at offset " + place.go("ByteOffset").number()
            + (isMapped ? ", mapped at " + pointer(start) : ", not mapped (flags " + flags.toString(16) + ")"));
        const from = Math.min(skip, count);
        const take = Math.min(left, count - from);
        if (take > 0 && isMapped) {
            part(() => dump(bytes(plus(start, from), take)));
        }
        skip -= from;
        left -= take;
        mdl = place.go("Next");
    }
}

function printList(at) {
    const { list, by } = netBufferList(at);
    print("  NET_BUFFER_LIST " + pointer(at) + " (by " + by + ")");
    part(() => {
        const status = list.go("Status").word();
        print("    Flags " + hex(list.go("Flags").word()) + ", NblFlags " + hex(list.go("NblFlags").word()) + ", Status " + hex(status)
            + ", ChildRefCount " + (list.go("ChildRefCount").number() | 0));
        const parent = list.go("ParentNetBufferList").word();
        if (!isZero(parent)) { print("    a clone of " + pointer(parent)); }
        if (list.go("Next").isTrue()) { print("    chained to " + pointer(list.go("Next").word()) + ": not as at this driver's layers (A-19)"); }
        let next = list.go("FirstNetBuffer");
        if (!next.isTrue()) { print("    no NET_BUFFER"); }
        for (let index = 0; next.isTrue(); index++) {
            if (index === MOST_NET_BUFFERS) {
                print("    more than " + MOST_NET_BUFFERS + " NET_BUFFERs");
                break;
            }
            const packet = next.target();
            print("    NET_BUFFER " + pointer(packet.at) + ": DataOffset " + packet.go("DataOffset").number() + ", DataLength "
                + packet.go("DataLength").number() + ", CurrentMdl " + pointer(packet.go("CurrentMdl").word()) + " + "
                + packet.go("CurrentMdlOffset").number());
            part(() => mdls(packet));
            next = packet.go("Next");
        }
    });
}

// --- why: sentences from counters and state

// Each group of reasons, with what it means for a packet.
const REASONS = [
    ["left", "permitted without asking the policy, because they are not this driver's to judge"],
    ["inline", "not held: the policy was asked during the classify"],
    ["refused", "blocked, because the pend failed"],
    ["blocked", "held and blocked by the policy"],
    ["dropped", "held and lost for a reason that is not the policy's"],
];

function reasons(values, sums) {
    for (const [group, meaning] of REASONS) {
        if (sums[group] > 0) {
            print(sums[group] + " were " + meaning + ":");
            for (const [of, name, what] of COUNTERS) {
                if (of === group && values[name] > 0) { print("  " + values[name] + "  " + what + " (" + name + ")"); }
            }
        }
    }
}

function policy(tollgate) {
    const ip = option(tollgate.go("policy", "block_remote_address"));
    const port = optionalNumber(tollgate.go("policy", "block_remote_port"));
    if (ip === null && port === null) {
        return "The policy permits everything.";
    }
    const conditions = [];
    if (ip !== null) { conditions.push("remote address " + address(ip)); }
    if (port !== null) { conditions.push("remote port " + port); }
    return "The policy blocks what has " + conditions.join(" and ") + ", and permits the rest.";
}

function whyHeldOrNot(tollgate) {
    part(() => print(policy(tollgate)));
    part(() => {
        const { values, sums } = counters(tollgate);
        if (sums.classified === 0) {
            print("No packet was ever classified, so none was held.");
            if (values.engine_added === 0) {
                print(values.engine_failed > 0
                    ? "The filters are not in the filter engine: adding them failed " + plural(values.engine_failed, "time") + "."
                    : "The filters are not in the filter engine: the base filtering engine was never seen running (sc query bfe).");
            }
        } else {
            print(sums.classified + " classifies, of which " + (sums.held || 0) + " held.");
        }
        reasons(values, sums);
        if (values.completed_not_accepted + values.completed_failure > 0) {
            print((values.completed_not_accepted + values.completed_failure)
                + " injections were accepted and then failed in the stack: those packets are lost (A-59).");
        }
        if (values.reauthorize_missing > 0) {
            print(plural(values.reauthorize_missing, "completed connect") + " had no reauthorization during the completion; a later one asks the policy (A-73).");
        }
    });
    part(() => {
        const full = room(tollgate);
        if (full.closed) {
            print("The queue is closed, because the driver is being stopped: nothing is held any more.");
        } else if (full.packets >= full.mostPackets) {
            print("The queue is full by packets: whatever is classified now is decided at once.");
        } else if (full.bytes >= full.mostBytes) {
            print("The queue is full by bytes: whatever has data is decided at once.");
        }
    });
}

// EX_RUNDOWN_REF: an even number counts those inside twice over; an odd one means that somebody waits for them, or that all have left.
function inside(storage) {
    const value = storage.go("rundown").word();
    if (value.lo % 2 === 0) {
        return plural(number(value) / 2, "caller") + " inside the slot (the worker is one for as long as it runs)";
    }
    return value.hi === 0 && value.lo === 1 ? "nobody is inside the slot any more" : "the slot's close waits for those inside (wait block " + pointer(
        { hi: value.hi, lo: value.lo - 1 }) + ")";
}

const stopped = signal => signal.go("counted", "pointer", "value", "stopped").isTrue();

function whyUnloadWaits(tollgate, found) {
    part(() => {
        const full = room(tollgate);
        const { inFlight } = counters(tollgate);
        const inFlightText = plural(inFlight, "injection") + " not completed by the stack yet";
        print(inside(found.storage) + ".");
        if (!full.closed) {
            print("The driver is not being stopped."
                + (full.packets > 0 ? " If it were, the worker would first end " + plural(full.packets, "held packet") + "." : "")
                + (inFlight > 0 ? " The injection handle would wait for " + inFlightText + " (A-57)." : ""));
            return;
        }
        if (full.packets > 0) {
            print("Stopping waits for the worker: " + plural(full.packets, "place") + " in the queue still in use. Each is a packet to be ended, or a"
                + " classify that has a place and has not used it.");
        } else if (!stopped(tollgate.go("worker"))) {
            print("The queue was closed this moment; the worker has not been told yet, or was never started.");
        } else if (!stopped(tollgate.go("keeper"))) {
            print("The queue is empty and the worker was told to end: stopping waits for its thread, or unsubscribes from the base filtering engine.");
        } else if (found.phase !== "closed") {
            print("The keeper was told to end: stopping waits for it to close its session, and then unregisters the callouts. That is"
                + " repeated while the filter engine says that a callout is busy (A-05, A-09).");
        } else {
            print("Everything is stopped; the slot waits for whoever is still inside: a classify or an IOCTL that has not returned.");
        }
        if (inFlight > 0) {
            print("After that the injection handle waits for " + inFlightText + " (A-57).");
        }
        print("The unloading thread: !stacks 2 tollgate");
    });
}

// What is off once nothing is on its way; while packets are, the difference is what is on its way.
function sumsThatDiffer(tollgate) {
    part(() => {
        const { values, sums, inFlight } = counters(tollgate);
        const total = names => names.reduce((sum, name) => sum + (sums[name] || 0), 0);
        const full = room(tollgate);
        const answered = total(["left", "inline", "answered", "held", "refused"]);
        const ended = total(["reinjected", "blocked", "dropped"]);
        if (sums.classified !== answered) {
            print("Classified " + sums.classified + ", answered " + answered + ": the difference is classifies that have not returned yet.");
        }
        if (sums.inline !== sums.inline_verdict) {
            print("Inline " + sums.inline + ", verdicts " + sums.inline_verdict + ": the difference is classifies that have not returned yet.");
        }
        if (sums.held - ended !== full.packets) {
            print("Held " + sums.held + ", ended " + ended + ", in the queue " + full.packets
                + ": places given and not used yet, or packets that were ended without a counter.");
        }
        if (inFlight < 0) {
            print("More injections were completed than accepted: " + -inFlight + ". The accepting call has not returned yet, or a completion ran twice.");
        }
    });
}

function showWhy() {
    withState((tollgate, found) => {
        whyHeldOrNot(tollgate);
        whyUnloadWaits(tollgate, found);
        sumsThatDiffer(tollgate);
    });
}

// --- the commands

function showCounters() {
    withState(tollgate => {
        const { values, sums, count, inFlight } = counters(tollgate);
        const shown = COUNTERS.filter(counter => values[counter[1]] !== 0);
        let group = "";
        for (const [of, name, meaning] of shown) {
            if (of !== group) {
                group = of;
                print(group + ": " + sums[group]);
            }
            print("  " + ("            " + values[name]).slice(-12) + "  " + name + "  " + meaning);
        }
        if (shown.length === 0) { print("Every counter is zero: no classify has come yet, and no session with the filter engine was opened."); }
        if (count !== COUNTERS.length) {
            print("The driver has " + count + " counters and this script knows " + COUNTERS.length + ": it is of another version.");
        }
        print("injections under way: " + inFlight);
    });
}

function showHeld() {
    withState(tollgate => {
        const full = room(tollgate);
        print("queue: " + plural(full.packets, "packet") + " of " + full.mostPackets + ", " + plural(full.bytes, "byte") + " of " + full.mostBytes
            + ", oldest may be " + full.age + " s" + (full.closed ? ", closed" : ""));
        const { nodes, broken } = waiting(tollgate, MOST_NODES);
        nodes.forEach((node, index) => print("[" + index + "] node " + pointer(node.at) + ": " + text(() => summary(takeApart(node)))));
        if (broken !== null) { print("  (the list ends here: " + broken + ")"); }
        elsewhere(full, nodes.length, broken);
    });
}

function elsewhere(full, listed, broken) {
    const other = full.packets - listed;
    if (other > 0 && broken === null) {
        print(plural(other, "place") + " more in use and not in the list: taken by the worker and not ended yet, or given to a classify that has not"
            + " used it yet. They are in locals of those threads: !tollgate.worker");
    } else if (listed === 0 && broken === null) {
        print("Nothing is held.");
    }
}

function showPacket(given) {
    part(() => {
        if (given === undefined) {
            print("!tollgate.packet ADDRESS: of a node that !tollgate.held lists, or of a NET_BUFFER_LIST");
            return;
        }
        const at = word(given);
        let found = null;
        part(() => {
            const { tollgate } = find();
            if (tollgate === null) { return; }
            const inside = waiting(tollgate, MOST_NODES).nodes.map(node => { try { return takeApart(node); } catch (error) { return null; } });
            found = inside.filter(one => one !== null && (same(one.node.at, at) || one.nbl !== null && same(one.nbl, at)))[0] || null;
        });
        if (found === null) {
            print(pointer(at) + " is not in the queue's list. What follows takes it for a NET_BUFFER_LIST.");
            printList(at);
            return;
        }
        print("held: node " + pointer(found.node.at) + ", " + plural(found.size, "byte"));
        details(found);
        if (found.nbl !== null) { printList(found.nbl); }
    });
}

// nt!_KTHREAD_STATE, as far as a system thread goes through it.
const THREAD_STATES = ["initialized", "ready", "running", "standby", "terminated", "waiting", "in transition", "deferred ready"];

// What can be said of a thread and its signal.
function thread(name, started, signal) {
    part(() => {
        const running = option(started);
        if (running === null) {
            print(name + ": no thread. It was not started yet, or stop() has taken it over and waits for it or is done with it.");
        } else {
            const at = running.go("object").word();
            const state = text(() => {
                const object = Place.of("nt", "_KTHREAD", at);
                if (object.go("Header", "SignalState").isTrue()) { return "ended"; }
                const value = object.go("State").number();
                return THREAD_STATES[value] || "state " + value;
            });
            print(name + ": thread " + pointer(at) + ", " + state + ". Its stack: !thread " + hex(at) + " 1f");
        }
    });
    part(() => {
        const inside = signal.go("counted", "pointer", "value");
        const event = inside.go("event").word();
        const set = text(() => Place.of("nt", "_KEVENT", event).go("Header", "SignalState").isTrue() ? "signalled" : "not signalled");
        print("  told to end: " + (inside.go("stopped").isTrue() ? "yes" : "no") + ", event " + pointer(event) + " " + set);
    });
}

function showWorker() {
    withState(tollgate => {
        const started = tollgate.go("started", "value", "value");
        thread("worker", started.go("worker"), tollgate.go("worker"));
        part(() => {
            const full = room(tollgate);
            const listed = waiting(tollgate, MOST_NODES).nodes.length;
            print("  queue: " + (full.closed ? "closed" : "open") + ", " + plural(full.packets, "place") + " in use, " + listed + " in the list");
            if (full.packets === 0) {
                print("  It has nothing to do" + (full.closed ? " and ends." : " and waits for its event."));
            } else if (listed < full.packets) {
                print("  It is ending packets it took from the list, or a classify is between its place and the list.");
            } else {
                print("  It has not taken what is in the list yet: it was woken and has not run, or its event was lost.");
            }
        });
        part(() => {
            const decision = option(tollgate.go("completing", "__0", "value", "value"));
            if (decision !== null) {
                print("  completing a connect: " + tuple(decision.go("facts")) + ", " + enumerator(decision.go("verdict"))
                    + (decision.go("asked_for").isTrue() ? ", its reauthorization has asked" : ", its reauthorization has not asked yet (A-72)"));
            }
        });
        thread("keeper (filter engine session)", started.go("keeper"), tollgate.go("keeper"));
        part(() => {
            const callouts = option(started.go("callouts"));
            if (callouts === null) {
                print("callouts: none registered, or stop() has taken them over");
            } else {
                const ids = callouts.go("ids");
                const each = ids.type.baseType;
                const list = [];
                for (let index = 0; index < Math.floor(ids.size() / number(each.size)); index++) {
                    const id = optionalNumber(new Place(each, plus(ids.at, index * number(each.size))));
                    list.push(id === null ? "-" : id);
                }
                print("callouts: " + list.join(" "));
            }
            print("subscription to the base filtering engine: " + (variant(started.go("subscription")).name === "None" ? "none" : "there"));
        });
    });
}

function showHistory() {
    print("The driver keeps no history: what is past is in its counters alone. What can be known now:");
    withState(tollgate => {
        part(() => {
            const { sums, inFlight } = counters(tollgate);
            for (const group of Object.keys(sums)) { print("  " + ("            " + sums[group]).slice(-12) + "  " + group); }
            print("injections under way: " + inFlight);
        });
        part(() => {
            const { nodes } = waiting(tollgate, MOST_NODES);
            print("in the queue's list: " + nodes.length);
            if (nodes.length > 0) {
                print("  oldest: " + summary(takeApart(nodes[0])));
                print("  newest: " + summary(takeApart(nodes[nodes.length - 1])));
            }
        });
        print("For a history of packets: netsh wfp capture, or wfpsim replay of a capture file.");
    });
}

// Debugger commands must not throw and may be called without the script's own `this`.
const COMMANDS = [
    [showCounters, "counters"], [showHeld, "held"], [showPacket, "packet"],
    [showWorker, "worker"], [showHistory, "history"], [showWhy, "why"],
];

function initializeScript() {
    return [new host.apiVersionSupport(1, 3)].concat(COMMANDS.map(([work, name]) => new host.functionAlias(work, "tollgate_" + name)));
}

// A function alias cannot have a dot in its name, a text alias can. `.scriptrun` calls this, `.scriptload` does not.
function invokeScript() {
    for (const [, name] of COMMANDS) {
        host.namespace.Debugger.Utility.Control.ExecuteCommand("as !tollgate." + name + " !tollgate_" + name);
    }
    print("!tollgate." + COMMANDS.map(([, name]) => name).join("   !tollgate."));
}
