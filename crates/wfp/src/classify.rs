//! One classification: what it was called with, and the answer.

use core::{fmt, marker::PhantomData, net::IpAddr, ptr, ptr::NonNull};

use nt::{Cx, Result, status::NtStatus};
use wfp_sys::{
    consts::{
        FWP_ACTION_BLOCK, FWP_ACTION_PERMIT, FWP_BYTE_ARRAY16_TYPE, FWP_UINT8, FWP_UINT16,
        FWP_UINT32, FWPS_CLASSIFY_OUT_FLAG_ABSORB, FWPS_FILTER_FLAG_CLEAR_ACTION_RIGHT,
        FWPS_PACKET_INJECTED_BY_SELF, FWPS_PACKET_LIST_INFORMATION_QUERY_INBOUND,
        FWPS_PACKET_LIST_INFORMATION_QUERY_IPSEC, FWPS_PACKET_NOT_INJECTED,
        FWPS_PACKET_PREVIOUSLY_INJECTED_BY_SELF, FWPS_RIGHT_ACTION_WRITE,
    },
    fwps::{
        FWP_VALUE0, FWPS_CLASSIFY_OUT0, FWPS_FILTER3, FWPS_INCOMING_METADATA_VALUES0,
        FWPS_INCOMING_VALUES0, FWPS_PACKET_LIST_INFORMATION0,
        FwpsGetPacketListSecurityInformation0, FwpsQueryPacketInjectionState0,
    },
    ndis::NET_BUFFER_LIST,
};

use crate::{
    address,
    flags::ConditionFlags,
    inject::InjectionHandle,
    layer::{Family, Layer, LayerKind},
    metadata::Metadata,
    nbl::{IndicatedNbl, NblRef},
    pend::PendedOperation,
};

/// Whether and by whom a packet was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectionState {
    /// By nobody.
    NotInjected,
    /// Through the handle asked about. Permit it: another round would never end.
    BySelf,
    /// Through somebody else's handle.
    ByOther,
    /// Through the handle asked about, and then through another one. Permit it.
    PreviouslyBySelf,
}

impl InjectionState {
    /// Whether the handle asked about injected the packet, at any time.
    #[must_use]
    pub const fn is_own(self) -> bool {
        matches!(
            self,
            InjectionState::BySelf | InjectionState::PreviouslyBySelf
        )
    }
}

/// What IPsec did to an inbound packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpsecInfo(FWPS_PACKET_LIST_INFORMATION0);

impl IpsecInfo {
    /// The packet came protected; its AH or ESP header is still there, so it is rebuilt before it is injected.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        self.0.ipsecInformation.inbound().isSecure()
    }

    /// In transport mode.
    #[must_use]
    pub const fn is_transport_mode(self) -> bool {
        self.0.ipsecInformation.inbound().isTransportMode()
    }

    /// In tunnel mode.
    #[must_use]
    pub const fn is_tunnel_mode(self) -> bool {
        self.0.ipsecInformation.inbound().isTunnelMode()
    }

    /// The outer header has been taken off. A tunnel packet without this is left alone.
    #[must_use]
    pub const fn is_detunneled(self) -> bool {
        self.0.ipsecInformation.inbound().isDeTunneled()
    }
}

/// Why nothing was referenced or pended. Nothing is owed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldError {
    /// Another callout has decided; only a veto is left (A-15, X1).
    NoWriteRight,
    /// The classify came without a packet.
    NoNbl,
    /// The list has others chained behind it, which does not happen at these layers; holding the first would lose the rest.
    Chained,
    /// This classify holds it already.
    AlreadyHeld,
    /// There is nothing to pend with.
    NoCompletionHandle,
    /// A reauthorization cannot be pended.
    Reauthorize,
    /// Only ALE layers are pended.
    WrongLayer,
    /// The platform refused.
    Failed(NtStatus),
}

/// The answer of a classify. Made by [`Classify::permit`], [`Classify::block`] and [`Classify::absorb`] and by nothing else, so a classify
/// cannot end without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the answer is what classify returns"]
pub struct Answer(Action);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Permit,
    Block,
    Absorb,
}

/// A view of a running classification. Everything it shows is gone when the classify returns.
pub struct Classify<'c> {
    layer: Layer,
    values: &'c FWPS_INCOMING_VALUES0,
    metadata: Metadata<'c>,
    nbl: Option<NonNull<NET_BUFFER_LIST>>,
    filter: Option<&'c FWPS_FILTER3>,
    may_write: bool,
    referenced: bool,
    pended: bool,
    of_this_call: PhantomData<*mut ()>,
}

impl<'c> Classify<'c> {
    /// A view of classifyFn's arguments; nothing at a layer this crate does not know, where `layer_data` may be anything.
    ///
    /// # Safety
    ///
    /// The arguments are those of a running classifyFn and `'c` ends with it. There is one view of a call at most.
    pub(crate) unsafe fn new(
        values: &'c FWPS_INCOMING_VALUES0,
        metadata: Option<&'c FWPS_INCOMING_METADATA_VALUES0>,
        layer_data: *mut core::ffi::c_void,
        filter: Option<&'c FWPS_FILTER3>,
        rights: u32,
    ) -> Option<Classify<'c>> {
        let layer = Layer::from_id(values.layerId)?;
        Some(Classify {
            layer,
            values,
            // SAFETY: The metadata are those of the call, and what they point to is valid during it.
            metadata: unsafe { Metadata::new(metadata) },
            nbl: NonNull::new(layer_data.cast()),
            filter,
            may_write: rights & FWPS_RIGHT_ACTION_WRITE != 0,
            referenced: false,
            pended: false,
            of_this_call: PhantomData,
        })
    }

    /// The layer.
    #[must_use]
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// Whether the decision is still open. If not, only [`Classify::block`] has an effect, as a veto.
    #[must_use]
    pub fn may_write(&self) -> bool {
        self.may_write
    }

    /// The packets, if the classify came with any. Never at ALE_AUTH_CONNECT for TCP, nor after a completed pend.
    #[must_use]
    pub fn nbl(&self) -> Option<IndicatedNbl<'_>> {
        // SAFETY: At the layers this crate knows the layer data are a list, alive during the call, which the borrow does not outlive.
        self.nbl.map(|nbl| unsafe { IndicatedNbl::new(nbl) })
    }

    /// The filter that matched.
    #[must_use]
    pub fn filter_id(&self) -> Option<u64> {
        self.filter.map(|filter| filter.filterId)
    }

    /// The metadata.
    #[must_use]
    pub fn metadata(&self) -> Metadata<'c> {
        self.metadata
    }

    /// A fixed value, if the system has it at all (F.2).
    fn value(&self, index: u16) -> Option<&'c FWP_VALUE0> {
        if u32::from(index) >= self.values.valueCount || self.values.incomingValue.is_null() {
            return None;
        }
        // SAFETY: The array has `valueCount` values, more than `index`, and is valid during the call.
        Some(unsafe { &(*self.values.incomingValue.add(usize::from(index))).value })
    }

    // In each of the following the type is compared before the union is read: during a reauthorization it may be FWP_EMPTY.

    fn uint8(&self, index: u16) -> Option<u8> {
        let value = self
            .value(index)
            .filter(|value| value.r#type == FWP_UINT8)?;
        // SAFETY: The type says which member was written.
        Some(unsafe { value.Anonymous.uint8 })
    }

    fn uint16(&self, index: u16) -> Option<u16> {
        let value = self
            .value(index)
            .filter(|value| value.r#type == FWP_UINT16)?;
        // SAFETY: The type says which member was written.
        Some(unsafe { value.Anonymous.uint16 })
    }

    fn uint32(&self, index: u16) -> Option<u32> {
        let value = self
            .value(index)
            .filter(|value| value.r#type == FWP_UINT32)?;
        // SAFETY: The type says which member was written.
        Some(unsafe { value.Anonymous.uint32 })
    }

    fn address(&self, index: u16) -> Option<IpAddr> {
        match self.layer.family {
            Family::V4 => self.uint32(index).map(address::v4_from_host_order),
            Family::V6 => {
                let value = self
                    .value(index)
                    .filter(|value| value.r#type == FWP_BYTE_ARRAY16_TYPE)?;
                // SAFETY: The type says which member was written: a pointer to 16 bytes that are valid during the call, or null.
                let bytes = unsafe { value.Anonymous.byteArray16.as_ref() }?;
                Some(address::v6_from_octets(bytes.byteArray16))
            }
        }
    }

    /// The IP protocol.
    #[must_use]
    pub fn protocol(&self) -> Option<u8> {
        self.uint8(self.layer.fields().protocol)
    }

    /// The host's address.
    #[must_use]
    pub fn local_address(&self) -> Option<IpAddr> {
        self.address(self.layer.fields().local_address)
    }

    /// The peer's address.
    #[must_use]
    pub fn remote_address(&self) -> Option<IpAddr> {
        self.address(self.layer.fields().remote_address)
    }

    /// The host's port, or the ICMP type. A plain number.
    #[must_use]
    pub fn local_port(&self) -> Option<u16> {
        self.uint16(self.layer.fields().local_port)
    }

    /// The peer's port, or the ICMP code. A plain number.
    #[must_use]
    pub fn remote_port(&self) -> Option<u16> {
        self.uint16(self.layer.fields().remote_port)
    }

    /// The FLAGS field.
    #[must_use]
    pub fn flags(&self) -> Option<ConditionFlags> {
        self.uint32(self.layer.fields().flags).map(ConditionFlags)
    }

    /// INTERFACE_INDEX: at RECV_ACCEPT the interface the packet is delivered on, not the one it arrived on.
    #[must_use]
    pub fn interface_index(&self) -> Option<u32> {
        self.uint32(self.layer.fields().interface_index)
    }

    /// SUB_INTERFACE_INDEX: at RECV_ACCEPT that of the arrival interface.
    #[must_use]
    pub fn sub_interface_index(&self) -> Option<u32> {
        self.uint32(self.layer.fields().sub_interface_index)
    }

    /// ARRIVAL_INTERFACE_INDEX; ALE layers only.
    #[must_use]
    pub fn arrival_interface_index(&self) -> Option<u32> {
        self.layer
            .fields()
            .arrival_interface_index
            .and_then(|index| self.uint32(index))
    }

    /// REAUTHORIZE_REASON, `FWP_CONDITION_REAUTHORIZE_REASON_*`; ALE layers only.
    #[must_use]
    pub fn reauthorize_reason(&self) -> Option<u32> {
        self.layer
            .fields()
            .reauthorize_reason
            .and_then(|index| self.uint32(index))
    }

    /// Whether this is a reauthorization.
    #[must_use]
    pub fn is_reauthorize(&self) -> bool {
        self.flags()
            .is_some_and(|flags| flags.contains(ConditionFlags::IS_REAUTHORIZE))
    }

    /// Whether the packet was injected, seen from `handle`; nothing without a packet. The first thing to ask.
    #[must_use]
    pub fn injection_state(&self, cx: &Cx, handle: &InjectionHandle) -> Option<InjectionState> {
        let _ = cx;
        let nbl = self.nbl?;
        // SAFETY: The list is alive during the call and the handle while it is borrowed; the context is not asked for.
        let state = unsafe {
            FwpsQueryPacketInjectionState0(handle.as_raw(), nbl.as_ptr(), ptr::null_mut())
        };
        Some(match state {
            FWPS_PACKET_NOT_INJECTED => InjectionState::NotInjected,
            FWPS_PACKET_INJECTED_BY_SELF => InjectionState::BySelf,
            FWPS_PACKET_PREVIOUSLY_INJECTED_BY_SELF => InjectionState::PreviouslyBySelf,
            // FWPS_PACKET_INJECTED_BY_OTHER, and a number newer than this crate: somebody's injection, and not known to be ours.
            _ => InjectionState::ByOther,
        })
    }

    /// What IPsec did to the inbound packet.
    ///
    /// # Errors
    ///
    /// STATUS_NOT_FOUND without a packet; otherwise what FwpsGetPacketListSecurityInformation0 returned. An error does not mean "not
    /// protected".
    pub fn inbound_security(&self, cx: &Cx) -> Result<IpsecInfo> {
        let _ = cx;
        let nbl = self.nbl.ok_or(NtStatus::NOT_FOUND)?;
        let mut information = FWPS_PACKET_LIST_INFORMATION0::default();
        let query =
            FWPS_PACKET_LIST_INFORMATION_QUERY_IPSEC | FWPS_PACKET_LIST_INFORMATION_QUERY_INBOUND;
        // SAFETY: Within classifyFn, for the list it was called with, with one direction.
        NtStatus(unsafe {
            FwpsGetPacketListSecurityInformation0(nbl.as_ptr(), query, &raw mut information)
        })
        .check()?;
        Ok(IpsecInfo(information))
    }

    /// Takes a reference on the packets, to clone and inject them later. From here on the answer is absorb or block: the platform
    /// takes the packet from everybody else.
    ///
    /// # Errors
    ///
    /// See [`HoldError`]; nothing was taken.
    pub fn reference(&mut self, cx: &Cx) -> core::result::Result<NblRef, HoldError> {
        let _ = cx;
        if !self.may_write {
            return Err(HoldError::NoWriteRight);
        }
        if self.referenced {
            return Err(HoldError::AlreadyHeld);
        }
        let nbl = self.nbl.ok_or(HoldError::NoNbl)?;
        if self.nbl().is_some_and(|nbl| nbl.is_chained()) {
            return Err(HoldError::Chained);
        }
        self.referenced = true;
        // SAFETY: This is the list of the running classify, referenced once in it, and `write_answer` blocks it from here on.
        Ok(unsafe { NblRef::new(nbl) })
    }

    /// Pends the authorization. Make it the last step that can fail: from here on the answer is absorb, and the operation is
    /// to be completed whatever happens. ALE layers only.
    ///
    /// # Errors
    ///
    /// See [`HoldError`]; nothing is pended, and the answer is block.
    pub fn pend(&mut self, cx: &Cx) -> core::result::Result<PendedOperation, HoldError> {
        let _ = cx;
        if !matches!(self.layer.kind, LayerKind::RecvAccept | LayerKind::Connect) {
            return Err(HoldError::WrongLayer);
        }
        if !self.may_write {
            return Err(HoldError::NoWriteRight);
        }
        if self.pended {
            return Err(HoldError::AlreadyHeld);
        }
        if self.is_reauthorize() {
            return Err(HoldError::Reauthorize);
        }
        let handle = self
            .metadata
            .completion_handle()
            .ok_or(HoldError::NoCompletionHandle)?;
        // SAFETY: Within the classify, with the handle of its metadata, and `write_answer` blocks and absorbs from here on.
        let operation = unsafe { PendedOperation::new(handle) }.map_err(HoldError::Failed)?;
        self.pended = true;
        Ok(operation)
    }

    /// The packet goes on, as far as this callout is concerned.
    pub fn permit(&self) -> Answer {
        Answer(Action::Permit)
    }

    /// The packet is dropped. If the decision was made already, this vetoes a permit.
    pub fn block(&self) -> Answer {
        Answer(Action::Block)
    }

    /// The packet is taken: it is dropped silently here, because this driver holds it. Without a [`Classify::reference`] or
    /// [`Classify::pend`] that succeeded it would be lost without a trace, and is blocked instead.
    pub fn absorb(&self) -> Answer {
        Answer(Action::Absorb)
    }

    /// What the answer comes to, given what this classify did.
    fn effective(&self, answer: Answer) -> Action {
        match answer.0 {
            // A pended operation obliges to block and absorb.
            _ if self.pended => Action::Absorb,
            Action::Absorb if !self.referenced => Action::Block,
            // After a reference the right is given up, and a permit would be a hard one, for a packet that a worker may change.
            Action::Permit if self.referenced => Action::Block,
            action => action,
        }
    }

    /// Writes the answer.
    pub(crate) fn write_answer(&self, answer: Answer, out: &mut FWPS_CLASSIFY_OUT0) {
        match self.effective(answer) {
            Action::Permit => {
                let clears = self.filter.is_some_and(|filter| {
                    u32::from(filter.flags) & FWPS_FILTER_FLAG_CLEAR_ACTION_RIGHT != 0
                });
                write_permit(out, clears);
            }
            Action::Block => {
                // Without the right this is the veto that A-15 allows.
                out.actionType = FWP_ACTION_BLOCK;
                out.flags &= !FWPS_CLASSIFY_OUT_FLAG_ABSORB;
                out.rights &= !FWPS_RIGHT_ACTION_WRITE;
            }
            Action::Absorb => {
                out.actionType = FWP_ACTION_BLOCK;
                out.flags |= FWPS_CLASSIFY_OUT_FLAG_ABSORB;
                out.rights &= !FWPS_RIGHT_ACTION_WRITE;
            }
        }
    }
}

/// Permits, if the decision is open. Gives the right up only where the filter asks for it.
pub(crate) fn write_permit(out: &mut FWPS_CLASSIFY_OUT0, filter_clears_right: bool) {
    if out.rights & FWPS_RIGHT_ACTION_WRITE == 0 {
        return;
    }
    out.actionType = FWP_ACTION_PERMIT;
    out.flags &= !FWPS_CLASSIFY_OUT_FLAG_ABSORB;
    if filter_clears_right {
        out.rights &= !FWPS_RIGHT_ACTION_WRITE;
    }
}

impl fmt::Debug for Classify<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classify")
            .field("layer", &self.layer)
            .field("protocol", &self.protocol())
            .field("may_write", &self.may_write)
            .field("referenced", &self.referenced)
            .field("pended", &self.pended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
