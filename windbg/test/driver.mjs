// A driver in the memory of a made-up target, as DriverEntry leaves it, and what a test puts into it.

import { Debugger, LAYOUT } from "./debugger.mjs";

export const SLOT = 0xfffff80512340040n;
export const STATE = 0xffffb00f10000000n;
export const THREAD = 0xffffb00f20000080n;
const COUNTERS = 0xffffb00f10001000n;
const WORKER = 0xffffb00f10002000n;
const KEEPER = 0xffffb00f10003000n;
const KEEPER_THREAD = 0xffffb00f20001080n;
const SHARED_DATA = 0xfffff78000000000n;
export const NOW = 900_000_000_000n;

export const TOLLGATE = "tollgate::entry::Tollgate";
const NODE = "nt::fifo::Node<enum2$<core::option::Option<tollgate::queue::Waiting<tollgate::held::Held> > > >";
const STORAGE = "nt::slot::Storage";
const PHASES = { empty: 0, opening: 1, open: 2, closed: 3 };

export class Driver extends Debugger {
    constructor() {
        super();
        this.statics.set("tollgate!" + LAYOUT.slot, SLOT);
        this.memory.block(SLOT, 64);
        this.memory.block(STATE, LAYOUT.types[TOLLGATE].size);
        this.memory.block(SHARED_DATA, 0x740);
        this.memory.write(SHARED_DATA + 8n, 8, NOW);
        this.next = 0xffffb00f30000000n;
        this.last = null;
        this.counts = new Map();

        this.phase("open", STATE);
        this.put(STORAGE, SLOT, "rundown", 2);
        const counters = "nt::shared::Counted<tollgate::counters::Counters>";
        this.memory.block(COUNTERS, LAYOUT.types[counters].size);
        this.state("counters", COUNTERS);
        this.state("queue.limits.packets", 4096);
        this.state("queue.limits.bytes", 8 << 20);
        this.state("queue.limits.age.secs", 1);
        for (const [name, at, thread] of [["worker", WORKER, THREAD], ["keeper", KEEPER, KEEPER_THREAD]]) {
            this.memory.block(at, LAYOUT.types["nt::shared::Counted<nt::signal::Signal>"].size);
            this.memory.block(at + 0x100n, 24);
            this.put("nt::shared::Counted<nt::signal::Signal>", at, "value.event", at + 0x100n);
            this.state(name, at);
            this.memory.block(thread, 0x480);
            this.memory.write(thread + 0x184n, 1, 5);
            this.state("started.value.value." + name, thread);
            // The thread's own signal, the second word of the two.
            this.memory.write(this.place(TOLLGATE, STATE, "started.value.value." + name).at + 8n, 8, at);
        }
        const ids = this.place(TOLLGATE, STATE, "started.value.value.callouts").at;
        for (let index = 0n; index < 8n; index++) {
            this.memory.write(ids + index * 8n, 4, 1);
            this.memory.write(ids + index * 8n + 4n, 4, 300n + index);
        }
        this.state("started.value.value.subscription", 0xffffb00f40000000n);
        this.choose(TOLLGATE, STATE, "completing.__0.value.value", "None");
        this.none(TOLLGATE, STATE, "policy.block_remote_address");
        this.none(TOLLGATE, STATE, "policy.block_remote_port");
    }

    phase(name, value) {
        this.put(STORAGE, SLOT, "state", PHASES[name]);
        this.put(STORAGE, SLOT, "value", value);
        return this;
    }

    state(path, value) { this.put(TOLLGATE, STATE, path, value); }
    none(type, at, path) { this.choose(type, at, path, "None"); }

    some(type, at, path, value) {
        const body = this.choose(type, at, path, "Some");
        if (value !== undefined) { this.put(body.type, body.at, "__0", value); }
        return body;
    }

    stop(name) { this.put("nt::shared::Counted<nt::signal::Signal>", name === "worker" ? WORKER : KEEPER, "value.stopped", 1); }

    // As stop() takes it over.
    takeStarted() {
        for (const name of ["worker", "keeper", "callouts", "subscription"]) { this.none(TOLLGATE, STATE, "started.value.value." + name); }
    }

    count(name, value) {
        const index = this.evaluate("COUNTERS").findIndex(counter => counter[1] === name);
        if (index < 0) { throw new Error("no counter " + name); }
        this.memory.write(this.place("nt::shared::Counted<tollgate::counters::Counters>", COUNTERS, "value.__0").at + BigInt(index * 8), 8, value);
        return this;
    }

    room(packets, bytes, closed = false) {
        this.state("queue.room", (closed ? 1n << 63n : 0n) | BigInt(packets) << 32n | BigInt(bytes));
        return this;
    }

    allocate(size) {
        const at = this.next;
        this.memory.block(at, size);
        this.next += BigInt(size + 0x100 & ~0xff);
        return at;
    }

    address(type, at, path, text) {
        const [name, octets] = typeof text === "string" ? ["V4", text.split(".").map(Number)] : ["V6", text];
        const body = this.choose(type, at, path, name);
        const there = this.place(body.type, body.at, "__0.octets");
        this.memory.view(there.at, there.size).set(octets);
    }

    facts(type, at, path, { outbound = false, protocol, local, remote, localPort, remotePort }) {
        const direction = this.place(type, at, path + ".direction");
        this.memory.write(direction.at, 1, outbound ? 0 : 1);
        for (const [name, value] of [["local_address", local], ["remote_address", remote]]) {
            if (value === undefined) {
                this.none(type, at, path + "." + name);
            } else {
                const body = this.choose(type, at, path + "." + name, "Some");
                this.address(body.type, body.at, "__0", value);
            }
        }
        for (const [name, value] of [["protocol", protocol], ["local_port", localPort], ["remote_port", remotePort]]) {
            if (value === undefined) { this.none(type, at, path + "." + name); } else { this.some(type, at, path + "." + name, value); }
        }
    }

    // Puts something at the end of the queue; gives its node.
    hold(kind, { seconds = 0.25, bytes = 0, facts, nbl, pended, family = "V4", endpoint }) {
        const at = this.allocate(LAYOUT.types[NODE].size);
        const waiting = this.some(NODE, at, "value");
        const held = { type: waiting.type, at: waiting.at, path: "__0.value" };
        this.put(held.type, held.at, "__0.bytes", bytes);
        this.put(held.type, held.at, "__0.value.since", NOW - BigInt(Math.round(seconds * 1e7)));
        this.facts(held.type, held.at, "__0.value.facts", facts);
        const body = this.choose(held.type, held.at, "__0.value.work", kind);
        const packet = { Inbound: "__0", Outbound: "__0", RecvAccept: "packet" }[kind];
        if (pended !== undefined) { this.put(body.type, body.at, "pended", pended); }
        if (kind === "Connect") {
            if (endpoint === undefined) { this.none(body.type, body.at, "endpoint_handle"); } else { this.some(body.type, body.at, "endpoint_handle", endpoint); }
            if (nbl === undefined) {
                this.none(body.type, body.at, "datagram");
            } else {
                const datagram = this.some(body.type, body.at, "datagram");
                this.packet(datagram, "__0", { nbl, family });
            }
        } else {
            this.packet(body, packet, { nbl, family });
        }
        if (this.last === null) {
            // Both ends of the list.
            const ends = this.place(TOLLGATE, STATE, "queue.list.value.value.ends").at;
            this.memory.write(ends, 8, at);
            this.memory.write(ends + 8n, 8, at);
        } else {
            this.put(NODE, this.last, "next", at);
        }
        this.last = at;
        return at;
    }

    packet({ type, at }, path, { nbl, family }) {
        this.put(type, at, path + ".nbl", nbl);
        this.memory.write(this.place(type, at, path + ".family").at, 1, family === "V4" ? 0 : 1);
    }

    link(from, to) { this.put(NODE, from, "next", to); }

    // A list with one packet of these bytes, `offset` bytes into its MDL.
    list(data, offset = 40) {
        const N = "wfp_sys::ndis::";
        const sizes = name => LAYOUT.types[N + name].size;
        const [nbl, packet, mdl, memory] = [sizes("NET_BUFFER_LIST"), sizes("NET_BUFFER"), sizes("MDL"), offset + data.length].map(size => this.allocate(size));
        this.memory.view(memory + BigInt(offset), data.length).set(data);
        this.put(N + "NET_BUFFER_LIST", nbl, "FirstNetBuffer", packet);
        for (const [field, value] of [["MdlChain", mdl], ["CurrentMdl", mdl], ["CurrentMdlOffset", offset], ["DataOffset", offset], ["DataLength", data.length]]) {
            this.put(N + "NET_BUFFER", packet, field, value);
        }
        for (const [field, value] of [["MdlFlags", 5], ["MappedSystemVa", memory], ["ByteCount", offset + data.length]]) {
            this.put(N + "MDL", mdl, field, value);
        }
        return { nbl, packet, mdl, memory };
    }
}
