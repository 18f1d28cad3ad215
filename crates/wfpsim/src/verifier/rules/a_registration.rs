//! A.1 and: levels, registration, unregistration, unload.

use super::Check;
use super::Rule;
use super::Severity;
use super::Windows;
use super::shown;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "A.1",
        title: "Each Fwps, Fwpm and callback routine at the IRQL that it is documented for",
        severity: Severity::BugCheck,
        windows: Windows::DriverVerifier(
            "force IRQL checking: 0xD1 or 0xC4 where the routine waits or touches pageable memory",
        ),
        check: Check::Tested { by: shown::A_1 },
        meaning: "A routine of the filtering platform was called at a level that it is not made for. Those for PASSIVE_LEVEL \
                  wait and touch pageable memory: above it they deadlock a processor or fault. It often works on a quiet \
                  machine, and stops one that is short of memory.",
        read: &[
            "Fwpsk.h reference: the requirements table of each routine",
            "devtest: Force IRQL Checking",
        ],
    },
    Rule {
        id: "A-01",
        title: "A classify normally runs at DISPATCH_LEVEL: keep it short, resident code and data only",
        severity: Severity::BugCheck,
        windows: Windows::DriverVerifier(
            "force IRQL checking: 0xD1 at the first touch of pageable memory",
        ),
        check: Check::Tested { by: shown::A_01 },
        meaning: "Pageable code or data touched in a classify faults when it happens to be paged out. Long work there keeps a \
                  processor from everything else.",
        read: &["network: Callout Driver Programming Considerations"],
    },
    Rule {
        id: "A-02",
        title: "Create the device object before FwpsCalloutRegister, and look at what it returns",
        severity: Severity::Failure,
        windows: Windows::Status("an error such as STATUS_FWP_ALREADY_EXISTS"),
        check: Check::Tested {
            by: &["A-02-no-device", "A-02-copied-key"],
        },
        meaning: "Without its device object, or with a key that is registered already, the callout is not registered. The filters \
                  that name it then block what they match (A-03).",
        read: &[
            "FwpsCalloutRegister0",
            "network: Registering Callouts with the Filter Engine",
        ],
    },
    Rule {
        id: "A-03",
        title: "Leave no terminating filter whose callout is not registered",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &["A-03", "O-28"],
        },
        meaning: "A filter whose action is a terminating or unknown callout blocks everything it matches while that callout is not \
                  registered: the network is down for that traffic, with no driver to blame. \
                  FWPM_FILTER_FLAG_PERMIT_IF_CALLOUT_UNREGISTERED turns that into a permit.",
        read: &["FWPM_FILTER0", "docs/debugging.md#packets-are-missing"],
    },
    Rule {
        id: "A-04",
        title: "Associate a flow context only with a flowDeleteFn, a context that is not zero, and a look at the exact status",
        severity: Severity::Leak,
        windows: Windows::Status(
            "STATUS_INVALID_PARAMETER; STATUS_OBJECT_NAME_EXISTS, which NT_SUCCESS takes for a success",
        ),
        check: Check::Tested {
            by: &["A-04", "A-04-no-delete"],
        },
        meaning: "FwpsFlowAssociateContext0 refuses a context that nobody could be told the end of. If the flow has one already it \
                  says STATUS_OBJECT_NAME_EXISTS, which is of the success class: a driver that tests NT_SUCCESS believes its \
                  context is set, and leaks it.",
        read: &["FwpsFlowAssociateContext0"],
    },
    Rule {
        id: "A-05",
        title: "Remove every flow context before the callout is unregistered, and unregister again after STATUS_DEVICE_BUSY",
        severity: Severity::BugCheck,
        windows: Windows::Status("STATUS_DEVICE_BUSY, a warning"),
        check: Check::Tested { by: &["A-05"] },
        meaning: "While a flow carries the callout's context the callout stays registered. A driver that goes on unloading is \
                  called back when that flow ends, in code that is gone.",
        read: &[
            "FwpsCalloutUnregisterById0",
            "FwpsFlowRemoveContext0",
            "network: Unloading a Callout Driver",
        ],
    },
    Rule {
        id: "A-06",
        title: "Do not return from unload before every callout is unregistered and every injection handle destroyed",
        severity: Severity::BugCheck,
        windows: Windows::BugCheck("0xCE, when something calls into the image that is gone"),
        check: Check::Tested {
            by: &["A-06-handle", "O-24"],
        },
        meaning: "The filter engine does not know that the driver has gone. The next packet that matches a filter, the next \
                  completion, the next flow that ends calls code that is not there any more.",
        read: &[
            "docs/debugging.md#0xce-driver_unloaded_without_cancelling_pending_operations",
            "network: Unloading a Callout Driver",
        ],
    },
    Rule {
        id: "A-07",
        title: "Do not call FwpsFlowRemoveContext0 from flowDeleteFn",
        severity: Severity::Hang,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-07"] },
        meaning: "The engine calls flowDeleteFn while it takes the association away itself. Removing it once more from there works \
                  on what is half gone, under locks of the engine.",
        read: &["FWPS_CALLOUT_FLOW_DELETE_NOTIFY_FN0"],
    },
    Rule {
        id: "A-08",
        title: "notifyFn: answer ADD with a status that is meant; expect a NULL key on DELETE, and no balance",
        severity: Severity::Failure,
        windows: Windows::Nothing,
        check: Check::Tested {
            by: &["A-08-null-key", "A-08-unbalanced"],
        },
        meaning: "A status other than success on ADD keeps the filter out. On DELETE there is no filter key: a driver that reads \
                  it faults. Deletes have been reported missing, so an unload that waits for as many as there were adds may wait \
                  for ever.",
        read: &["FWPS_CALLOUT_NOTIFY_FN0", "ebpf-for-windows issue 3567"],
    },
    Rule {
        id: "A-09",
        title: "Repeat FwpsCalloutUnregister while it says busy or in use",
        severity: Severity::BugCheck,
        windows: Windows::Status("STATUS_DEVICE_BUSY or STATUS_FWP_IN_USE"),
        check: Check::Tested { by: &["A-09"] },
        meaning: "A classify under way or a flow's context keeps the callout registered. A driver that does not look, or tries \
                  once, unloads with its callout registered.",
        read: &["FwpsCalloutUnregisterById0", "ebpf-for-windows issue 1272"],
    },
    Rule {
        id: "A-10",
        title: "Set a callout's flags for what it can do: with ALLOW_URO never clone and reinject inbound URO packets",
        severity: Severity::PacketLoss,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-10"] },
        meaning: "Flags that allow an offload have the callout see coalesced or unsegmented packets, which it must then handle. \
                  Flags that are not set turn the offload off for what its filters match.",
        read: &["FWPS_CALLOUT3"],
    },
    Rule {
        id: "A-11",
        title: "Delete what was added to the engine: close the dynamic session, or delete each object",
        severity: Severity::Leak,
        windows: Windows::Nothing,
        check: Check::Tested { by: &["A-11"] },
        meaning: "Objects of a session that is not dynamic outlive the driver: providers, sublayers, callouts, and filters that \
                  block (A-03). An engine handle that is never closed keeps even a dynamic session's objects.",
        read: &["FWPM_SESSION0", "FwpmEngineClose0"],
    },
];
