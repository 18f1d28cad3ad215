//! From the Windows x64 calling convention to the host's, for images that keep little in vector registers.
//!
//! A function of the Windows convention keeps xmm6 to xmm15 for its caller, and one of the host's keeps none. So a kernel function
//! written in Rust and called by an image saves all ten and restores them, which costs more than the rest of the crossing; see
//! docs/image.md. An image that keeps something in one of them across a call has saved what was there before, and its unwind
//! information says so: [`highest_kept`](super::pe::Image::highest_kept). For one that uses xmm6 and xmm7 at most, which compilers
//! take first, the thunks here will do. What the host's compiler keeps while it calls such an image is seen to in
//! [`across`](crate::exports::across).

/// An argument as a register has it.
pub(crate) trait Argument: Copy {
    /// What a register has: callers of the host's convention extend what is shorter than 32 bits, those of Windows' do not.
    type Register;
    /// The argument.
    fn narrow(register: Self::Register) -> Self;
}

impl<T> Argument for *mut T {
    type Register = Self;
    fn narrow(register: Self) -> Self {
        register
    }
}

impl<T> Argument for *const T {
    type Register = Self;
    fn narrow(register: Self) -> Self {
        register
    }
}

macro_rules! arguments {
    ($($ty:ty as $register:ty;)*) => {
        $( impl Argument for $ty {
            type Register = $register;
            fn narrow(register: $register) -> Self {
                register as Self
            }
        } )*
    };
}
arguments! {
    u8 as u32; i8 as u32; u16 as u32; i16 as u32;
    u32 as u32; i32 as i32; u64 as u64; i64 as i64; usize as usize; isize as isize;
}

/// The body of a naked function of the Windows convention that calls `$target`, of the host's convention with `$arguments` integer
/// arguments. Keeps rsi, rdi, xmm6 and xmm7; the caller has nothing in xmm8 to xmm15.
///
/// On entry the return address is at rsp, four words for the first four arguments behind it, and the fifth at rsp + 0x28. The frame is
/// the arguments from the seventh on, which the host's convention passes on the stack too, then the two registers, then a word that
/// aligns it.
macro_rules! thunk {
    ($target:path, $arguments:expr) => {
        std::arch::naked_asm!(
            ".cfi_startproc",
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_rel_offset rdi, 0",
            "push rsi",
            ".cfi_adjust_cfa_offset 8",
            ".cfi_rel_offset rsi, 0",
            "sub rsp, {frame}",
            ".cfi_adjust_cfa_offset {frame}",
            "movaps [rsp + {vectors}], xmm6",
            "movaps [rsp + {vectors} + 16], xmm7",
            ".set .Lplace, 0",
            ".rept {stacked}",
            "mov rax, [rsp + {frame} + 16 + 0x38 + .Lplace]",
            "mov [rsp + .Lplace], rax",
            ".set .Lplace, .Lplace + 8",
            ".endr",
            ".if {arguments} > 0",
            "mov rdi, rcx",
            ".endif",
            ".if {arguments} > 1",
            "mov rsi, rdx",
            ".endif",
            ".if {arguments} > 2",
            "mov rdx, r8",
            ".endif",
            ".if {arguments} > 3",
            "mov rcx, r9",
            ".endif",
            ".if {arguments} > 4",
            "mov r8, [rsp + {frame} + 16 + 0x28]",
            ".endif",
            ".if {arguments} > 5",
            "mov r9, [rsp + {frame} + 16 + 0x30]",
            ".endif",
            "call {target}",
            "movaps xmm6, [rsp + {vectors}]",
            "movaps xmm7, [rsp + {vectors} + 16]",
            "add rsp, {frame}",
            ".cfi_adjust_cfa_offset -{frame}",
            "pop rsi",
            ".cfi_adjust_cfa_offset -8",
            ".cfi_restore rsi",
            "pop rdi",
            ".cfi_adjust_cfa_offset -8",
            ".cfi_restore rdi",
            "ret",
            ".cfi_endproc",
            target = sym $target,
            arguments = const { $arguments },
            stacked = const { $crate::image::thunk::stacked($arguments) },
            vectors = const { $crate::image::thunk::vectors($arguments) },
            frame = const { $crate::image::thunk::vectors($arguments) + 40 },
        )
    };
}
pub(crate) use thunk;

/// How many arguments the host's convention passes on the stack.
pub(crate) const fn stacked(arguments: usize) -> usize {
    arguments.saturating_sub(6)
}

/// Bytes of the frame before the saved registers.
pub(crate) const fn vectors(arguments: usize) -> usize {
    (stacked(arguments) * 8).next_multiple_of(16)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    thread_local! {
        static SEEN: Cell<[i64; 10]> = const { Cell::new([0; 10]) };
    }

    /// Notes what it is given, and spoils what the host's convention lets it.
    unsafe extern "sysv64" fn ten(
        a: u64,
        b: u32,
        c: *const u8,
        d: u64,
        e: u64,
        f: u64,
        g: u64,
        h: u64,
        i: u64,
        j: i32,
    ) -> i64 {
        SEEN.set([
            a as i64,
            i64::from(b),
            c.addr() as i64,
            d as i64,
            e as i64,
            f as i64,
            g as i64,
            h as i64,
            i as i64,
            i64::from(j),
        ]);
        // SAFETY: registers of this function's own.
        unsafe {
            std::arch::asm!("pcmpeqd xmm6, xmm6", "pcmpeqd xmm7, xmm7", out("xmm6") _, out("xmm7") _);
        }
        77
    }

    unsafe extern "sysv64" fn one(a: u64) -> i64 {
        a as i64 + 1
    }

    type Ten =
        unsafe extern "win64" fn(u64, u32, *const u8, u64, u64, u64, u64, u64, u64, i32) -> i64;

    #[unsafe(naked)]
    unsafe extern "win64" fn ten_thunk() {
        super::thunk!(ten, 10)
    }

    #[unsafe(naked)]
    unsafe extern "win64" fn one_thunk(a: u64) -> i64 {
        super::thunk!(one, 1)
    }

    #[test]
    fn every_argument_arrives_on_whichever_side_of_the_registers_it_lies() {
        // SAFETY: a thunk's prototype is its target's.
        let thunk: Ten = unsafe { std::mem::transmute(ten_thunk as *const ()) };
        // SAFETY: the target takes any numbers.
        let result = unsafe { thunk(1, 2, std::ptr::without_provenance(3), 4, 5, 6, 7, 8, 9, -10) };
        assert_eq!(result, 77);
        assert_eq!(SEEN.get(), [1, 2, 3, 4, 5, 6, 7, 8, 9, -10]);
        // SAFETY: as above.
        assert_eq!(unsafe { one_thunk(41) }, 42);
    }

    #[test]
    fn what_the_caller_keeps_is_kept() {
        let (mut six, mut seven, mut rsi, mut rdi) = (1.5f64, 2.5f64, 3u64, 4u64);
        // SAFETY: a call as the Windows convention has it: shadow space, arguments from the fifth on behind it, an aligned stack.
        // What that convention does not keep is named as lost.
        unsafe {
            std::arch::asm!(
                "mov r12, rsp",
                "and rsp, -16",
                "sub rsp, 96",
                "call {thunk}",
                "mov rsp, r12",
                thunk = sym ten_thunk,
                out("r12") _,
                inout("xmm6") six, inout("xmm7") seven, inout("rsi") rsi, inout("rdi") rdi,
                in("rcx") 1u64, in("rdx") 2u64, in("r8") 3u64, in("r9") 4u64,
                clobber_abi("sysv64"),
            );
        }
        assert_eq!((six, seven, rsi, rdi), (1.5, 2.5, 3, 4));
    }
}
