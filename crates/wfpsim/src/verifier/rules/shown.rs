//! The mistakes about the executive, the framework and the tables of levels, by the rule that each shows to be checked.

pub(super) const A_01: &[&str] = &["A-01-paged-pool"];

pub(super) const A_1: &[&str] = &[
    "A.1-FwpsCalloutRegister3-high",
    "A.1-FwpsCalloutUnregisterById0-high",
    "A.1-FwpsInjectionHandleCreate0-high",
    "A.1-FwpsInjectionHandleDestroy0-high",
    "A.1-FwpmEngineOpen0-high",
    "A.1-FwpmEngineClose0-high",
    "A.1-FwpmTransactionBegin0-high",
    "A.1-FwpmTransactionCommit0-high",
    "A.1-FwpmTransactionAbort0-high",
    "A.1-FwpmProviderAdd0-high",
    "A.1-FwpmSubLayerAdd0-high",
    "A.1-FwpmSubLayerCreateEnumHandle0-high",
    "A.1-FwpmSubLayerEnum0-high",
    "A.1-FwpmSubLayerDestroyEnumHandle0-high",
    "A.1-FwpmFreeMemory0-high",
    "A.1-FwpmCalloutAdd0-high",
    "A.1-FwpmFilterAdd0-high",
    "A.1-FwpmBfeStateSubscribeChanges0-high",
    "A.1-FwpmBfeStateUnsubscribeChanges0-high",
    "A.1-FwpsQueryPacketInjectionState0-high",
    "A.1-FwpsGetPacketListSecurityInformation0-high",
    "A.1-FwpmBfeStateGet0-high",
    "A.1-FwpsPendOperation0-high",
    "A.1-FwpsCompleteOperation0-high",
    "A.1-FwpsReferenceNetBufferList0-high",
    "A.1-FwpsDereferenceNetBufferList0-high",
    "A.1-FwpsAllocateCloneNetBufferList0-high",
    "A.1-FwpsFreeCloneNetBufferList0-high",
    "A.1-FwpsInjectTransportSendAsync0-high",
    "A.1-FwpsInjectTransportReceiveAsync0-high",
    "A.1-FwpsConstructIpHeaderForTransportPacket0-high",
];

pub(super) const B_07: &[&str] = &[
    "B-07-NdisGetDataBuffer-high",
    "B-07-NdisRetreatNetBufferDataStart-high",
    "B-07-NdisAdvanceNetBufferDataStart-high",
];

pub(super) const C_01: &[&str] = &[
    "C-01-handle-shared",
    "C-01-handle-written",
    "C-01-handle-copied",
    "C-01-acquired-as-ordinary",
    "C-01-released-as-ordinary",
];

pub(super) const C_02: &[&str] = &[
    "C-02-recursion",
    "C-02-release-order",
    "C-02-released-twice",
    "C-02-initialised-twice",
    "C-02-initialised-while-held",
    "C-02-returns-with-lock",
    "C-02-dpc-returns-with-lock",
    "C-02-freed-while-held",
    "C-02-uninitialised",
    "C-02-both-orders",
    "C-02-ring-of-three",
    "C-02-thread-ends-with-lock",
    "C-02-other-thread",
    "C-02-queued-released-twice",
    "C-02-work-item-returns-with-lock",
    "C-02-WdfSpinLockRelease",
];

pub(super) const C_03: &[&str] = &[
    "C-03-FwpsPendOperation0",
    "C-03-FwpsCompleteOperation0",
    "C-03-FwpsReferenceNetBufferList0",
    "C-03-FwpsDereferenceNetBufferList0",
    "C-03-FwpsAllocateCloneNetBufferList0",
    "C-03-FwpsFreeCloneNetBufferList0",
    "C-03-FwpsInjectTransportSendAsync0",
    "C-03-FwpsInjectTransportReceiveAsync0",
    "C-03-FwpsConstructIpHeaderForTransportPacket0",
    "C-03-NdisRetreatNetBufferDataStart",
    "C-03-NdisAdvanceNetBufferDataStart",
    "C-03-WdfRequestComplete",
];

pub(super) const C_04: &[&str] = &[
    "C-04-closed-first",
    "C-04-closed-twice",
    "C-04-handle-left",
    "C-04-dereferenced-twice",
    "C-04-referenced-late",
    "C-04-not-waited-for",
    "C-04-waits-for-event",
    "C-04-user-mode",
    "C-04-null-handle",
    "C-04-reference-fails",
    "C-04-program's-handle",
    "C-04-ends-another's-thread",
    "E-10",
];

pub(super) const C_05: &[&str] = &[
    "C-05-waits",
    "C-05-sleeps",
    "C-05-queued-twice",
    "C-05-freed-while-queued",
    "C-05-freed-twice",
    "C-05-no-device-object",
];

pub(super) const C_06: &[&str] = &[
    "C-06-released-twice",
    "C-06-refusal-ignored",
    "C-06-not-released",
    "npcap-341",
];

pub(super) const C_07: &[&str] = &[
    "C-07-no-kind",
    "C-07-two-kinds",
    "C-07-pool-type",
    "C-07-raises",
];

pub(super) const C_52: &[&str] = &["C-52-dpc-at-unload", "C-52-timer-at-unload"];

pub(super) const C_61: &[&str] = &[
    "C-61-overrun",
    "C-61-overrun-far",
    "C-61-underrun",
    "C-61-read-after-free",
    "C-61-written-after-free",
    "C-61-reads-beyond-input",
    "E-3-block",
    "E-2",
    "C-61-walks-unlocked",
    "C-61-touched-after-release",
];

pub(super) const C_62: &[&str] = &[
    "C-62-user-mode-wait-on-stack",
    "C-62-region-left-twice",
    "C-62-region-not-left",
    "C-62-thread-ends-in-region",
    "C-62-work-item-left",
    "C-62-work-item-returns-in-region",
    "C-62-timer-freed",
    "C-62-executable-pool",
    "C-62-zero-bytes",
    "C-62-pool-left",
    "C-62-freed-inside",
    "C-62-freed-stack",
    "C-62-freed-null",
];

pub(super) const C_63: &[&str] = &[
    "C-63-tag-zero",
    "C-63-freed-twice",
    "C-63-other-tag",
    "C-63-not-pool",
    "C-63-null-pointer",
    "C-63-paged-at-dispatch",
    "C-63-list-entry-removed-twice",
    "C-63-list-entry-overwritten",
    "C-63-checked-then-freed",
];

pub(super) const C_1: &[&str] = &[
    "C.1-PsCreateSystemThread-high",
    "C.1-PsTerminateSystemThread-high",
    "C.1-ObReferenceObjectByHandle-high",
    "C.1-ZwClose-high",
    "C.1-ZwWaitForSingleObject-high",
    "C.1-KeFlushQueuedDpcs-high",
    "C.1-KeWaitForSingleObject-high",
    "C.1-KeWaitForSingleObject-timeout-high",
    "C.1-KeWaitForSingleObject-look-high",
    "C.1-KeDelayExecutionThread-high",
    "C.1-KeEnterCriticalRegion-high",
    "C.1-KeLeaveCriticalRegion-high",
    "C.1-KeSetEvent-wait-high",
    "C.1-ExInitializeRundownProtection-high",
    "C.1-ExWaitForRundownProtectionRelease-high",
    "C.1-ExAcquireRundownProtection-high",
    "C.1-ExReleaseRundownProtection-high",
    "C.1-KeAcquireSpinLockRaiseToDpc-high",
    "C.1-KeReleaseSpinLock-high",
    "C.1-KeAcquireInStackQueuedSpinLock-high",
    "C.1-KeReleaseInStackQueuedSpinLock-high",
    "C.1-KeSetEvent-high",
    "C.1-KeClearEvent-high",
    "C.1-KeResetEvent-high",
    "C.1-KeReadStateEvent-high",
    "C.1-KeRaiseIrqlToDpcLevel-high",
    "C.1-ObfReferenceObject-high",
    "C.1-ObfDereferenceObject-high",
    "C.1-ExAllocatePool2-high",
    "C.1-ExFreePoolWithTag-high",
    "C.1-IoAllocateWorkItem-high",
    "C.1-IoQueueWorkItem-high",
    "C.1-IoFreeWorkItem-high",
    "C.1-KeInitializeTimer-high",
    "C.1-KeSetTimer-high",
    "C.1-KeCancelTimer-high",
    "C.1-KeAcquireSpinLockAtDpcLevel-low",
    "C.1-KeReleaseSpinLockFromDpcLevel-low",
    "C.1-KeAcquireInStackQueuedSpinLockAtDpcLevel-low",
    "C.1-KeReleaseInStackQueuedSpinLockFromDpcLevel-low",
    "C.1-KeReleaseSpinLock-low",
    "C.1-KeReleaseInStackQueuedSpinLock-low",
    "C.1-old-irql-lost",
    "C.1-lock-misaligned",
    "C.1-lock-paged",
    "C.1-event-moved",
    "C.1-event-uninitialised",
    "C.1-event-paged",
    "C.1-KeSetEvent-no-wait",
    "C.1-KfRaiseIrql-lower",
    "C.1-KeLowerIrql-higher",
    "C.1-KeLowerIrql-with-lock",
    "C.1-work-item-returns-raised",
    "C.1-dpc-returns-lowered",
    "C.1-dpc-uninitialised",
    "C.1-dpc-paged",
    "C.1-dpc-processor",
    "C.1-dpc-freed-while-queued",
    "C.1-dpc-initialised-while-queued",
    "C.1-ExAllocatePool2-paged",
    "C.1-ExFreePoolWithTag-paged",
];

pub(super) const D_01: &[&str] = &["D-01-no-unload", "D-01-device-add", "D-01-no-flag"];

pub(super) const D_02: &[&str] = &[
    "D-02-not-finished",
    "D-02-init-after-create",
    "D-02-not-secure-open",
    "D-02-init-left",
    "D-02-init-freed-twice",
    "D-02-key-left",
];

pub(super) const D_03: &[&str] = &[
    "D-03-pnp-power-callbacks",
    "D-03-power-policy-callbacks",
    "D-03-power-policy-ownership",
    "D-03-power-not-pageable",
    "D-03-power-pageable",
    "D-03-power-inrush",
];

pub(super) const D_04: &[&str] = &["D-04-deleted-at-dispatch", "D-04-deleted-before-callouts"];

pub(super) const D_05: &[&str] = &["D-05-framework's-handle", "D-05-device-gone"];

pub(super) const D_06: &[&str] = &[
    "D-06-completed-twice",
    "D-06-never-completed",
    "D-06-completed-as-pending",
    "D-06-read-after-completion",
    "D-06-written-after-completion",
    "D-06-information-beyond-room",
    "D-06-information-beyond-answer",
    "D-06-information-one-field-more",
    "D-06-input-after-output",
];

pub(super) const D_07: &[&str] = &[
    "D-07-everyone",
    "D-07-authenticated-users",
    "D-07-no-access-control",
];

pub(super) const D_08: &[&str] = &["D-08-kept-until-unload"];

pub(super) const D_1: &[&str] = &[
    "D.1-callback-returns-raised",
    "D.1-handle-of-another-type",
    "D.1-handle-of-nothing",
    "D.1-key-closed-twice",
    "D.1-key-after-close",
    "D.1-driver-deleted",
    "D.1-timer-stopped-in-dpc",
    "D.1-WdfDriverOpenParametersRegistryKey-high",
    "D.1-WdfRegistryQueryULong-high",
    "D.1-WdfRegistryQueryValue-high",
    "D.1-WdfRegistryClose-high",
    "D.1-WdfSpinLockCreate-high",
    "D.1-WdfSpinLockAcquire-high",
    "D.1-WdfSpinLockRelease-high",
    "D.1-WdfTimerCreate-high",
    "D.1-WdfTimerStart-high",
    "D.1-WdfTimerStop-high",
    "D.1-WdfObjectDelete-high",
    "D.1-WdfDeviceWdmGetDeviceObject-high",
    "D.1-WdfDriverCreate-high",
    "D.1-WdfControlDeviceInitAllocate-high",
    "D.1-WdfDeviceInitSetDeviceType-high",
    "D.1-WdfDeviceInitSetCharacteristics-high",
    "D.1-WdfDeviceInitAssignName-high",
    "D.1-WdfDeviceCreate-high",
    "D.1-WdfDeviceCreateSymbolicLink-high",
    "D.1-WdfIoQueueCreate-high",
    "D.1-WdfControlFinishInitializing-high",
    "D.1-WdfDeviceInitFree-high",
    "D.1-WdfRequestRetrieveInputBuffer-high",
    "D.1-WdfRequestRetrieveOutputBuffer-high",
    "D.1-WdfRequestCompleteWithInformation-high",
    "D.1-WdfRequestComplete-high",
    "D.1-retrieve-null",
];
