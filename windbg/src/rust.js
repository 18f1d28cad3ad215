// --- how Rust lays things out

// A constant of a variant's struct: from the type, or else by an object of that type.
function discriminant(variant, name) {
    const field = fieldOf(variant.type, name);
    if (field === null) {
        return null;
    }
    let value;
    try { value = field.value; } catch (error) { value = undefined; }
    if (value === undefined || value === null) {
        try {
            value = host.createTypedObject(new host.Int64(variant.at.lo, variant.at.hi), variant.type)[name];
        } catch (error) {
            value = undefined;
        }
    }
    if (value === undefined || value === null) {
        throw new Missing("the debugger does not tell the constant " + name + " of " + variant.type.name);
    }
    return word(value);
}

// Which variant of an enum with data is there, and its fields.
function variant(place) {
    const tag = place.go("tag").word();
    for (let index = 0; fieldOf(place.type, "variant" + index) !== null; index++) {
        const candidate = place.go("variant" + index);
        const exact = discriminant(candidate, "DISCR_EXACT");
        let fits;
        if (exact !== null) {
            fits = same(tag, exact);
        } else {
            const begin = discriminant(candidate, "DISCR_BEGIN");
            const end = discriminant(candidate, "DISCR_END");
            const after = begin !== null && compare(tag, begin) >= 0;
            const before = end !== null && compare(tag, end) <= 0;
            // A range whose end is before its begin goes around.
            fits = begin !== null && end !== null && (compare(begin, end) <= 0 ? after && before : after || before);
        }
        if (fits) {
            const body = candidate.go("value");
            return { name: body.type.name.split("::").pop(), body };
        }
    }
    throw new Missing("tag " + hex(tag) + " is no variant of " + place.type.name + ": not initialised, or overwritten");
}

// The value of an Option, or null.
function option(place) {
    const found = variant(place);
    return found.name === "None" ? null : found.body.go("__0");
}

function optionalNumber(place) {
    const value = option(place);
    return value === null ? null : value.number();
}

function enumerator(place) {
    const names = ENUMS[place.type.name] || [];
    const value = place.number();
    return value < names.length ? names[value] : "value " + value;
}

function address(place) {
    const found = variant(place);
    const octets = found.body.go("__0", "octets").bytes();
    if (found.name === "V4") {
        return Array.from(octets).join(".");
    }
    const groups = [];
    for (let index = 0; index < 16; index += 2) { groups.push((octets[index] * 256 + octets[index + 1]).toString(16)); }
    // The longest run of at least two zero groups is left out, the first of several.
    let best = { start: 0, length: 1 };
    for (let start = 0; start < 8; start++) {
        let end = start;
        while (end < 8 && groups[end] === "0") { end++; }
        if (end - start > best.length) { best = { start, length: end - start }; }
    }
    const text = best.length === 1 ? groups.join(":")
        : groups.slice(0, best.start).join(":") + "::" + groups.slice(best.start + best.length).join(":");
    return "[" + text + "]";
}
