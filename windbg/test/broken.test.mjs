// No command throws, whatever is not there: each says what is missing and prints the rest.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Debugger, int64 } from "./debugger.mjs";
import { Driver, SLOT, STATE } from "./driver.mjs";

const COMMANDS = ["counters", "held", "worker", "history", "why"];
const FACTS = { protocol: 17, local: "192.0.2.1", remote: "203.0.113.7", localPort: 53, remotePort: 53 };
const says = (text, ...parts) => {
    for (const part of parts) { assert.ok(text.includes(part), "no " + JSON.stringify(part) + " in:\n" + text); }
};
const each = (make, ...parts) => {
    for (const command of COMMANDS) { says(make().run(command), ...parts); }
    make().run("packet", int64(0xffffb00f55550000n));
    make().run("packet");
};

test("tollgate.sys is not loaded, or its symbols are not", () => {
    each(() => new Debugger(), "is tollgate.sys loaded");
    says(new Debugger().run("packet", int64(0xffffb00f55550000n)), "is tollgate.sys loaded", "cannot be read");
    each(() => {
        const driver = new Driver();
        driver.modules.tollgate = {};
        return driver;
    }, "the symbols of tollgate have no type");
});

test("a debugger that does not find generic types by name still finds the state", () => {
    const driver = new Driver().count("engine_added", 1);
    delete driver.modules.tollgate["nt::slot::Slot<tollgate::entry::Tollgate>"];
    says(driver.run("counters"), "is open", "1  engine_added");
});

test("DriverEntry has not published its state, or is at it", () => {
    each(() => new Driver().phase("empty", 0), "The slot is empty");
    each(() => new Driver().phase("opening", 0), "The slot is opening");
});

test("the state was taken out, because the driver unloads", () => {
    each(() => new Driver().phase("closed", 0), "The slot is closed", "!stacks 2 tollgate");
});

test("a slot whose page is not in the dump", () => {
    each(() => {
        const driver = new Driver();
        driver.memory.drop(SLOT);
        return driver;
    }, "cannot be read: freed, paged out or not in the dump");
});

test("a state whose page is not in the dump", () => {
    each(() => {
        const driver = new Driver();
        driver.memory.drop(STATE);
        return driver;
    }, "cannot be read");
});

test("counters that were freed do not hide the queue", () => {
    const driver = new Driver().room(1, 0);
    driver.state("counters", 0xffffb00f99990000n);
    says(driver.run("why"), "memory at 0xffffb00f9999", "The policy permits everything.");
    says(driver.run("history"), "in the queue's list: 0");
});

test("a null pointer where there should be none", () => {
    const driver = new Driver();
    driver.state("counters", 0);
    says(driver.run("counters"), "a pointer to nt::shared::Counted<tollgate::counters::Counters> is null");
});

test("a list that leads back into itself ends", () => {
    const driver = new Driver().room(2, 0);
    const first = driver.hold("Inbound", { facts: FACTS, nbl: 0xffffb00f55550000n });
    const second = driver.hold("Inbound", { facts: FACTS, nbl: 0xffffb00f55560000n });
    driver.link(second, first);
    says(driver.run("held"), "[1] node", "the list leads back into itself");
});

test("a node that was freed ends the list, and the others are printed", () => {
    const driver = new Driver().room(2, 0);
    const first = driver.hold("Inbound", { facts: FACTS, nbl: 0xffffb00f55550000n });
    driver.hold("Inbound", { facts: FACTS, nbl: 0xffffb00f55560000n });
    driver.link(first, 0xffffb00f99990000n);
    says(driver.run("held"), "[0] node", "NBL 0xffffb00f55550000", "[1] node 0xffffb00f99990000", "memory at 0xffffb00f9999");
});

test("a node that was overwritten is said to be, and the others are printed", () => {
    const driver = new Driver().room(2, 0);
    const first = driver.hold("Inbound", { facts: FACTS, nbl: 0xffffb00f55550000n });
    driver.hold("Connect", { facts: FACTS, pended: 0 });
    const tag = driver.place("nt::fifo::Node<enum2$<core::option::Option<tollgate::queue::Waiting<tollgate::held::Held> > > >", first, "value.tag");
    driver.memory.write(tag.at, tag.size, 0x6666666666666666n);
    says(driver.run("held"), "tag 0x6666666666666666 is no variant of", "[1] node", "pended, context gone");
});

test("a list whose buffers, MDLs or data are not there", () => {
    const driver = new Driver();
    const { nbl, mdl, memory } = driver.list([1, 2, 3]);
    driver.memory.drop(memory);
    says(driver.run("packet", int64(nbl)), "DataLength 3", "MDL 0x", "cannot be read");
    driver.put("wfp_sys::ndis::MDL", mdl, "MdlFlags", 0);
    says(driver.run("packet", int64(nbl)), "not mapped (flags 0)");
    driver.memory.drop(mdl);
    says(driver.run("packet", int64(nbl)), "DataLength 3", "cannot be read");
    driver.put("wfp_sys::ndis::NET_BUFFER_LIST", nbl, "FirstNetBuffer", 0);
    says(driver.run("packet", int64(nbl)), "no NET_BUFFER");
    says(driver.run("packet", "what"), "is not a number or an address");
});

test("without the kernel's symbols ages and thread states are not known, and the rest is", () => {
    const driver = new Driver().room(1, 0);
    driver.hold("Inbound", { facts: FACTS, nbl: 0xffffb00f55550000n });
    driver.modules.nt = {};
    says(driver.run("held"), "age unknown", "UDP 192.0.2.1:53 <- 203.0.113.7:53");
    says(driver.run("worker"), "the symbols of nt have no type _KTHREAD", "told to end: no");
});

test("a driver with more counters than the script knows is of another version", () => {
    const driver = new Driver();
    const more = driver.modules.tollgate["tollgate::counters::Counters"].fields.__0.type;
    more.size -= 8;
    says(driver.run("counters"), "it is of another version");
});

test("constants that the debugger gives only on objects are found there, and else are said to be missing", () => {
    const driver = new Driver().room(1, 0);
    driver.hold("Inbound", { facts: FACTS, nbl: 0xffffb00f55550000n });
    driver.constants = "object";
    says(driver.run("held"), "UDP 192.0.2.1:53 <- 203.0.113.7:53");
    driver.constants = "none";
    says(driver.run("held"), "queue: 1 packet of 4096", "the debugger does not tell the constant DISCR_");
});
