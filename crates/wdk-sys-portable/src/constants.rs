//! Constants of ntddk.h, ntifs.h and wdf.h, with the types bindgen gives them.
//!
//! bindgen gives a macro that is a plain number the type `u32`, whatever the C functions take: an IRQL level is a `u32` here although
//! [`KIRQL`](crate::KIRQL) is a `u8`.

use core::ptr::null_mut;

use crate::{POOL_FLAGS, PVOID, PWDF_OBJECT_ATTRIBUTES};

/// C's `TRUE`.
pub const TRUE: u32 = 1;
/// C's `FALSE`.
pub const FALSE: u32 = 0;

/// IRQL of an ordinary thread.
pub const PASSIVE_LEVEL: u32 = 0;
/// IRQL at which normal kernel APCs are held off.
pub const APC_LEVEL: u32 = 1;
/// IRQL of a DPC and of the holder of a spin lock: no page fault, no wait.
pub const DISPATCH_LEVEL: u32 = 2;
/// The highest IRQL of x64.
pub const HIGH_LEVEL: u32 = 15;

/// `ExAllocatePool2`: charge the quota of the current process.
pub const POOL_FLAG_USE_QUOTA: POOL_FLAGS = 0x1;
/// `ExAllocatePool2`: do not zero the memory.
pub const POOL_FLAG_UNINITIALIZED: POOL_FLAGS = 0x2;
/// `ExAllocatePool2`: align on a cache line.
pub const POOL_FLAG_CACHE_ALIGNED: POOL_FLAGS = 0x8;
/// `ExAllocatePool2`: raise an exception instead of returning null.
pub const POOL_FLAG_RAISE_ON_FAILURE: POOL_FLAGS = 0x20;
/// `ExAllocatePool2`: non-paged, not executable.
pub const POOL_FLAG_NON_PAGED: POOL_FLAGS = 0x40;
/// `ExAllocatePool2`: non-paged and executable.
pub const POOL_FLAG_NON_PAGED_EXECUTE: POOL_FLAGS = 0x80;
/// `ExAllocatePool2`: paged.
pub const POOL_FLAG_PAGED: POOL_FLAGS = 0x100;

/// The right to wait for an object.
pub const SYNCHRONIZE: u32 = 0x0010_0000;
/// All rights to a thread.
pub const THREAD_ALL_ACCESS: u32 = 0x001F_FFFF;
/// The right to read a registry value.
pub const KEY_QUERY_VALUE: u32 = 0x0001;
/// All rights that reading a registry key takes.
pub const KEY_READ: u32 = 0x0002_0019;
/// All rights that an object's type knows, as asked for by a caller in kernel mode.
pub const GENERIC_ALL: u32 = 0x1000_0000;

/// `OBJECT_ATTRIBUTES`: names are compared without regard to case.
pub const OBJ_CASE_INSENSITIVE: u32 = 0x40;
/// `OBJECT_ATTRIBUTES`: the handle belongs to the system and not to the current process.
pub const OBJ_KERNEL_HANDLE: u32 = 0x200;

/// `KeSetEvent`: no priority boost for the thread that wakes.
pub const IO_NO_INCREMENT: u32 = 0;

/// Device type of a network driver's control device.
pub const FILE_DEVICE_NETWORK: u32 = 0x12;
/// Device type without a meaning to Windows.
pub const FILE_DEVICE_UNKNOWN: u32 = 0x22;
/// Device characteristic: the device's own security descriptor covers names below it too.
pub const FILE_DEVICE_SECURE_OPEN: u32 = 0x100;
/// IOCTL transfer type: both buffers are one system buffer.
pub const METHOD_BUFFERED: u32 = 0;
/// IOCTL access: any handle.
pub const FILE_ANY_ACCESS: u32 = 0;
/// IOCTL access: a handle opened for reading.
pub const FILE_READ_ACCESS: u32 = 1;
/// IOCTL access: a handle opened for writing.
pub const FILE_WRITE_ACCESS: u32 = 2;
/// Index of the create dispatch routine in `DRIVER_OBJECT::MajorFunction`.
pub const IRP_MJ_CREATE: u32 = 0x00;
/// Index of the highest dispatch routine in `DRIVER_OBJECT::MajorFunction`.
pub const IRP_MJ_MAXIMUM_FUNCTION: u32 = 0x1b;

/// Registry value type: nothing is known about the bytes.
pub const REG_NONE: u32 = 0;
/// Registry value type: a UTF-16 string.
pub const REG_SZ: u32 = 1;
/// Registry value type: bytes.
pub const REG_BINARY: u32 = 3;
/// Registry value type: a 32-bit number.
pub const REG_DWORD: u32 = 4;
/// Registry value type: UTF-16 strings, each ended by a zero, the last followed by one more.
pub const REG_MULTI_SZ: u32 = 7;
/// Registry value type: a 64-bit number.
pub const REG_QWORD: u32 = 11;

/// No attributes: the framework's defaults.
pub const WDF_NO_OBJECT_ATTRIBUTES: PWDF_OBJECT_ATTRIBUTES = null_mut();
/// No callback.
pub const WDF_NO_EVENT_CALLBACK: PVOID = null_mut();
/// No handle is wanted back.
pub const WDF_NO_HANDLE: PVOID = null_mut();
/// No context.
pub const WDF_NO_CONTEXT: PVOID = null_mut();
