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
