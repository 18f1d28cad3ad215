//! What has become of a net buffer list so far, for the rules that look back.

use crate::machine::Time;
use crate::nt::NtStatus;
use crate::nt::status;

/// Where things are in the first buffer of a received original, in bytes from the start of its MDL chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The IP header.
    pub ip_start: u32,
    /// From there to the transport header: AH, ESP and extension headers included.
    pub ip_header: u32,
}

/// How the stack moved the data of a packet that a callout had absorbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// To the transport header, to audit the drop.
    Audit,
    /// By a number that means nothing.
    Odd,
}

/// The past of one list. A clone takes over what its original's clones inherit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// Since when the driver has held it: by its first reference, or because it made it.
    pub held_since: Option<Time>,
    /// Of a received original and of its clones.
    pub layout: Option<Layout>,
    /// Of a clone: where its original's data began when it was made.
    pub begins_at: Option<u32>,
    /// Whether and how the stack moved it; inherited.
    pub moved: Option<Moved>,
    /// A retreat of it failed, and no other was made since; inherited.
    pub retreat_failed: bool,
    /// Its classify could not be pended.
    pub pend_failed: bool,
    /// FwpsGetPacketListSecurityInformation0 failed for it; inherited.
    pub security_unknown: bool,
    /// It came in a tunnel and still has its outer header.
    pub in_tunnel: bool,
    /// The stack's receive path made it; of an original only, whose chain is to stay what it is.
    pub received: bool,
    /// A header was made for it.
    pub rebuilt: bool,
    /// An injection of it was refused.
    pub refused: bool,
    /// What its last injection was completed with.
    pub completed: Option<NtStatus>,
    /// A classify let it pass while a clone of it was there.
    pub passed_with_clones: bool,
    /// A clone of it was freed that had not been injected.
    pub clone_given_up: bool,
}

impl Past {
    /// The past of a clone that is made now.
    pub fn of_clone(&self, now: Time, begins_at: Option<u32>) -> Self {
        Self {
            held_since: Some(now),
            layout: self.layout,
            begins_at,
            moved: self.moved,
            retreat_failed: self.retreat_failed,
            security_unknown: self.security_unknown,
            ..Self::default()
        }
    }

    /// The rule by which a clone of the driver's is to be freed, as far as it has come.
    pub fn who_frees(&self) -> &'static str {
        match self.completed {
            // Whatever came of the injection, the completion function has the clone.
            Some(status::SUCCESS) => "A-42",
            Some(status::INVALID_HANDLE) => "A-53",
            Some(_) => "A-59",
            None if self.refused => "A-42",
            None => "A-39",
        }
    }

    /// Whether a clone's data began with the IP header of a received packet when it was made; `None` if nobody knows.
    pub fn begins_with_ip_header(&self) -> Option<bool> {
        Some(self.begins_at? == self.layout?.ip_start)
    }
}
