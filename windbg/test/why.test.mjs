// !tollgate.why: which sentence for which state.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Driver, SLOT, STATE, TOLLGATE } from "./driver.mjs";

const says = (text, ...parts) => {
    for (const part of parts) { assert.ok(text.includes(part), "no " + JSON.stringify(part) + " in:\n" + text); }
};

test("nothing was classified, because the filters are not there", () => {
    says(new Driver().run("why"), "The policy permits everything.", "No packet was ever classified", "never seen running",
        "The driver is not being stopped.", "1 caller inside the slot");
    says(new Driver().count("engine_failed", 3).run("why"), "adding them failed 3 times");
});

test("packets are not held for reasons that are counted", () => {
    const driver = new Driver().count("engine_added", 1).count("classified_inbound_transport", 10).count("inline_fragment", 4)
        .count("inline_loopback", 1).count("inline_permitted", 5).count("dropped_age", 2).count("held_inbound_transport", 5)
        .count("reinjected_receive", 3).count("completed_success", 2).count("completed_failure", 1);
    const text = driver.run("why");
    says(text, "10 classifies, of which 5 held.", "5 were not held: the policy was asked during the classify:", "  4  A fragment that is not reassembled",
        "(inline_fragment)", "2 were held and lost", "1 injections were accepted and then failed in the stack");
    assert.ok(!text.includes("the difference is"), "the sums agree: " + text);
});

test("sums that differ are told as what is on its way", () => {
    const driver = new Driver().count("classified_connect", 3).count("held_connect", 2).count("inline_fragment", 0);
    says(driver.run("why"), "Classified 3, answered 2", "Held 2, ended 0, in the queue 0");
    says(new Driver().count("completed_success", 1).run("why"), "More injections were completed than accepted: 1.");
});

test("the policy is told", () => {
    const driver = new Driver();
    driver.some(TOLLGATE, STATE, "policy.block_remote_port", 443);
    says(driver.run("why"), "The policy blocks what has remote port 443, and permits the rest.");
});

test("a full queue is a reason", () => {
    says(new Driver().room(4096, 5).run("why"), "full by packets");
    says(new Driver().room(40, 8 << 20).run("why"), "full by bytes");
});

test("what unload would wait for, and what it waits for", () => {
    says(new Driver().room(2, 0).count("reinjected_send", 1).run("why"), "would first end 2 held packets",
        "would wait for 1 injection not completed");
    const stopping = (set) => {
        const driver = new Driver().room(0, 0, true);
        driver.takeStarted();
        set(driver);
        return driver.run("why");
    };
    says(stopping(driver => driver.room(2, 9, true)), "The queue is closed", "Stopping waits for the worker: 2 places");
    says(stopping(() => {}), "the worker has not been told yet");
    says(stopping(driver => driver.stop("worker")), "stopping waits for its thread");
    const keeperToo = driver => { driver.stop("worker"); driver.stop("keeper"); };
    says(stopping(keeperToo), "stopping waits for it to close its session, and then unregisters the callouts");
    const text = stopping(driver => {
        keeperToo(driver);
        driver.phase("closed", STATE).count("reinjected_receive", 2);
        driver.put("nt::slot::Storage", SLOT, "rundown", 0xffffb00f77770001n);
    });
    says(text, "the slot's close waits for those inside (wait block 0xffffb00f77770000)", "waits for whoever is still inside",
        "After that the injection handle waits for 2 injections", "!stacks 2 tollgate");
    says(stopping(driver => { keeperToo(driver); driver.put("nt::slot::Storage", SLOT, "rundown", 1); }), "nobody is inside the slot any more");
});

test("threads that stop() has taken over are not called missing", () => {
    const driver = new Driver().room(0, 0, true);
    driver.takeStarted();
    driver.stop("worker");
    says(driver.run("worker"), "worker: no thread", "told to end: yes", "and ends.", "callouts: none registered");
});
