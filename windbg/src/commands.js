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
