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
