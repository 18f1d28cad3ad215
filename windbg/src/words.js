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
