//! The order of unload (C-50), DriverEntry's way back (C-51), and what hangs.

use wfpsim::Machine;

use super::accept_undecided;
use super::always;
use super::failing;
use super::plain;
use super::race;
use super::unload_under_load;
use crate::Mistake;
use crate::driver;
use crate::driver::Layer;
use crate::driver::Setup;
use crate::traffic;

/// The mistakes.
pub(crate) const UNLOAD: &[Mistake] = &[
    race(
        "E-4",
        "C-50",
        |machine| unload_under_load(machine, &[Layer::RecvAccept]),
        "stops its worker before its callouts, which pend on: what is pended then is completed by nobody",
    ),
    race(
        "C-50-filters-last",
        "C-50",
        |machine| unload_under_load(machine, &[Layer::InboundTransport]),
        "unregisters its callouts before its filters are gone, which block meanwhile",
    ),
    always(
        "C-50-state-first",
        "C-50",
        plain,
        load_and_unload,
        "frees its state while its worker and its callouts use it",
    ),
    race(
        "C-50-handle-first",
        "C-50",
        |machine| unload_under_load(machine, &[Layer::InboundTransport]),
        "destroys its injection handle while its callouts ask about packets with it",
    ),
    always(
        "portmaster-1908",
        "C-50",
        plain,
        accept_undecided,
        "waits in unload for the verdict about a connection, and nobody is left to give it",
    ),
    always(
        "E-3",
        "C-50",
        plain,
        accept_undecided,
        "drains its list in unload and takes nothing off it that came in",
    ),
    always(
        "E-3-block",
        "C-61",
        plain,
        accept_undecided,
        "frees what waits in unload and leaves it on its list",
    ),
    always(
        "E-2",
        "C-61",
        plain,
        traffic::connect,
        "takes the head of an empty list for a packet",
    ),
    race(
        "npcap-341",
        "C-06",
        |machine| unload_under_load(machine, &[Layer::RecvAccept]),
        "destroys its injection handle while its worker injects, for want of rundown protection",
    ),
    always(
        "E-5",
        "C-51",
        |config| failing(config, "FwpmTransactionCommit0"),
        load_and_unload,
        "leaves its callouts registered when DriverEntry fails",
    ),
    always(
        "C-51-handle",
        "C-51",
        |config| failing(config, "FwpmTransactionCommit0"),
        load_and_unload,
        "leaves its injection handle open when DriverEntry fails",
    ),
    always(
        "C-51-session",
        "C-51",
        |config| failing(config, "FwpmTransactionCommit0"),
        load_and_unload,
        "leaves its session open when DriverEntry fails",
    ),
    always(
        "C-51-thread",
        "C-51",
        |config| failing(config, "FwpmTransactionCommit0"),
        load_and_unload,
        "leaves its worker running when DriverEntry fails",
    ),
    always(
        "C-51-pool",
        "C-51",
        |config| failing(config, "FwpmTransactionCommit0"),
        load_and_unload,
        "leaves its memory allocated when DriverEntry fails",
    ),
    always(
        "E-10",
        "C-04",
        |config| failing(config, "ObReferenceObjectByHandle"),
        load_and_unload,
        "asserts that it got its worker's thread object, and waits for none in unload",
    ),
];

fn load_and_unload(machine: &Machine) {
    driver::load(machine, Setup::at(&[Layer::InboundTransport]));
    driver::unload(machine);
}
