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
