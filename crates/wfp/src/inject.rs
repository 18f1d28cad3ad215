//! Injection: a clone, and everything the stack reads with it, goes to the stack and comes back in the completion function.
//!
//! All memory is taken before ([`Prepared::try_new`]), so that once a pended operation has been completed nothing but the injecting call
//! itself can fail. That call either takes everything, or gives everything back.

use core::{ffi::c_void, fmt, net::IpAddr, ptr, ptr::NonNull};

use nt::{
    Cx, Passive, Result,
    bug_check::{Reason, bug_check, require_passive},
    pool::{OutOfMemory, PoolBox, PoolBytes},
    status::NtStatus,
};
use wfp_sys::{
    BOOLEAN, HANDLE,
    consts::{AF_UNSPEC, FWPS_INJECTION_TYPE_TRANSPORT},
    fwps::{
        FWPS_TRANSPORT_SEND_PARAMS0, FwpsInjectTransportReceiveAsync0,
        FwpsInjectTransportSendAsync0, FwpsInjectionHandleCreate0, FwpsInjectionHandleDestroy0,
        SCOPE_ID, SCOPE_ID_0,
    },
    ndis::NET_BUFFER_LIST,
};

use crate::{address, clone::ClonedNbl, layer::Family, nbl::NblRef};

/// What happens when an injection is over.
pub trait Completion: Send + 'static {
    /// The stack is done with the packet: the clone is freed and the original dereferenced. `status` is what became of it; anything but
    /// STATUS_SUCCESS means that the packet is lost. IRQL ≤ DISPATCH_LEVEL, on any thread, possibly before the injecting
    /// call has returned.
    fn completed(self, cx: &mut Cx, status: NtStatus);
}

/// Where a receive injection goes. The clone begins with an IP header and has one packet.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveTo {
    /// The address family.
    pub family: Family,
    /// The compartment, 0 if unspecified.
    pub compartment_id: u32,
    /// The interface the original arrived on.
    pub interface_index: u32,
    /// Its sub-interface.
    pub sub_interface_index: u32,
}

/// Where a send injection goes.
#[derive(Debug)]
pub struct SendTo {
    /// The address family.
    pub family: Family,
    /// The compartment, 0 if unspecified.
    pub compartment_id: u32,
    /// The endpoint, from the metadata.
    pub endpoint_handle: u64,
    /// How to send. Nothing only if the clone begins with an IP header.
    pub params: Option<SendParams>,
}

/// How to send a packet that begins with its transport header.
#[derive(Debug)]
pub struct SendParams {
    /// The remote address.
    pub remote: IpAddr,
    /// Its scope, 0 if there is none.
    pub remote_scope_id: u32,
    /// Socket control data, copied during the classify.
    pub control_data: Option<PoolBytes>,
}

/// Everything of one injection, at one address until the completion function is over. What the kernel is given points into it.
struct InFlight<K, C> {
    clone: ClonedNbl,
    original: Option<NblRef>,
    to: K,
    completion: C,
    send_args: FWPS_TRANSPORT_SEND_PARAMS0,
    /// The remote address in network order, 4 or 16 bytes of it.
    remote: [u8; 16],
}

// SAFETY: All members are Send but the raw pointers in `send_args`, which point into this very block.
unsafe impl<K: Send, C: Send> Send for InFlight<K, C> {}

/// An injection that has all it needs and has not been made.
pub struct Prepared<K, C> {
    block: PoolBox<InFlight<K, C>>,
}

/// Everything that goes into a [`Prepared`], or comes out of one.
#[derive(Debug)]
pub struct Parts<K, C> {
    /// The clone to inject.
    pub clone: ClonedNbl,
    /// The original, if it is to be kept until the injection is over (X9).
    pub original: Option<NblRef>,
    /// Where it goes.
    pub to: K,
    /// What happens then.
    pub completion: C,
}

impl<K, C> Prepared<K, C> {
    /// Puts everything into one block. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// Everything comes back in [`OutOfMemory`], which turns into STATUS_INSUFFICIENT_RESOURCES.
    pub fn try_new(
        clone: ClonedNbl,
        original: Option<NblRef>,
        to: K,
        completion: C,
    ) -> core::result::Result<Prepared<K, C>, OutOfMemory<Parts<K, C>>> {
        let block = InFlight {
            clone,
            original,
            to,
            completion,
            send_args: FWPS_TRANSPORT_SEND_PARAMS0::default(),
            remote: [0; 16],
        };
        match PoolBox::try_new(block) {
            Ok(block) => Ok(Prepared { block }),
            Err(OutOfMemory(block)) => Err(OutOfMemory(block.into_parts())),
        }
    }

    /// The clone, for completing a pended operation with it.
    #[must_use]
    pub fn nbl(&self) -> &ClonedNbl {
        &self.block.clone
    }

    /// Takes everything out.
    #[must_use]
    pub fn into_parts(self) -> Parts<K, C> {
        PoolBox::into_inner(self.block).into_parts()
    }
}

impl<K, C> InFlight<K, C> {
    fn into_parts(self) -> Parts<K, C> {
        Parts {
            clone: self.clone,
            original: self.original,
            to: self.to,
            completion: self.completion,
        }
    }
}

impl<K: fmt::Debug, C> fmt::Debug for Prepared<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("clone", &self.block.clone)
            .field("to", &self.block.to)
            .finish_non_exhaustive()
    }
}

/// An injection that was refused. The completion function is not called, and everything is the caller's again.
#[derive(Debug)]
pub struct InjectError<K, C> {
    /// Why.
    pub status: NtStatus,
    /// Everything.
    pub prepared: Prepared<K, C>,
}

/// An injection handle for the transport layers of both address families. Dropping it waits until every injection made through
/// it is over, and destroys it.
///
/// Drop at PASSIVE_LEVEL, and never from a completion, which would wait for itself.
pub struct InjectionHandle {
    handle: NonNull<c_void>,
}

// SAFETY: The handle may be used from any thread (A.1).
unsafe impl Send for InjectionHandle {}
// SAFETY: As above, by several threads at once.
unsafe impl Sync for InjectionHandle {}

impl InjectionHandle {
    /// Creates a handle. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// STATUS_FWP_TCPIP_NOT_READY early in the system's life: try later; otherwise what FwpsInjectionHandleCreate0 returned.
    pub fn create(passive: &Passive) -> Result<InjectionHandle> {
        let _ = passive;
        let mut handle = ptr::null_mut();
        // SAFETY: The handle's place is this function's own. AF_UNSPEC is allowed for transport. PASSIVE_LEVEL by the token.
        NtStatus(unsafe {
            FwpsInjectionHandleCreate0(AF_UNSPEC, FWPS_INJECTION_TYPE_TRANSPORT, &raw mut handle)
        })
        .check()?;
        Ok(InjectionHandle {
            handle: NonNull::new(handle).ok_or(NtStatus::UNSUCCESSFUL)?,
        })
    }

    /// Waits until every injection is over and destroys the handle. IRQL = PASSIVE_LEVEL.
    pub fn destroy(self, passive: &Passive) {
        let _ = passive;
        drop(self);
    }

    pub(crate) fn as_raw(&self) -> HANDLE {
        self.handle.as_ptr()
    }

    /// Injects into the receive path. Out of band by its type: a classify has no [`Passive`]. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// Nothing was injected, and everything comes back, once: STATUS_INVALID_PARAMETER if the list has not exactly one packet,
    /// which would stop the machine; otherwise what FwpsInjectTransportReceiveAsync0 returned.
    pub fn inject_receive<C: Completion>(
        &self,
        passive: &Passive,
        prepared: Prepared<ReceiveTo, C>,
    ) -> core::result::Result<(), InjectError<ReceiveTo, C>> {
        let _ = passive;
        if prepared.nbl().net_buffers() != 1 {
            return Err(InjectError {
                status: NtStatus::INVALID_PARAMETER,
                prepared,
            });
        }
        let to = prepared.block.to;
        launch(prepared, |nbl, block| {
            // SAFETY: The list is a clone that this driver owns, with one packet. The completion function is for a block of these
            // types, which stays where it is until it has run. PASSIVE_LEVEL by the token, no lock held.
            unsafe {
                FwpsInjectTransportReceiveAsync0(
                    self.as_raw(),
                    ptr::null_mut(),
                    ptr::null_mut(),
                    0,
                    to.family.address_family(),
                    to.compartment_id,
                    to.interface_index,
                    to.sub_interface_index,
                    nbl,
                    Some(complete::<ReceiveTo, C>),
                    block.as_ptr().cast(),
                )
            }
        })
    }

    /// Injects into the send path. Out of band by its type: a classify has no [`Passive`]. IRQL = PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// Nothing was injected, and everything comes back, once: STATUS_INVALID_PARAMETER if the remote address is not of the family;
    /// otherwise what FwpsInjectTransportSendAsync0 returned, for an endpoint that was closed among others.
    pub fn inject_send<C: Completion>(
        &self,
        passive: &Passive,
        mut prepared: Prepared<SendTo, C>,
    ) -> core::result::Result<(), InjectError<SendTo, C>> {
        let _ = passive;
        let SendTo {
            family,
            compartment_id,
            endpoint_handle,
            ref params,
        } = prepared.block.to;
        let described = match params {
            Some(params) if address::family(params.remote) != family => {
                Err(NtStatus::INVALID_PARAMETER)
            }
            Some(params) => describe(params).map(Some),
            None => Ok(None),
        };
        let with_args = match described {
            Ok(None) => false,
            Ok(Some((send_args, remote))) => {
                prepared.block.send_args = send_args;
                prepared.block.remote = remote;
                true
            }
            Err(status) => return Err(InjectError { status, prepared }),
        };
        launch(prepared, |nbl, block| {
            let send_args = if with_args {
                // SAFETY: The block was just taken out of its box and is nobody else's. The pointer to the address is the last thing
                // that is filled in, now that the block has its final address.
                unsafe {
                    let remote = (&raw mut (*block.as_ptr()).remote).cast::<u8>();
                    (*block.as_ptr()).send_args.remoteAddress = remote;
                    &raw mut (*block.as_ptr()).send_args
                }
            } else {
                ptr::null_mut()
            };
            // SAFETY: The list is a clone that this driver owns. What the arguments point to is in the block or owned by it, and stays
            // there until the completion function has run. The completion function is for a block of these types.
            // PASSIVE_LEVEL by the token, no lock held.
            unsafe {
                FwpsInjectTransportSendAsync0(
                    self.as_raw(),
                    ptr::null_mut(),
                    endpoint_handle,
                    0,
                    send_args,
                    family.address_family(),
                    compartment_id,
                    nbl,
                    Some(complete::<SendTo, C>),
                    block.as_ptr().cast(),
                )
            }
        })
    }
}

/// Send arguments, but for the pointer to the remote address, and that address in network order.
fn describe(params: &SendParams) -> Result<(FWPS_TRANSPORT_SEND_PARAMS0, [u8; 16])> {
    let (control_data, length) = match &params.control_data {
        Some(data) => (
            data.as_ptr_or_null(),
            u32::try_from(data.len()).map_err(|_| NtStatus::INVALID_PARAMETER)?,
        ),
        None => (ptr::null(), 0),
    };
    let send_args = FWPS_TRANSPORT_SEND_PARAMS0 {
        remoteAddress: ptr::null_mut(),
        remoteScopeId: SCOPE_ID {
            Anonymous: SCOPE_ID_0 {
                Value: params.remote_scope_id,
            },
        },
        // The bytes are owned by the block's `to` and do not move with it: they are in pool of their own. The stack reads them.
        controlData: control_data.cast_mut().cast(),
        controlDataLength: length,
    };
    Ok((send_args, address::octets(params.remote)))
}

/// Hands a block to the kernel, or takes it back.
fn launch<K, C>(
    prepared: Prepared<K, C>,
    call: impl FnOnce(*mut NET_BUFFER_LIST, NonNull<InFlight<K, C>>) -> i32,
) -> core::result::Result<(), InjectError<K, C>> {
    let nbl = prepared.nbl().as_ptr();
    // SAFETY: The pointer is given back to a box by the completion function, or below if that is not called.
    let block = unsafe { PoolBox::into_raw(prepared.block) };
    match NtStatus(call(nbl, block)).check() {
        // Everything is the completion function's, and may be gone already.
        Ok(()) => Ok(()),
        Err(status) => {
            // SAFETY: Any other status than success means that the completion function is not called, so the block is ours
            // again.
            let block = unsafe { PoolBox::from_raw(block) };
            Err(InjectError {
                status,
                prepared: Prepared { block },
            })
        }
    }
}

/// The completion function of every injection.
unsafe extern "system" fn complete<K, C: Completion>(
    context: *mut c_void,
    nbl: *mut NET_BUFFER_LIST,
    _dispatch_level: BOOLEAN,
) {
    let Some(block) = NonNull::new(context.cast::<InFlight<K, C>>()) else {
        return;
    };
    // SAFETY: The kernel hands over what a successful injection gave it, once, to the function of the same types.
    let parts = PoolBox::into_inner(unsafe { PoolBox::from_raw(block) }).into_parts();
    // SAFETY: The list is the clone, which is ours again and is freed below.
    let status = NtStatus(unsafe { (*nbl).Status });
    let Parts {
        clone,
        original,
        to,
        completion,
    } = parts;
    // The clone first: the original outlives it, although the platform would see to that itself.
    drop(clone);
    drop(original);
    drop(to);
    // SAFETY: The stack calls at IRQL ≤ DISPATCH_LEVEL, and if it calls within the injecting call, that was made without a lock:
    // the token it took says so.
    let mut cx = unsafe { Cx::assume() };
    completion.completed(&mut cx, status);
}

impl Drop for InjectionHandle {
    fn drop(&mut self) {
        require_passive();
        // SAFETY: The handle was created by `create` and is destroyed once. PASSIVE_LEVEL was looked at above, so no lock is held.
        let status = NtStatus(unsafe { FwpsInjectionHandleDestroy0(self.handle.as_ptr()) });
        if let Err(status) = status.check() {
            // Completions may still come, into an image that is about to go.
            bug_check(
                Reason::InjectionHandleLeft,
                usize::try_from(status.bits()).unwrap_or(usize::MAX),
                0,
            );
        }
    }
}

impl fmt::Debug for InjectionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InjectionHandle")
    }
}
