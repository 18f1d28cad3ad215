// What the commands say of a driver that is as it should be.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NDIS, SCRIPT, int64 } from "./debugger.mjs";
import { Driver, STATE, THREAD, TOLLGATE } from "./driver.mjs";

const WEB = { protocol: 6, local: "192.0.2.1", localPort: 50000, remote: "203.0.113.7", remotePort: 443 };
const says = (text, ...parts) => {
    for (const part of parts) { assert.ok(text.includes(part), "no " + JSON.stringify(part) + " in:\n" + text); }
};
// Nothing was missing: no part of the output is an excuse.
const whole = text => assert.ok(!/symbols|cannot be read|the debugger said|\(tag|undefined|NaN/.test(text), text);

test("the commands are registered under names the debugger can call and get their dots by text aliases", () => {
    const driver = new Driver().load();
    assert.deepEqual([...driver.aliases.keys()], ["counters", "held", "packet", "worker", "history", "why"].map(name => "tollgate_" + name));
    driver.context.invokeScript();
    assert.equal(driver.commands.length, 6);
    assert.equal(driver.commands[1], "as !tollgate.held !tollgate_held");
});

test("the script keeps to the language of the debugger's engine", () => {
    const code = SCRIPT.replace(/\/\/.*$/gm, "").replace(/"(?:[^"\\]|\\.)*"/g, '""');
    for (const [what, pattern] of [["optional chaining", /\?\.[a-z[(]/i], ["??", /\?\?/], ["BigInt", /\b\d+n\b|BigInt/], ["**", /\*\*/],
        ["spread of an object", /\{\s*\.\.\./], ["async", /\basync\b|\bawait\b/], ["private names", /#[a-z]/i], ["catch without a name", /catch\s*\{/]]) {
        assert.ok(!pattern.test(code), what + ": " + code.match(pattern)?.[0]);
    }
});

test("counters: those that are not zero, by name and group, and what is under way", () => {
    const driver = new Driver().count("classified_inbound_transport", 70).count("held_inbound_transport", 68)
        .count("reinjected_receive", 60).count("completed_success", 57).count("left_self_injected", 5000000000n);
    const text = driver.run("counters");
    whole(text);
    says(text, "classified: 70", "68  held_inbound_transport", "left: 5000000000", "injections under way: 3", "Injected by this driver");
    assert.ok(!text.includes("dropped_age"), text);
});

test("counters: of a driver that has just come up", () => {
    says(new Driver().run("counters"), "Every counter is zero", "injections under way: 0");
});

test("held: each packet with layer, tuple, age, list and pended operation", () => {
    const driver = new Driver().room(4, 1740);
    const segment = driver.hold("Inbound", { facts: WEB, bytes: 1500, nbl: 0xffffb00f55550000n, seconds: 0.25 });
    driver.hold("RecvAccept", { facts: { ...WEB, localPort: 80, remotePort: 61000 }, bytes: 40, nbl: 0xffffb00f55560000n, pended: 0xffffb00f66660000n, seconds: 0.125 });
    driver.hold("Connect", { facts: { ...WEB, outbound: true }, pended: 0xffffb00f66670000n, endpoint: 0x1234 });
    const v6 = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    driver.hold("Outbound", { facts: { outbound: true, protocol: 58, remote: v6 }, bytes: 200, nbl: 0xffffb00f55570000n, family: "V6" });
    const text = driver.run("held");
    whole(text);
    says(text, "queue: 4 packets of 4096, 1740 bytes of 8388608, oldest may be 1 s",
        "[0] node 0x" + segment.toString(16),
        "INBOUND_TRANSPORT (or a reauthorization) V4, TCP 192.0.2.1:50000 <- 203.0.113.7:443, held for 0.250 s, 1500 bytes, NBL 0xffffb00f55550000",
        "ALE_AUTH_RECV_ACCEPT V4, TCP 192.0.2.1:80 <- 203.0.113.7:61000, held for 0.125 s", "pended, context 0xffffb00f66660000",
        "ALE_AUTH_CONNECT, TCP 192.0.2.1:50000 -> 203.0.113.7:443", "no packet, pended, context 0xffffb00f66670000",
        "V6, ICMPv6 ?:? -> [2001:db8::7]:?");
    assert.ok(!text.includes("more in use"), text);
});

test("held: what the worker has taken is not in the list, and that is said", () => {
    const driver = new Driver().room(3, 100);
    driver.hold("Inbound", { facts: WEB, nbl: 0xffffb00f55550000n });
    says(driver.run("held"), "2 places more in use and not in the list");
    says(new Driver().run("held"), "Nothing is held.");
});

test("addresses are written as they are written", () => {
    const driver = new Driver();
    for (const [octets, text] of [
        [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "[::]"],
        [[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "[::1]"],
        [[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "[fe80::]"],
        [[0x20, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], "[2001:0:0:1::1]"],
        [[0x20, 1, 0, 2, 0, 3, 0, 4, 0, 0, 0, 5, 0, 6, 0, 7], "[2001:2:3:4:0:5:6:7]"],
    ]) {
        const body = driver.some(TOLLGATE, STATE, "policy.block_remote_address");
        driver.address(body.type, body.at, "__0", octets);
        says(driver.run("why"), "blocks what has remote address " + text + ",");
    }
});

test("packet: a held packet by its node or by its list, down to its bytes", () => {
    const driver = new Driver().room(1, 20);
    const { nbl, packet } = driver.list(Uint8Array.from({ length: 70 }, (_, index) => index + 0x40));
    const node = driver.hold("RecvAccept", { facts: WEB, bytes: 20, nbl, pended: 0xffffb00f66660000n });
    for (const at of [int64(node), int64(nbl)]) {
        const text = driver.run("packet", at);
        says(text, "held: node", "layer      ALE_AUTH_RECV_ACCEPT V4", "completion context 0xffffb00f66660000", "inject at  interface 0.0", "no IPsec",
            "NET_BUFFER 0x" + (packet >> 32n).toString(16), "DataOffset 40, DataLength 70", "0000  40 41 42", "0030  70 71");
        assert.ok(!text.includes("0040 "), "64 bytes at most: " + text);
    }
});

test("packet: NDIS' own symbols are used where they are", () => {
    const driver = new Driver();
    const { nbl } = driver.list([1, 2, 3]);
    says(driver.run("packet", int64(nbl)), "is not in the queue's list", "the driver's own declaration", "0000  01 02 03");
    driver.modules.ndis = NDIS;
    says(driver.run("packet", int64(nbl)), "by ndis.pdb", "0000  01 02 03");
});

test("packet: data in several MDLs, and a chain of lists", () => {
    const driver = new Driver();
    const { nbl, mdl } = driver.list([1, 2, 3], 8);
    const other = driver.list([9, 9], 0);
    driver.put("wfp_sys::ndis::NET_BUFFER_LIST", nbl, "Next", other.nbl);
    driver.put("wfp_sys::ndis::MDL", mdl, "Next", other.mdl);
    driver.memory.write(driver.place("wfp_sys::ndis::NET_BUFFER", other.packet - 0n, "").at, 8, 0);
    const first = driver.place("wfp_sys::ndis::NET_BUFFER_LIST", nbl, "FirstNetBuffer").at;
    const packet = new DataView(driver.memory.view(first, 8).slice().buffer).getBigUint64(0, true);
    driver.put("wfp_sys::ndis::NET_BUFFER", packet, "DataLength", 5);
    says(driver.run("packet", int64(nbl)), "chained to", "(A-19)", "0000  01 02 03", "0000  09 09");
});

test("worker: threads, signals, callouts, and the connect being completed", () => {
    const driver = new Driver().room(1, 0);
    const decision = driver.some(TOLLGATE, STATE, "completing.__0.value.value");
    driver.none(decision.type, decision.at, "__0.endpoint_handle");
    driver.facts(decision.type, decision.at, "__0.facts", { ...WEB, outbound: true });
    driver.memory.write(driver.place(decision.type, decision.at, "__0.verdict").at, 1, 1);
    const text = driver.run("worker");
    whole(text);
    says(text, "worker: thread 0x" + (THREAD >> 32n).toString(16), ", waiting. Its stack: !thread 0x" + THREAD.toString(16), "told to end: no",
        "not signalled", "1 place in use, 0 in the list", "It is ending packets it took", "callouts: 300 301 302 303 304 305 306 307",
        "completing a connect: TCP 192.0.2.1:50000 -> 203.0.113.7:443, Block", "subscription to the base filtering engine: there");
});

test("history: there is none, and what stands for it is named", () => {
    const driver = new Driver().room(2, 0).count("held_inbound_transport", 9);
    driver.hold("Inbound", { facts: WEB, nbl: 0xffffb00f55550000n, seconds: 0.75 });
    driver.hold("Inbound", { facts: WEB, nbl: 0xffffb00f55550000n, seconds: 0.5 });
    const text = driver.run("history");
    whole(text);
    says(text, "keeps no history", "9  held", "in the queue's list: 2", "oldest: INBOUND", "held for 0.750 s", "newest: INBOUND", "held for 0.500 s");
});
