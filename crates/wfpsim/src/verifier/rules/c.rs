//! C: the kernel.

use super::Check;
use super::Rule;
use super::Severity;
use super::Windows;
use super::shown;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "C.1",
        title: "Each routine of the executive at its IRQL and with the parameters that it takes",
        severity: Severity::BugCheck,
        windows: Windows::DriverVerifier(
            "force IRQL checking and DDI compliance: 0xC4 with 0x01, 0x11, 0x30 to 0x42, 0x80, 0x120 to 0x122, 0x2000F to 0x2001F",
        ),
        check: Check::Tested { by: shown::C_1 },
        meaning: "A wait at DISPATCH_LEVEL has a processor wait for itself; a routine for PASSIVE_LEVEL touches pageable memory. It \
                  often works until the machine is busy.",
        read: &[
            "docs/debugging.md#0xc4-driver_verifier_detected_violation",
            "bug check 0xC4",
        ],
    },
    Rule {
        id: "C-01",
        title: "In-stack queued spin locks: a handle for each acquisition, left alone until the release; never mixed with ordinary calls",
        severity: Severity::Corruption,
        windows: Windows::DriverVerifier("deadlock detection: 0xC4 with 0x1008 or 0x1009"),
        check: Check::Tested { by: shown::C_01 },
        meaning: "The handle is a link of the lock's queue. Used for two locks, or gone before the release, it breaks the queue, and \
                  processors spin for ever. An ordinary release of a queued lock leaves the next in line waiting.",
        read: &[
            "kernel: Queued Spin Locks",
            "KeAcquireInStackQueuedSpinLock",
        ],
    },
    Rule {
        id: "C-02",
        title: "Spin locks: not twice, in one order everywhere, released in reverse by the thread that took them",
        severity: Severity::Hang,
        windows: Windows::DriverVerifier(
            "deadlock detection: 0xC4 with 0x1000 to 0x1005, 0x1007, 0x100A, 0x100B",
        ),
        check: Check::Tested { by: shown::C_02 },
        meaning: "A lock taken by the thread that holds it never comes free. Two locks taken in opposite orders do so when two \
                  processors are unlucky. A thread that ends with a lock takes it along.",
        read: &[
            "docs/debugging.md#0xc4-driver_verifier_detected_violation",
            "devtest: Deadlock Detection",
        ],
    },
    Rule {
        id: "C-03",
        title: "Do not call out with a spin lock held",
        severity: Severity::Hang,
        windows: Windows::LaterAs("0x133, or a machine that stands still"),
        check: Check::Tested { by: shown::C_03 },
        meaning: "A completion or a classify may come back into the driver on the same thread and take the lock once more. That it does \
                  not do so today is luck.",
        read: &[
            "docs/debugging.md#0xc4-driver_verifier_detected_violation",
            "devtest: SpinLockSafe rule",
        ],
    },
    Rule {
        id: "C-04",
        title: "Unload waits on the thread object itself, referenced before its handle is closed",
        severity: Severity::BugCheck,
        windows: Windows::BugCheck("0xCE, when the thread's next instruction is gone"),
        check: Check::Tested { by: shown::C_04 },
        meaning: "An event that the thread sets says that it is about to end, not that it has: its last instructions are still in the \
                  image. A handle that was closed before the object was referenced names nothing to wait for.",
        read: &[
            "PsCreateSystemThread",
            "docs/debugging.md#0xce-driver_unloaded_without_cancelling_pending_operations",
        ],
    },
    Rule {
        id: "C-05",
        title: "Work items are short and do not block",
        severity: Severity::Hang,
        windows: Windows::Nothing,
        check: Check::Tested { by: shown::C_05 },
        meaning: "The threads that run them are few and shared. One that waits keeps others of the whole system from running, perhaps the \
                  one that it waits for.",
        read: &["kernel: System Worker Threads"],
    },
    Rule {
        id: "C-06",
        title: "Rundown protection: acquired by everything that leaves work behind, released when it ends, waited for by unload",
        severity: Severity::BugCheck,
        windows: Windows::BugCheck("0xCE or 0xD1, when late work runs"),
        check: Check::Tested { by: shown::C_06 },
        meaning: "Without it unload overtakes a call that is under way. Released too often it lets unload go early; not released it \
                  keeps it for ever. An acquisition that fails means that the driver is going, and is not to be ignored.",
        read: &["kernel: Run-Down Protection", "npcap issue 341"],
    },
    Rule {
        id: "C-07",
        title: "ExAllocatePool2: flags that exist, a tag, a size, and a look for NULL",
        severity: Severity::BugCheck,
        windows: Windows::DriverVerifier(
            "0xC4 with 0x00 for no bytes; 0xC2 with 0x9B for tag 0; low resources simulation for the NULL",
        ),
        check: Check::Tested { by: shown::C_07 },
        meaning: "It returns NULL when memory is short, and raises only where it was told to. Memory is zeroed unless it was asked for \
                  uninitialized: then it holds what somebody else left.",
        read: &["ExAllocatePool2"],
    },
    Rule {
        id: "C-50",
        title: "Unload in order: stop, filters, callouts, drain, worker, injection handle, nothing left",
        severity: Severity::Hang,
        windows: Windows::LaterAs("a service that hangs in STOP_PENDING, or 0xCE"),
        check: Check::Tested {
            by: &[
                "E-4",
                "C-50-filters-last",
                "C-50-state-first",
                "C-50-handle-first",
                "portmaster-1908",
                "E-3",
                "C-50-lost-wake-up",
                "C-50-events-crosswise",
            ],
        },
        meaning: "Each step keeps a later one from waiting for ever or from leaving something behind. A queue that is drained before the \
                  callouts are gone fills again; a worker that is stopped first leaves packets that nobody gives back.",
        read: &[
            "docs/debugging.md#it-does-not-stop",
            "network: Unloading a Callout Driver",
        ],
    },
    Rule {
        id: "C-51",
        title: "A DriverEntry that fails undoes everything that it did",
        severity: Severity::BugCheck,
        windows: Windows::BugCheck("0xCE, when something calls into the image that is gone"),
        check: Check::Tested {
            by: &[
                "E-5",
                "C-51-handle",
                "C-51-session",
                "C-51-thread",
                "C-51-pool",
            ],
        },
        meaning: "Nobody calls the unload routine of a driver that was not loaded. A callout, a thread or a handle that DriverEntry leaves \
                  behind belongs to nobody.",
        read: &[
            "DRIVER_INITIALIZE",
            "docs/debugging.md#0xce-driver_unloaded_without_cancelling_pending_operations",
        ],
    },
    Rule {
        id: "C-52",
        title: "Nothing calls into the driver after it was unloaded",
        severity: Severity::BugCheck,
        windows: Windows::BugCheck("0xCE DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS"),
        check: Check::Tested { by: shown::C_52 },
        meaning: "A callout, a completion, a timer, a DPC or a thread has run into code that is not there any more. What was left behind \
                  was reported before, when unload returned.",
        read: &[
            "bug check 0xCE",
            "docs/debugging.md#0xce-driver_unloaded_without_cancelling_pending_operations",
        ],
    },
    Rule {
        id: "C-60",
        title: "Driver Verifier's options, of which none is for WFP",
        severity: Severity::Fact,
        windows: Windows::NotApplicable,
        check: Check::NotChecked {
            why: "It says what Driver Verifier can do. Why this table exists.",
        },
        meaning: "Misuse of WFP shows there as pool, level, leak or NDIS trouble only.",
        read: &["devtest: Driver Verifier Command Syntax"],
    },
    Rule {
        id: "C-61",
        title: "Touch pool only inside the block, and only while it is allocated",
        severity: Severity::Corruption,
        windows: Windows::SpecialPool(
            "0xCD beyond the end, 0xCC or 0xD5 after the free, 0xD6 beyond the page, 0xC1 found at the free",
        ),
        check: Check::Tested { by: shown::C_61 },
        meaning: "A byte before or behind a block is somebody else's, and so is a block that was freed. Without special pool the victim \
                  is whoever owns that memory, and is blamed for it.",
        read: &[
            "devtest: Special Pool",
            "docs/debugging.md#0x19-bad_pool_header",
        ],
    },
    Rule {
        id: "C-62",
        title: "What Driver Verifier checks of pool, objects and levels (bug check 0xC4)",
        severity: Severity::BugCheck,
        windows: Windows::DriverVerifier("0xC4 with the subcode of the contract's table"),
        check: Check::Tested { by: shown::C_62 },
        meaning: "Pool left at unload is lost until the machine restarts, and tells of objects that were forgotten. The subcode says \
                  which rule it was.",
        read: &[
            "bug check 0xC4",
            "docs/debugging.md#0xc4-driver_verifier_detected_violation",
        ],
    },
    Rule {
        id: "C-63",
        title: "Free pool once, with the address and the tag that it was allocated with; follow no wild pointer",
        severity: Severity::BugCheck,
        windows: Windows::BugCheck("0xC2, 0x19, 0x13A or 0xD1"),
        check: Check::Tested { by: shown::C_63 },
        meaning: "A block that is freed twice may be somebody else's the second time. A wrong tag or address means that it is not the \
                  block that the driver believes it to be.",
        read: &[
            "bug check 0xC2",
            "docs/debugging.md#0xc2-bad_pool_caller",
            "docs/debugging.md#0x13a-kernel_mode_heap_corruption",
        ],
    },
];
