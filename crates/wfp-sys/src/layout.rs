//! The table of layouts: one macro, used next to every structure that crosses the boundary to the kernel.

/// Asserts at compile time the size and alignment of structures and the offset of each listed field, in bytes.
///
/// The numbers are literals from section F of the contract (or, where its text says so, derived from the documented members), so
/// that an edit of a structure that moves a field does not compile.
macro_rules! assert_layout {
    ($($type:ty { size $size:literal, align $align:literal $(, $field:ident @ $offset:literal)* $(,)? })+) => {
        $(const _: () = {
            assert!(core::mem::size_of::<$type>() == $size);
            assert!(core::mem::align_of::<$type>() == $align);
            $(assert!(core::mem::offset_of!($type, $field) == $offset);)*
        };)+
    };
}

/// Gives structures the all-zero value as `Default`, the state in which C code declares them before it fills them in.
macro_rules! zeroed_default {
    ($($type:ty),+ $(,)?) => {
        $(impl Default for $type {
            fn default() -> Self {
                // SAFETY: The type is repr(C) and made of integers, raw pointers, optional function pointers, and structures or
                // unions of those, as its declaration in this crate (section F of the contract) shows. All of them are valid
                // when every byte is zero.
                unsafe { core::mem::zeroed() }
            }
        })+
    };
}
