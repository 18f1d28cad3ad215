//! The function table of KMDF 1.33, in both calling conventions.

/// Entries of the table of KMDF 1.33.
pub(super) const ENTRIES: usize = 458;

/// A function table: what `WdfFunctions` of a bound driver points to.
#[repr(transparent)]
pub(super) struct Table(pub [*const (); ENTRIES]);

// SAFETY: a table holds addresses of functions, which never change.
unsafe impl Sync for Table {}

/// The address of a table, as a static of its own.
#[repr(transparent)]
pub struct TablePointer(pub(super) *const Table);

// SAFETY: it points to a static.
unsafe impl Sync for TablePointer {}

/// The functions of the table by index, one a line (wdffuncenum.h of KMDF 1.33). Older versions' tables are the beginning of it.
const NAMES: &str = include_str!("names.txt");

/// The name of an entry.
fn name(index: usize) -> &'static str {
    NAMES.lines().nth(index).unwrap_or("an unknown function")
}

/// Stops the machine: the driver called a function of the framework that the simulator does not have.
pub(super) fn missing(index: usize) -> ! {
    let kernel = crate::machine::current::kernel();
    let name = name(index);
    let summary = format!(
        "the driver called {name}, entry {index} of the framework's function table, which this simulator does not have; it needs a line \
         in wdf_functions! (wdf/mod.rs) with that index, its prototype and the IRQL of its page, and a function that does it"
    );
    kernel.bug_check(super::violation(
        kernel,
        super::WDF_API_UNAVAILABLE,
        index as u64,
        "D.1",
        summary,
    ))
}

/// What stands where the simulator has no function: one function for each index, so that it can tell which.
unsafe extern "C" fn missing_host<const INDEX: usize>() {
    missing(INDEX)
}

/// [`missing_host`] for images.
#[cfg(target_arch = "x86_64")]
unsafe extern "win64" fn missing_win64<const INDEX: usize>() {
    missing(INDEX)
}

/// Ten entries for each number: a function of indexes ten times that number and on.
macro_rules! tens {
    ($function:ident: $($ten:literal)*) => {
        [$(
            [
                $function::<{ $ten * 10 }> as *const (),
                $function::<{ $ten * 10 + 1 }> as *const (),
                $function::<{ $ten * 10 + 2 }> as *const (),
                $function::<{ $ten * 10 + 3 }> as *const (),
                $function::<{ $ten * 10 + 4 }> as *const (),
                $function::<{ $ten * 10 + 5 }> as *const (),
                $function::<{ $ten * 10 + 6 }> as *const (),
                $function::<{ $ten * 10 + 7 }> as *const (),
                $function::<{ $ten * 10 + 8 }> as *const (),
                $function::<{ $ten * 10 + 9 }> as *const (),
            ],
        )*]
    };
}

/// A table without any function, in the convention of `missing_host` or `missing_win64`.
macro_rules! empty_table {
    ($function:ident) => {{
        let tens = tens!($function:
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
            40 41 42 43 44 45);
        let mut table = [std::ptr::null(); ENTRIES];
        let mut index = 0;
        while index < ENTRIES {
            table[index] = tens[index / 10][index % 10];
            index += 1;
        }
        table
    }};
}

/// The table for a linked driver before the simulator's functions are put in.
pub(super) const EMPTY_HOST: [*const (); ENTRIES] = empty_table!(missing_host);
/// The table for an image before the simulator's functions are put in.
#[cfg(target_arch = "x86_64")]
pub(super) const EMPTY_WIN64: [*const (); ENTRIES] = empty_table!(missing_win64);

/// Defines the framework's functions. Each line is the function's name and index in the table, its prototype without the
/// driver globals that come first, what it asks of its caller, and the function that does it.
macro_rules! wdf_functions {
    ($( $name:ident [$index:literal] ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? [$irql:ident $($unlocked:ident)?] => $body:path; )*) => {
        mod host {
            use super::*;
            $(
                #[expect(non_snake_case, reason = "the framework's name")]
                pub(super) unsafe extern "C" fn $name(globals: *mut wdk_sys_portable::WDF_DRIVER_GLOBALS, $($arg: $ty),*) $(-> $ret)? {
                    let kernel = $crate::exports::enter(
                        stringify!($name),
                        $crate::exports::Caller { max_irql: $crate::exports::level::$irql, unlocked: $crate::exports::flag!($($unlocked)?), point: true },
                    );
                    $crate::wdf::bind::require_globals(kernel, stringify!($name), globals as usize);
                    $body(kernel, $($arg),*)
                }
            )*
        }

        #[cfg(target_arch = "x86_64")]
        mod win64 {
            use super::*;
            $(
                #[expect(non_snake_case, reason = "the framework's name")]
                pub(super) unsafe extern "win64" fn $name(globals: *mut wdk_sys_portable::WDF_DRIVER_GLOBALS, $($arg: $ty),*) $(-> $ret)? {
                    // SAFETY: the caller's obligations are passed on as they are.
                    unsafe { super::host::$name(globals, $($arg),*) }
                }
            )*
        }

        /// The functions that there are, with the index of each.
        #[cfg(test)]
        pub(crate) const IMPLEMENTED: &[(&str, usize)] = &[$( (stringify!($name), $index) ),*];

        /// The table for linked drivers.
        static HOST: $crate::wdf::table::Table = {
            let mut table = $crate::wdf::table::EMPTY_HOST;
            $( table[$index] = host::$name as *const (); )*
            $crate::wdf::table::Table(table)
        };

        /// The table for images.
        #[cfg(target_arch = "x86_64")]
        static WIN64: $crate::wdf::table::Table = {
            let mut table = $crate::wdf::table::EMPTY_WIN64;
            $( table[$index] = win64::$name as *const (); )*
            $crate::wdf::table::Table(table)
        };
    };
}
pub(super) use wdf_functions;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_the_name_that_the_table_gives_it() {
        assert_eq!(NAMES.lines().count(), ENTRIES);
        for (name, index) in crate::wdf::IMPLEMENTED {
            assert_eq!(NAMES.lines().nth(*index), Some(*name));
        }
    }
}
