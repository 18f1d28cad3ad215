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
