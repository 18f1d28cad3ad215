//! A session with the filter engine and the objects it adds.
//!
//! Sessions are dynamic: whatever they add goes when they close, also if the driver forgets (A-11, O-28).

use core::{ffi::c_void, fmt, ptr, ptr::NonNull};

use nt::{Passive, Result, bug_check::require_passive, status::NtStatus, utf16::WStr};
use wfp_sys::{
    GUID,
    consts::FWP_ACTION_CALLOUT_TERMINATING,
    fwpm::{
        FWPM_ACTION0, FWPM_ACTION0_0, FWPM_CALLOUT0, FWPM_DISPLAY_DATA0,
        FWPM_FILTER_FLAG_PERMIT_IF_CALLOUT_UNREGISTERED, FWPM_FILTER0, FWPM_PROVIDER0,
        FWPM_SESSION_FLAG_DYNAMIC, FWPM_SESSION0, FWPM_SUBLAYER_UNIVERSAL, FWPM_SUBLAYER0,
        FwpmCalloutAdd0, FwpmEngineClose0, FwpmEngineOpen0, FwpmFilterAdd0, FwpmFreeMemory0,
        FwpmProviderAdd0, FwpmSubLayerAdd0, FwpmSubLayerCreateEnumHandle0,
        FwpmSubLayerDestroyEnumHandle0, FwpmSubLayerEnum0, FwpmTransactionAbort0,
        FwpmTransactionBegin0, FwpmTransactionCommit0, RPC_C_AUTHN_WINNT,
    },
};

use crate::layer::Layer;

/// Sublayers that are asked for at a time.
const BATCH: u32 = 32;

/// A dynamic session. Dropping closes it, at PASSIVE_LEVEL, and with it go its objects.
pub struct Engine {
    handle: NonNull<c_void>,
}

// SAFETY: A session may be used from any thread at PASSIVE_LEVEL.
unsafe impl Send for Engine {}
// SAFETY: Everything that uses the session needs it exclusively.
unsafe impl Sync for Engine {}

impl Engine {
    /// Opens a session. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What FwpmEngineOpen0 returned; it fails while the base filtering engine is not running.
    pub fn open_dynamic(passive: &Passive, name: &'static WStr) -> Result<Engine> {
        let _ = passive;
        let session = FWPM_SESSION0 {
            displayData: display(name),
            flags: FWPM_SESSION_FLAG_DYNAMIC,
            ..Default::default()
        };
        let mut handle = ptr::null_mut();
        // SAFETY: Server and identity are null, the session is read during the call and the handle's place is this function's own.
        // PASSIVE_LEVEL by the token.
        NtStatus(unsafe {
            FwpmEngineOpen0(
                ptr::null(),
                RPC_C_AUTHN_WINNT,
                ptr::null_mut(),
                &raw const session,
                &raw mut handle,
            )
        })
        .check()?;
        Ok(Engine {
            handle: NonNull::new(handle).ok_or(NtStatus::UNSUCCESSFUL)?,
        })
    }

    /// Begins a transaction. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What FwpmTransactionBegin0 returned.
    pub fn transaction<'a>(&'a mut self, passive: &'a Passive) -> Result<Transaction<'a>> {
        // SAFETY: The session is open. PASSIVE_LEVEL by the token.
        NtStatus(unsafe { FwpmTransactionBegin0(self.handle.as_ptr(), 0) }).check()?;
        Ok(Transaction {
            engine: self,
            passive,
            open: true,
        })
    }

    /// Closes the session: filters, callout objects, sublayer and provider go, and classifies end (C-50). IRQL = PASSIVE_LEVEL.
    pub fn close(self, passive: &Passive) {
        let _ = passive;
        drop(self);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        require_passive();
        // SAFETY: The session was opened by `open_dynamic` and is closed once, at PASSIVE_LEVEL. It fails only if the base filtering engine is
        // gone, and the session's objects with it.
        let _gone_either_way = unsafe { FwpmEngineClose0(self.handle.as_ptr()) };
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

/// A read-write transaction. Dropped without [`Transaction::commit`] it is aborted: either all of it happens or nothing.
#[derive(Debug)]
pub struct Transaction<'a> {
    engine: &'a Engine,
    passive: &'a Passive,
    open: bool,
}

impl Transaction<'_> {
    fn handle(&self) -> *mut c_void {
        self.engine.handle.as_ptr()
    }

    /// The weight for a sublayer just below FWPM_SUBLAYER_UNIVERSAL, where IPsec has done its part when a packet comes by.
    ///
    /// Where there is no universal sublayer the lowest weight, 0, is below everything that there could be.
    ///
    /// # Errors
    ///
    /// STATUS_NOT_SUPPORTED if the universal sublayer has weight 0: nothing is below it, and above it the driver would get packets that
    /// IPsec has not seen. Otherwise what the enumeration returned.
    pub fn weight_below_universal(&self) -> Result<u16> {
        match self.universal_weight()? {
            None => Ok(0),
            Some(weight) => weight.checked_sub(1).ok_or(NtStatus::NOT_SUPPORTED),
        }
    }

    /// The weight of FWPM_SUBLAYER_UNIVERSAL, enumerated and not assumed.
    fn universal_weight(&self) -> Result<Option<u16>> {
        let enumeration = SubLayers::all(self)?;
        loop {
            let batch = enumeration.next()?;
            if let Some(weight) = batch.weight_of(&FWPM_SUBLAYER_UNIVERSAL) {
                return Ok(Some(weight));
            }
            if batch.is_last() {
                return Ok(None);
            }
        }
    }

    /// Adds a provider. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_FWP_ALREADY_EXISTS if the key is taken; otherwise what FwpmProviderAdd0 returned.
    pub fn add_provider(&self, key: &GUID, name: &'static WStr) -> Result<()> {
        let provider = FWPM_PROVIDER0 {
            providerKey: *key,
            displayData: display(name),
            ..Default::default()
        };
        // SAFETY: The session is open and the structure is read during the call.
        NtStatus(unsafe { FwpmProviderAdd0(self.handle(), &raw const provider, ptr::null_mut()) })
            .check()
    }

    /// Adds a sublayer. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_FWP_ALREADY_EXISTS if the key is taken; otherwise what FwpmSubLayerAdd0 returned.
    pub fn add_sublayer(
        &self,
        key: &GUID,
        provider: &GUID,
        weight: u16,
        name: &'static WStr,
    ) -> Result<()> {
        let sublayer = FWPM_SUBLAYER0 {
            subLayerKey: *key,
            displayData: display(name),
            providerKey: ptr::from_ref(provider).cast_mut(),
            weight,
            ..Default::default()
        };
        // SAFETY: The session is open; the structure and the provider's key are read during the call.
        NtStatus(unsafe { FwpmSubLayerAdd0(self.handle(), &raw const sublayer, ptr::null_mut()) })
            .check()
    }

    /// Adds the object of a registered callout, for a layer. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_FWP_ALREADY_EXISTS if the key is taken; otherwise what FwpmCalloutAdd0 returned.
    pub fn add_callout(
        &self,
        key: &GUID,
        provider: &GUID,
        layer: Layer,
        name: &'static WStr,
    ) -> Result<()> {
        let callout = FWPM_CALLOUT0 {
            calloutKey: *key,
            displayData: display(name),
            providerKey: ptr::from_ref(provider).cast_mut(),
            applicableLayer: layer.key(),
            ..Default::default()
        };
        // SAFETY: The session is open; the structure and the provider's key are read during the call. The identifier is not asked for.
        NtStatus(unsafe {
            FwpmCalloutAdd0(
                self.handle(),
                &raw const callout,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        })
        .check()
    }

    /// Adds a filter without conditions, with an automatic weight, that asks the callout about everything at a layer; the callout's
    /// answer is final in the sublayer (CALLOUT_TERMINATING, A-18). Returns the filter's run-time identifier. IRQL = PASSIVE_LEVEL.
    ///
    /// The filter permits while its callout is not registered. The other choice would block everything, remote administration
    /// included, whenever a filter outlives its callout: a machine without network is what an unloaded driver must not leave
    /// behind (O-28). An unloaded driver decides nothing anyway; and while it is loaded, callouts are registered before filters and unregistered
    /// after them, so the choice does not open a gap.
    ///
    /// # Errors
    ///
    /// What FwpmFilterAdd0 returned.
    pub fn add_filter(
        &self,
        key: &GUID,
        provider: &GUID,
        sublayer: &GUID,
        callout: &GUID,
        layer: Layer,
        name: &'static WStr,
    ) -> Result<u64> {
        let filter = FWPM_FILTER0 {
            filterKey: *key,
            displayData: display(name),
            flags: FWPM_FILTER_FLAG_PERMIT_IF_CALLOUT_UNREGISTERED,
            providerKey: ptr::from_ref(provider).cast_mut(),
            layerKey: layer.key(),
            subLayerKey: *sublayer,
            action: FWPM_ACTION0 {
                r#type: FWP_ACTION_CALLOUT_TERMINATING,
                Anonymous: FWPM_ACTION0_0 {
                    calloutKey: *callout,
                },
            },
            ..Default::default()
        };
        let mut id = 0;
        // SAFETY: The session is open; the structure and the provider's key are read during the call. A zeroed weight is FWP_EMPTY.
        NtStatus(unsafe {
            FwpmFilterAdd0(
                self.handle(),
                &raw const filter,
                ptr::null_mut(),
                &raw mut id,
            )
        })
        .check()?;
        Ok(id)
    }

    /// Makes it all happen. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What FwpmTransactionCommit0 returned; nothing has happened then.
    pub fn commit(mut self) -> Result<()> {
        // SAFETY: The session is open and so is the transaction. PASSIVE_LEVEL by the token this value borrows.
        NtStatus(unsafe { FwpmTransactionCommit0(self.handle()) }).check()?;
        self.open = false;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        let _ = self.passive;
        if self.open {
            // SAFETY: The session is open. PASSIVE_LEVEL by the token this value borrows. After a commit that failed there may be nothing to
            // abort, which the call then says.
            let _nothing_left_either_way = unsafe { FwpmTransactionAbort0(self.handle()) };
        }
    }
}

/// A name as the structures take it. The engine reads it during the call.
fn display(name: &'static WStr) -> FWPM_DISPLAY_DATA0 {
    FWPM_DISPLAY_DATA0 {
        name: name.as_ptr().cast_mut(),
        description: ptr::null_mut(),
    }
}

/// An enumeration of sublayers. Dropping ends it.
struct SubLayers<'a> {
    transaction: &'a Transaction<'a>,
    handle: *mut c_void,
}

impl<'a> SubLayers<'a> {
    fn all(transaction: &'a Transaction<'a>) -> Result<SubLayers<'a>> {
        let mut handle = ptr::null_mut();
        // SAFETY: The session is open; a null template enumerates all. PASSIVE_LEVEL by the transaction's token.
        NtStatus(unsafe {
            FwpmSubLayerCreateEnumHandle0(transaction.handle(), ptr::null(), &raw mut handle)
        })
        .check()?;
        Ok(SubLayers {
            transaction,
            handle,
        })
    }

    fn next(&self) -> Result<Batch> {
        let mut batch = Batch {
            entries: ptr::null_mut(),
            count: 0,
        };
        // SAFETY: Session and enumeration are open; the results' places are this function's own.
        NtStatus(unsafe {
            FwpmSubLayerEnum0(
                self.transaction.handle(),
                self.handle,
                BATCH,
                &raw mut batch.entries,
                &raw mut batch.count,
            )
        })
        .check()?;
        Ok(batch)
    }
}

impl Drop for SubLayers<'_> {
    fn drop(&mut self) {
        // SAFETY: Session and enumeration are open, and the enumeration ends once. If it fails, it goes with the session.
        let _goes_with_the_session =
            unsafe { FwpmSubLayerDestroyEnumHandle0(self.transaction.handle(), self.handle) };
    }
}

/// Sublayers that the engine allocated. Dropping frees them.
struct Batch {
    entries: *mut *mut FWPM_SUBLAYER0,
    count: u32,
}

impl Batch {
    /// Fewer than asked for are the last.
    fn is_last(&self) -> bool {
        self.count < BATCH
    }

    fn weight_of(&self, key: &GUID) -> Option<u16> {
        if self.entries.is_null() {
            return None;
        }
        // The engine returns no more than were asked for; it is not asked to be trusted with that.
        let count = usize::try_from(self.count.min(BATCH)).ok()?;
        (0..count).find_map(|at| {
            // SAFETY: The array has `count` pointers, each null or to a sublayer that lives as long as the array.
            let sublayer = unsafe { (*self.entries.add(at)).as_ref() }?;
            same(&sublayer.subLayerKey, key).then_some(sublayer.weight)
        })
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if !self.entries.is_null() {
            let mut memory: *mut c_void = self.entries.cast();
            // SAFETY: The array came from the engine and is freed once; the entries go with it. PASSIVE_LEVEL, where it was made.
            unsafe { FwpmFreeMemory0(&raw mut memory) };
        }
    }
}

/// Whether two identifiers are the same; the type has no comparison of its own.
fn same(one: &GUID, other: &GUID) -> bool {
    (one.data1, one.data2, one.data3, one.data4)
        == (other.data1, other.data2, other.data3, other.data4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles;
    use core::ptr;
    use std::vec::Vec;

    #[test]
    fn a_batch_as_large_as_was_asked_for_may_have_others_behind_it() {
        let of = |count| Batch {
            entries: ptr::null_mut(),
            count,
        };
        assert!(of(0).is_last() && of(BATCH - 1).is_last());
        assert!(!of(BATCH).is_last());
        assert_eq!(doubles::log(), Vec::<&str>::new(), "there was no memory");
    }

    #[test]
    fn a_sublayers_weight_is_its_own_and_nothing_is_read_behind_what_was_returned() {
        let (first, second, third) = (GUID::from_u128(1), GUID::from_u128(2), GUID::from_u128(3));
        let sublayer = |key, weight| FWPM_SUBLAYER0 {
            subLayerKey: key,
            weight,
            ..Default::default()
        };
        let (mut one, mut two, mut behind) =
            (sublayer(first, 7), sublayer(second, 9), sublayer(third, 11));
        let mut entries = [&raw mut one, ptr::null_mut(), &raw mut two, &raw mut behind];
        let batch = Batch {
            entries: entries.as_mut_ptr(),
            count: 3,
        };
        assert_eq!(batch.weight_of(&first), Some(7));
        assert_eq!(batch.weight_of(&second), Some(9));
        assert_eq!(batch.weight_of(&third), None);
        drop(batch);
        assert_eq!(doubles::log(), ["free the engine's memory"]);
    }
}
