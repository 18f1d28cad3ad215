// A made-up debugger: the part of WinDbg's object model that the script uses, over memory and types that a test lays out.
//
// The types are those of the image's PDB (layout.json, written by `cargo xtask debugger --write`), and no field is in there
// that windbg/src/tables.json does not name: a field that the script reads and the table does not have is missing here.

import { readFileSync } from "node:fs";
import vm from "node:vm";

const here = new URL("./", import.meta.url);
export const LAYOUT = JSON.parse(readFileSync(new URL("layout.json", here), "utf8"));
export const SCRIPT = readFileSync(new URL("../tollgate.js", here), "utf8");

// The debugger's 64-bit number.
class Int64 {
    constructor(low, high = 0) { this.low = low >>> 0; this.high = high >>> 0; }
    static from(value) {
        const bits = BigInt.asUintN(64, BigInt(value));
        return new Int64(Number(bits & 0xffffffffn), Number(bits >> 32n));
    }
    getLowPart() { return this.low; }
    getHighPart() { return this.high; }
    get value() { return (BigInt(this.high) << 32n) | BigInt(this.low); }
}
export const int64 = value => Int64.from(value);

const number = size => ({ number: size });
const pointer = to => ({ pointer: to });
const struct = (size, fields) => ({
    kind: "udt", size, constants: {},
    fields: Object.fromEntries(Object.entries(fields).map(([name, [offset, type]]) => [name, { offset, type }])),
});

// What Microsoft's symbols have of what is read. Offsets are made up where no header tells them.
const NT = {
    _DISPATCHER_HEADER: struct(24, { SignalState: [4, number(4)] }),
    _KEVENT: struct(24, { Header: [0, "_DISPATCHER_HEADER"] }),
    _KTHREAD: struct(0x480, { Header: [0, "_DISPATCHER_HEADER"], State: [0x184, number(1)] }),
    _KSYSTEM_TIME: struct(12, { LowPart: [0, number(4)], High1Time: [4, number(4)] }),
    _KUSER_SHARED_DATA: struct(0x740, { InterruptTime: [8, "_KSYSTEM_TIME"] }),
};
const rename = text => JSON.parse(JSON.stringify(text).replaceAll("wfp_sys::ndis::", "_"));
export const NDIS = Object.fromEntries(["NET_BUFFER_LIST", "NET_BUFFER", "MDL"]
    .map(name => ["_" + name, rename(LAYOUT.types["wfp_sys::ndis::" + name])]));

// Memory of the target, in blocks with holes between them.
class Memory {
    constructor() { this.blocks = []; }

    block(at, size) {
        if (this.blocks.some(other => at < other.at + BigInt(other.bytes.length) && other.at < at + BigInt(size))) {
            throw new Error("two blocks of the test overlap at 0x" + at.toString(16));
        }
        this.blocks.push({ at, bytes: new Uint8Array(size) });
    }

    drop(at) { this.blocks = this.blocks.filter(block => block.at !== at); }

    view(at, size) {
        const block = this.blocks.find(({ at: start, bytes }) => at >= start && at + BigInt(size) <= start + BigInt(bytes.length));
        if (block === undefined) { throw new Error("Unable to read target memory at 0x" + at.toString(16)); }
        const offset = Number(at - block.at);
        return block.bytes.subarray(offset, offset + size);
    }

    write(at, size, value) {
        const view = this.view(at, size);
        let bits = BigInt.asUintN(size * 8, BigInt(value));
        for (let index = 0; index < size; index++, bits >>= 8n) { view[index] = Number(bits & 0xffn); }
    }
}

// A target, and the script loaded into a debugger that looks at it.
export class Debugger {
    constructor() {
        this.memory = new Memory();
        this.modules = { tollgate: structuredClone(LAYOUT.types), nt: structuredClone(NT) };
        this.statics = new Map();
        this.output = [];
        this.commands = [];
        this.aliases = new Map();
        // How the debugger gives constants of a type: as the field's value, on an object of the type, or not at all.
        this.constants = "field";
    }

    size(module, type) {
        if (typeof type === "string") { return this.modules[module][type].size; }
        return type.pointer !== undefined ? 8 : type.size ?? type.number;
    }

    // The type object of what a field or a name says.
    type(module, spelled) {
        const self = this;
        const size = Int64.from(this.size(module, spelled));
        if (typeof spelled !== "string") {
            const to = spelled.pointer ?? spelled.array;
            return {
                name: JSON.stringify(spelled), size, fields: {},
                typeKind: spelled.pointer !== undefined ? "pointer" : spelled.array !== undefined ? "array" : "intrinsic",
                get baseType() { return to === undefined ? undefined : self.type(module, to); },
            };
        }
        const described = this.modules[module][spelled];
        const fields = {};
        for (const [name, { offset, type }] of Object.entries(described.fields)) {
            fields[name] = { name, offset: Int64.from(offset), locationKind: "member", get type() { return self.type(module, type); } };
        }
        for (const [name, value] of Object.entries(described.constants)) {
            fields[name] = { name, locationKind: "constant" };
            if (this.constants === "field") { fields[name].value = Int64.from(value); }
        }
        return { name: spelled, size, typeKind: described.kind, fields, module };
    }

    // Where a path of fields leads, with the size there.
    place(type, at, path) {
        let here = { type, at: BigInt(at) };
        for (const name of path === "" ? [] : path.split(".")) {
            const field = this.modules.tollgate[here.type]?.fields[name];
            if (field === undefined) { throw new Error("the test names " + path + " of " + type + ", which is not there"); }
            here = { type: field.type, at: here.at + BigInt(field.offset) };
        }
        return { ...here, size: this.size("tollgate", here.type) };
    }

    put(type, at, path, value) {
        const there = this.place(type, at, path);
        this.memory.write(there.at, Math.min(there.size, 8), value);
    }

    // Writes the tag of a variant, and gives the variant's body. A variant with a range has no tag of its own: its data tell it.
    choose(type, at, path, name) {
        const there = this.place(type, at, path);
        const union = this.modules.tollgate[there.type];
        for (let index = 0; union.fields["variant" + index] !== undefined; index++) {
            const variant = this.modules.tollgate[there.type + "::Variant" + index];
            if (variant.fields.value.type === there.type + "::" + name) {
                if (variant.constants.DISCR_EXACT !== undefined) {
                    this.memory.write(there.at + BigInt(union.fields.tag.offset), this.size("tollgate", union.fields.tag.type), variant.constants.DISCR_EXACT);
                }
                return { type: there.type + "::" + name, at: there.at + BigInt(variant.fields.value.offset) };
            }
        }
        throw new Error("no variant " + name + " of " + there.type);
    }

    load() {
        const self = this;
        const host = {
            Int64,
            functionAlias: class { constructor(work, name) { Object.assign(this, { work, name }); } },
            apiVersionSupport: class { constructor(major, minor) { Object.assign(this, { major, minor }); } },
            diagnostics: { debugLog: (...texts) => self.output.push(texts.join("")) },
            memory: { readMemoryValues: (at, count) => Uint8Array.from(self.memory.view(at.value, count)) },
            namespace: { Debugger: { Utility: { Control: { ExecuteCommand: command => self.commands.push(command) } } } },
            getModuleType(module, name) {
                if (self.modules[module]?.[name] === undefined) { throw new Error("Unable to bind name '" + name + "'"); }
                return self.type(module, name);
            },
            getModuleSymbolAddress(module, name) {
                if (!self.statics.has(module + "!" + name)) { throw new Error("Unable to find symbol"); }
                return Int64.from(self.statics.get(module + "!" + name));
            },
            createTypedObject(at, type) {
                if (self.constants !== "object") { throw new Error("Not supported"); }
                const described = self.modules[type.module][type.name].constants;
                return Object.fromEntries(Object.entries(described).map(([name, value]) => [name, Int64.from(value)]));
            },
        };
        const context = vm.createContext({ host });
        vm.runInContext(SCRIPT, context, { filename: "tollgate.js" });
        for (const registered of context.initializeScript()) {
            if (registered.name !== undefined) { this.aliases.set(registered.name, registered.work); }
        }
        this.context = context;
        return this;
    }

    // A value of the script's own.
    evaluate(text) {
        if (this.context === undefined) { this.load(); }
        return vm.runInContext(text, this.context);
    }

    // What a command prints. It must never throw.
    run(command, ...given) {
        if (this.context === undefined) { this.load(); }
        this.output.length = 0;
        this.aliases.get("tollgate_" + command)(...given);
        return this.output.join("");
    }
}
