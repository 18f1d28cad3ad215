//! D: a KMDF driver with a control device.

use super::Check;
use super::Rule;
use super::Severity;
use super::Windows;
use super::shown;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D.1",
        title: "Each framework function with a handle of the right kind, alive, at its IRQL",
        severity: Severity::BugCheck,
        windows: Windows::Framework("bug check 0x10D WDF_VIOLATION"),
        check: Check::Tested { by: shown::D_1 },
        meaning: "The framework looks at every handle. One that was deleted, or is of another kind, is a pointer into memory that is \
                  something else. A reference that is never given back keeps its object for ever.",
        read: &["bug check 0x10D", "wdf: Using KMDF Verifier"],
    },
    Rule {
        id: "D-01",
        title: "WDF_DRIVER_CONFIG of a non-PnP driver: the flag, EvtDriverUnload, no EvtDriverDeviceAdd",
        severity: Severity::Failure,
        windows: Windows::Status("STATUS_INVALID_PARAMETER, or a driver that cannot be stopped"),
        check: Check::Tested { by: shown::D_01 },
        meaning: "Without an unload routine the driver stays until the machine restarts. With a DeviceAdd it is a PnP driver, which \
                  nobody will give a device.",
        read: &["WDF_DRIVER_CONFIG", "wdf: Creating a Non-PnP Driver"],
    },
    Rule {
        id: "D-02",
        title: "Control device: init allocated, used up by WdfDeviceCreate or freed, and WdfControlFinishInitializing at the end",
        severity: Severity::Failure,
        windows: Windows::Framework("0x10D for some; a device that never answers for the last"),
        check: Check::Tested { by: shown::D_02 },
        meaning: "Before WdfControlFinishInitializing the I/O manager refuses every open. An init that WdfDeviceCreate has taken is gone, \
                  one that it has not is leaked unless it is freed.",
        read: &[
            "WdfControlDeviceInitAllocate",
            "WdfControlFinishInitializing",
        ],
    },
    Rule {
        id: "D-03",
        title: "Only what is allowed for control devices: no PnP or power callbacks",
        severity: Severity::Failure,
        windows: Windows::Framework("the rule ControlDeviceInitAPI"),
        check: Check::Tested { by: shown::D_03 },
        meaning: "A control device is in no device stack: such callbacks never come, and what relies on them never happens.",
        read: &["devtest: KMDF rule ControlDeviceInitAPI"],
    },
    Rule {
        id: "D-04",
        title: "The control device is deleted: by the framework after unload if there are only control devices, else by the driver",
        severity: Severity::Leak,
        windows: Windows::Framework("the rule ControlDeviceDeleted"),
        check: Check::Tested { by: shown::D_04 },
        meaning: "A device that stays keeps the driver loaded. One that is deleted while callouts need it takes their device object away.",
        read: &[
            "devtest: KMDF rule ControlDeviceDeleted",
            "wdf: Using Control Device Objects",
        ],
    },
    Rule {
        id: "D-05",
        title: "FwpsCalloutRegister takes the WDM device object, from WdfDeviceWdmGetDeviceObject",
        severity: Severity::BugCheck,
        windows: Windows::LaterAs("0xD1, when the platform references it"),
        check: Check::Tested { by: shown::D_05 },
        meaning: "A WDFDEVICE is a handle of the framework's and no DEVICE_OBJECT.",
        read: &["WdfDeviceWdmGetDeviceObject", "FwpsCalloutRegister0"],
    },
    Rule {
        id: "D-06",
        title: "IOCTL buffers: input read before output is written, Information no more than was written, one completion",
        severity: Severity::Security,
        windows: Windows::Framework("0x10D for a second completion; nothing for bytes that leak"),
        check: Check::Tested { by: shown::D_06 },
        meaning: "With METHOD_BUFFERED both are one buffer. Information that covers more than was written gives kernel memory to a \
                  program. After the completion the buffer is gone, and a request that is never completed hangs its program.",
        read: &[
            "WdfRequestCompleteWithInformation",
            "kernel: Buffer Descriptions for I/O Control Codes",
        ],
    },
    Rule {
        id: "D-07",
        title: "The device's SDDL lets in who is meant, and the control codes ask for the access that they need",
        severity: Severity::Security,
        windows: Windows::Nothing,
        check: Check::Tested { by: shown::D_07 },
        meaning: "A control device without its own security descriptor, or with a wide one, has every program of the machine talk to \
                  the driver.",
        read: &[
            "WdfControlDeviceInitAllocate",
            "kernel: SDDL for Device Objects",
        ],
    },
    Rule {
        id: "D-08",
        title: "Unload is not called while a handle to the device is open",
        severity: Severity::Hang,
        windows: Windows::Nothing,
        check: Check::Tested { by: shown::D_08 },
        meaning: "`sc stop` hangs in STOP_PENDING until the program that has the device open closes it. A driver that keeps a program's \
                  request until unload waits for itself: the request keeps the handle.",
        read: &["docs/debugging.md#it-does-not-stop"],
    },
];
