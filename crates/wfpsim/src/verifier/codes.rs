//! Bug check codes, by number and by the name that the debugger shows.

/// The codes that the simulator stops with.
pub mod code {
    /// A spin lock, event or wait misused at an IRQL; a leak at unload; the many rules of Driver Verifier.
    pub const DRIVER_VERIFIER_DETECTED_VIOLATION: u32 = 0xC4;
    /// A bad free.
    pub const BAD_POOL_CALLER: u32 = 0xC2;
    /// A write outside a block, seen when it is freed.
    pub const SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION: u32 = 0xC1;
    /// A touch of a freed block.
    pub const PAGE_FAULT_IN_FREED_SPECIAL_POOL: u32 = 0xCC;
    /// A touch behind the end of a block.
    pub const PAGE_FAULT_BEYOND_END_OF_ALLOCATION: u32 = 0xCD;
    /// A thread ended in a critical region.
    pub const KERNEL_APC_PENDING_DURING_EXIT: u32 = 0x20;
    /// An exception that nobody handles, such as one that a failing allocation was asked to raise.
    pub const KMODE_EXCEPTION_NOT_HANDLED: u32 = 0x1E;
    /// ZwClose of what is no handle.
    pub const INVALID_KERNEL_HANDLE: u32 = 0x93;
    /// A DPC or timer where none may be, such as in memory that is freed.
    pub const TIMER_OR_DPC_INVALID: u32 = 0xC7;
    /// A work item that is queued was queued again or freed.
    pub const WORKER_INVALID: u32 = 0xE4;
    /// The driver's own code found its data damaged (`__fastfail`); the first parameter says how, 3 a LIST_ENTRY.
    pub const KERNEL_SECURITY_CHECK_FAILURE: u32 = 0x139;
    /// A touch of an address that nothing ever owned.
    pub const DRIVER_IRQL_NOT_LESS_OR_EQUAL: u32 = 0xD1;
    /// Code called into an unloaded driver, or it left work behind.
    pub const DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS: u32 = 0xCE;
    /// A WFP function was misused in a way that Windows itself stops for.
    pub const WFP_INVALID_OPERATION: u32 = 0x1D3;
    /// KMDF was misused; the first parameter says how.
    pub const WDF_VIOLATION: u32 = 0x10D;
    /// A rule of the platform's contract was broken that Windows would not notice here. Not a code of Windows.
    pub const WFPSIM_CONTRACT_VIOLATION: u32 = 0xE057_F001;
    /// Packets lost, doubled or altered. Not a code of Windows.
    pub const WFPSIM_PACKET_VIOLATION: u32 = 0xE057_F002;
    /// Nothing can go on. Not a code of Windows, which would just hang.
    pub const WFPSIM_HANG: u32 = 0xE057_F003;

    /// What a code says happened, in a sentence.
    pub fn meaning(code: u32) -> &'static str {
        match code {
            DRIVER_VERIFIER_DETECTED_VIOLATION => {
                "Driver Verifier stops the machine: a driver broke a rule of the kernel."
            }
            BAD_POOL_CALLER => {
                "The current thread asked something of pool that pool does not give."
            }
            SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION => {
                "Bytes beside a block of special pool were written. They are looked at when the block is freed; the write was earlier."
            }
            PAGE_FAULT_IN_FREED_SPECIAL_POOL => "Memory was touched that had been freed.",
            PAGE_FAULT_BEYOND_END_OF_ALLOCATION => {
                "Memory was touched outside the block that it was meant for."
            }
            DRIVER_IRQL_NOT_LESS_OR_EQUAL => {
                "An address was touched that is no memory, or that may not be touched at this IRQL."
            }
            DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS => {
                "The driver is unloaded, and something of it is still to be called."
            }
            WDF_VIOLATION => "The framework stops the machine: a driver used it wrongly.",
            WFP_INVALID_OPERATION => {
                "WFP stops the machine: a callout asked for what WFP cannot do."
            }
            WFPSIM_CONTRACT_VIOLATION => {
                "A rule of the platform was broken that Windows does not check. This code is the simulator's own."
            }
            WFPSIM_PACKET_VIOLATION => {
                "A packet came out that should not have, or not as it should. This code is the simulator's own."
            }
            WFPSIM_HANG => {
                "Nothing can go on. Windows would hang; this code is the simulator's own."
            }
            _ => {
                "The driver stopped the machine itself, or by a code that the simulator has no words for."
            }
        }
    }

    /// The name of a code.
    pub fn name(code: u32) -> &'static str {
        match code {
            DRIVER_VERIFIER_DETECTED_VIOLATION => "DRIVER_VERIFIER_DETECTED_VIOLATION",
            BAD_POOL_CALLER => "BAD_POOL_CALLER",
            KERNEL_APC_PENDING_DURING_EXIT => "KERNEL_APC_PENDING_DURING_EXIT",
            KMODE_EXCEPTION_NOT_HANDLED => "KMODE_EXCEPTION_NOT_HANDLED",
            INVALID_KERNEL_HANDLE => "INVALID_KERNEL_HANDLE",
            TIMER_OR_DPC_INVALID => "TIMER_OR_DPC_INVALID",
            WORKER_INVALID => "WORKER_INVALID",
            KERNEL_SECURITY_CHECK_FAILURE => "KERNEL_SECURITY_CHECK_FAILURE",
            SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION => "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION",
            PAGE_FAULT_IN_FREED_SPECIAL_POOL => "PAGE_FAULT_IN_FREED_SPECIAL_POOL",
            PAGE_FAULT_BEYOND_END_OF_ALLOCATION => "PAGE_FAULT_BEYOND_END_OF_ALLOCATION",
            DRIVER_IRQL_NOT_LESS_OR_EQUAL => "DRIVER_IRQL_NOT_LESS_OR_EQUAL",
            DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS => {
                "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS"
            }
            WDF_VIOLATION => "WDF_VIOLATION",
            WFP_INVALID_OPERATION => "WFP_INVALID_OPERATION",
            WFPSIM_CONTRACT_VIOLATION => "WFPSIM_CONTRACT_VIOLATION",
            WFPSIM_PACKET_VIOLATION => "WFPSIM_PACKET_VIOLATION",
            WFPSIM_HANG => "WFPSIM_HANG",
            _ => "UNKNOWN_BUG_CHECK",
        }
    }
}
