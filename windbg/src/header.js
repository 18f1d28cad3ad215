// What Tollgate is doing, in WinDbg:
//
//   .scriptrun C:\path\tollgate.js
//   !tollgate.counters | .held | .packet ADDRESS | .worker | .history | .why
//
// See docs/windbg.md. Everything is read by what tollgate.pdb says of types and offsets, and by memory reads of plain bytes: no
// visualizer comes in between. What is not there (a driver half loaded, symbols, a page) is said, and the rest is printed.
// The debugger's engine speaks ECMAScript 2015: no BigInt, no optional chaining.
"use strict";

const MODULE = "tollgate";

// The debugger's symbol of the slot has the number of an impl block where SLOT_SYMBOL has a #.
const SLOT_NUMBERS = 32;

// Where KUSER_SHARED_DATA is, on every 64-bit Windows.
const SHARED_DATA = { hi: 0xfffff780, lo: 0 };
