//! The functions that the image may import: those that the simulator models, what the entry point binds with, and what the compiler
//! calls by itself. An import outside this list is a function that no test has ever run.

/// Each library with its functions. Names of libraries are compared without regard to case, as Windows does.
pub const ALLOWED: &[(&str, &[&str])] = &[
    (
        "ntoskrnl.exe",
        &[
            "ExAcquireRundownProtection",
            "ExAllocatePool2",
            "ExFreePoolWithTag",
            "ExInitializeRundownProtection",
            "ExReleaseRundownProtection",
            "ExWaitForRundownProtectionRelease",
            "KeAcquireSpinLockRaiseToDpc",
            "KeBugCheckEx",
            "KeClearEvent",
            "KeDelayExecutionThread",
            "KeGetCurrentIrql",
            "KeInitializeEvent",
            "KeQueryInterruptTimePrecise",
            "KeReleaseSpinLock",
            "KeSetEvent",
            "KeWaitForSingleObject",
            "ObReferenceObjectByHandle",
            "ObfDereferenceObject",
            "PsCreateSystemThread",
            "PsTerminateSystemThread",
            "ZwClose",
            "ZwWaitForSingleObject",
            // Calls of the compiler's own making.
            "memcmp",
            "memcpy",
            "memmove",
            "memset",
        ],
    ),
    (
        "fwpkclnt.sys",
        &[
            "FwpmBfeStateGet0",
            "FwpmBfeStateSubscribeChanges0",
            "FwpmBfeStateUnsubscribeChanges0",
            "FwpmCalloutAdd0",
            "FwpmEngineClose0",
            "FwpmEngineOpen0",
            "FwpmFilterAdd0",
            "FwpmFreeMemory0",
            "FwpmProviderAdd0",
            "FwpmSubLayerAdd0",
            "FwpmSubLayerCreateEnumHandle0",
            "FwpmSubLayerDestroyEnumHandle0",
            "FwpmSubLayerEnum0",
            "FwpmTransactionAbort0",
            "FwpmTransactionBegin0",
            "FwpmTransactionCommit0",
            "FwpsAllocateCloneNetBufferList0",
            "FwpsCalloutRegister3",
            "FwpsCalloutUnregisterById0",
            "FwpsCompleteOperation0",
            "FwpsConstructIpHeaderForTransportPacket0",
            "FwpsDereferenceNetBufferList0",
            "FwpsFreeCloneNetBufferList0",
            "FwpsGetPacketListSecurityInformation0",
            "FwpsInjectTransportReceiveAsync0",
            "FwpsInjectTransportSendAsync0",
            "FwpsInjectionHandleCreate0",
            "FwpsInjectionHandleDestroy0",
            "FwpsPendOperation0",
            "FwpsQueryPacketInjectionState0",
            "FwpsReferenceNetBufferList0",
        ],
    ),
    (
        "ndis.sys",
        &[
            "NdisAdvanceNetBufferDataStart",
            "NdisGetDataBuffer",
            "NdisRetreatNetBufferDataStart",
        ],
    ),
    ("WDFLDR.SYS", &["WdfVersionBind", "WdfVersionUnbind"]),
];

/// Whether the image may import this function, or why not.
pub fn judge(library: &str, function: &str) -> Result<(), String> {
    let Some((_, functions)) = ALLOWED
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(library))
    else {
        return Err(format!(
            "imports {function} from {library}, a library that the driver does not use"
        ));
    };
    if functions.contains(&function) {
        Ok(())
    } else {
        Err(format!(
            "imports {library}!{function}, which is not in the list of functions that the driver may call"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_library_is_compared_as_windows_does() {
        assert_eq!(judge("wdfldr.sys", "WdfVersionBind"), Ok(()));
        assert_eq!(judge("NTOSKRNL.EXE", "ExAllocatePool2"), Ok(()));
    }

    #[test]
    fn a_function_outside_the_agreement_is_named() {
        let problem = judge("ntoskrnl.exe", "ExAllocatePoolWithTag").unwrap_err();
        assert!(
            problem.contains("ntoskrnl.exe!ExAllocatePoolWithTag"),
            "{problem}"
        );
        let problem = judge("fwpuclnt.dll", "FwpmEngineOpen0").unwrap_err();
        assert!(
            problem.contains("fwpuclnt.dll"),
            "the user-mode library has functions of the same names: {problem}"
        );
    }

    #[test]
    fn no_function_is_listed_twice() {
        for (library, functions) in ALLOWED {
            let mut sorted: Vec<_> = functions.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), functions.len(), "{library}");
        }
    }
}
