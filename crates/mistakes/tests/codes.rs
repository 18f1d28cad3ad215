//! Where Windows itself would stop for a mistake, the verifier stops with Windows' code, and says the same in parameter 1 where it
//! is the kind of mistake and no address.

/// Mistakes by name, each with the bug check's first parameter where it is the same every time.
type Named = [(&'static str, Option<u64>)];

/// Bug checks, and the mistakes that end in each.
const CODES: &[(u32, &Named)] = &[
    (0x1E, &[("C-07-raises", Some(0xC000009A))]),
    (0x20, &[("C-62-thread-ends-in-region", Some(0x0))]),
    (0x93, &[("C-04-closed-twice", None)]),
    (0xC1, &[("C-61-overrun", None), ("C-61-underrun", None)]),
    (
        0xC2,
        &[
            ("C-63-tag-zero", Some(0x9B)),
            ("C-63-freed-twice", Some(0x7)),
            ("C-63-other-tag", Some(0xA)),
            ("C-63-not-pool", Some(0x99)),
        ],
    ),
    (
        0xC4,
        &[
            ("C.1-PsCreateSystemThread-high", Some(0x2001C)),
            ("C.1-PsTerminateSystemThread-high", Some(0x2001C)),
            ("C.1-ObReferenceObjectByHandle-high", Some(0x2001B)),
            ("C.1-ZwClose-high", Some(0x2001F)),
            ("C.1-ZwWaitForSingleObject-high", Some(0x2001F)),
            ("C.1-KeWaitForSingleObject-timeout-high", Some(0x122)),
            ("C.1-KeWaitForSingleObject-look-high", Some(0x120)),
            ("C.1-KeDelayExecutionThread-high", Some(0x2000F)),
            ("C.1-KeEnterCriticalRegion-high", Some(0x11A)),
            ("C.1-KeLeaveCriticalRegion-high", Some(0x11B)),
            ("C.1-KeSetEvent-wait-high", Some(0x80)),
            ("C.1-KeAcquireSpinLockRaiseToDpc-high", Some(0x42)),
            ("C.1-KeReleaseSpinLock-high", Some(0x32)),
            ("C.1-KeAcquireInStackQueuedSpinLock-high", Some(0x42)),
            ("C.1-KeReleaseInStackQueuedSpinLock-high", Some(0x36)),
            ("C.1-KeSetEvent-high", Some(0x80)),
            ("C.1-KeClearEvent-high", Some(0x20011)),
            ("C.1-KeResetEvent-high", Some(0x20011)),
            ("C.1-KeReadStateEvent-high", Some(0x20011)),
            ("C.1-KeRaiseIrqlToDpcLevel-high", Some(0x20011)),
            ("C.1-ExAllocatePool2-high", Some(0x2)),
            ("C.1-ExFreePoolWithTag-high", Some(0x12)),
            ("C.1-KeInitializeTimer-high", Some(0x20011)),
            ("C.1-KeSetTimer-high", Some(0x20011)),
            ("C.1-KeCancelTimer-high", Some(0x20011)),
            ("C-02-recursion", Some(0x1000)),
            ("C-02-release-order", Some(0x1003)),
            ("C-02-released-twice", Some(0x1007)),
            ("C-02-initialised-twice", Some(0x1005)),
            ("C-02-initialised-while-held", Some(0x1005)),
            ("C-02-freed-while-held", Some(0x100B)),
            ("C-02-uninitialised", Some(0x1002)),
            ("C-02-both-orders", Some(0x1001)),
            ("C-02-ring-of-three", Some(0x1001)),
            ("C-02-thread-ends-with-lock", Some(0x100A)),
            ("C-02-other-thread", Some(0x1004)),
            ("C-01-acquired-as-ordinary", Some(0x1008)),
            ("C-01-released-as-ordinary", Some(0x1009)),
            ("C-02-queued-released-twice", Some(0x1007)),
            ("C.1-KeAcquireSpinLockAtDpcLevel-low", Some(0x40)),
            ("C.1-KeReleaseSpinLockFromDpcLevel-low", Some(0x41)),
            (
                "C.1-KeAcquireInStackQueuedSpinLockAtDpcLevel-low",
                Some(0x40),
            ),
            (
                "C.1-KeReleaseInStackQueuedSpinLockFromDpcLevel-low",
                Some(0x41),
            ),
            ("C.1-KeReleaseInStackQueuedSpinLock-low", Some(0x36)),
            ("C.1-lock-paged", Some(0xE1)),
            ("C.1-event-paged", Some(0xE1)),
            ("C-62-user-mode-wait-on-stack", Some(0x123)),
            ("C-62-region-left-twice", Some(0x3E)),
            ("C-62-region-not-left", Some(0xC5)),
            ("C.1-KfRaiseIrql-lower", Some(0x30)),
            ("C.1-KeLowerIrql-higher", Some(0x31)),
            ("C-04-closed-first", Some(0x3C)),
            ("C-04-dereferenced-twice", Some(0x3F)),
            ("C-04-referenced-late", Some(0x3F)),
            ("C-04-user-mode", Some(0xF7)),
            ("C-04-null-handle", Some(0xF5)),
            ("C-04-program's-handle", Some(0xF6)),
            ("C-62-work-item-left", Some(0x62)),
            ("C-62-work-item-returns-in-region", Some(0xC5)),
            ("C.1-dpc-paged", Some(0xE1)),
            ("C-62-timer-freed", Some(0x15)),
            ("C-62-executable-pool", Some(0x2000)),
            ("C-62-zero-bytes", Some(0x0)),
            ("C-62-pool-left", Some(0x62)),
            ("C-62-freed-inside", Some(0x10)),
            ("C-62-freed-stack", Some(0x10)),
            ("C-62-freed-null", Some(0x10)),
            ("C.1-ExAllocatePool2-paged", Some(0x1)),
            ("C.1-ExFreePoolWithTag-paged", Some(0x11)),
            ("C.1-KeWaitForSingleObject-high", Some(0x121)),
            ("C.1-KeReleaseSpinLock-low", Some(0x32)),
        ],
    ),
    (
        0xC7,
        &[
            ("C.1-dpc-processor", Some(0x3)),
            ("C.1-dpc-freed-while-queued", Some(0x1)),
        ],
    ),
    (
        0xCC,
        &[
            ("C-61-read-after-free", None),
            ("C-61-written-after-free", None),
            ("D-06-read-after-completion", None),
            ("D-06-written-after-completion", None),
        ],
    ),
    (
        0xCD,
        &[
            ("C-61-overrun-far", None),
            ("C-61-reads-beyond-input", None),
        ],
    ),
    (
        0xCE,
        &[
            ("C-04-not-waited-for", None),
            ("C-04-reference-fails", None),
            ("C-52-dpc-at-unload", None),
            ("C-52-timer-at-unload", None),
        ],
    ),
    (
        0xD1,
        &[
            ("C-63-null-pointer", Some(0x10)),
            ("C-63-paged-at-dispatch", None),
            ("A-01-paged-pool", None),
        ],
    ),
    (
        0xE4,
        &[
            ("C-05-queued-twice", Some(0x1)),
            ("C-05-freed-while-queued", Some(0x2)),
            ("C-05-no-device-object", Some(0x3)),
        ],
    ),
    (
        0x10D,
        &[
            ("C-02-returns-with-lock", Some(0xE)),
            ("D.1-callback-returns-raised", Some(0xE)),
            ("D-02-init-after-create", Some(0x5)),
            ("D-02-init-freed-twice", Some(0x5)),
            ("D.1-handle-of-another-type", Some(0x5)),
            ("D.1-handle-of-nothing", Some(0x5)),
            ("D.1-key-closed-twice", Some(0x5)),
            ("D.1-key-after-close", Some(0x5)),
            ("D.1-driver-deleted", Some(0x7)),
            ("C-02-WdfSpinLockRelease", Some(0xB)),
            ("D-06-completed-twice", Some(0x5)),
            ("D-06-information-beyond-room", Some(0x6)),
            ("D.1-retrieve-null", Some(0x4)),
        ],
    ),
    (
        0x139,
        &[
            ("C-63-list-entry-removed-twice", Some(0x3)),
            ("C-63-list-entry-overwritten", Some(0x3)),
        ],
    ),
];

#[test]
fn a_mistake_that_windows_would_stop_for_has_its_code() {
    for (code, expected) in CODES {
        for (name, parameter) in *expected {
            let mistake = mistakes::all().find(|mistake| mistake.name == *name);
            let mistake = mistake.unwrap_or_else(|| panic!("there is no mistake {name}"));
            let violations = mistake.run(true, 0).violations;
            let first = violations
                .first()
                .unwrap_or_else(|| panic!("{name} is not reported"));
            assert_eq!(first.code, *code, "{name}: {first}");
            if let Some(parameter) = parameter {
                assert_eq!(first.parameters[0], *parameter, "{name}: {first}");
            }
        }
    }
}

#[test]
fn a_low_irql_is_told_with_the_level_and_the_lock() {
    let low = mistakes::all().filter(|mistake| mistake.name.ends_with("-low"));
    for mistake in low {
        let violations = mistake.run(true, 0).violations;
        let level = violations.first().map(|first| first.parameters[1]);
        assert_eq!(level, Some(0), "{}", mistake.name);
    }
}
