//! What a machine is like, and how much freedom the seed has.

/// The settings of one machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Decides every choice that Windows leaves open.
    pub seed: u64,
    /// Processors, 1 to 8.
    pub processors: u8,
    /// In how many of a hundred kernel calls another thread is let run first.
    pub preempt: u8,
    /// Whether another thread is let run too when a call has let something go (a lock, a level, memory, a waiting thread) and
    /// returns.
    pub behind: bool,
    /// How long a driver may hold a packet of the stack's or a pended operation; for ever if `None`.
    pub held_too_long: Option<super::Time>,
    /// How memory is guarded.
    pub guards: Guards,
    /// Where Windows has freedom.
    pub freedom: Freedom,
    /// Which call fails.
    pub faults: Faults,
    /// Cuts every packet into two MDLs at this byte, if it has as many.
    pub cut_at: Option<usize>,
    /// Metadata fields that no classify has: bits of `currentMetadataValues`.
    pub hidden_metadata: u32,
    /// Which edge of its pages a block of pool stands at.
    pub pool: SpecialPool,
    /// Keep the stack of everything that happens to an object, for reports. Dear: for a run that is known to go wrong.
    pub event_stacks: bool,
    /// How long a driver may hold a packet or a clone, in units of 100 ns, before that is reported. The platform names no
    /// number.
    pub hold_limit: u64,
    /// Another driver permits everything at every layer and takes the right to write away.
    pub hard_permit: bool,
    /// Connections are authorized again without the right to write.
    pub reauthorize_without_right: bool,
    /// What a classify does not tell (absent metadata, the value of an empty field) reads as garbage and not as zero.
    pub garbage: bool,
}

impl Config {
    /// The usual machine: four processors, all freedoms, no faults.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            processors: 4,
            preempt: 30,
            behind: false,
            held_too_long: None,
            guards: Guards::Pages,
            freedom: Freedom::all(),
            faults: Faults::default(),
            cut_at: None,
            hidden_metadata: 0,
            pool: SpecialPool::Either,
            event_stacks: false,
            hold_limit: 10_000_000,
            hard_permit: false,
            reauthorize_without_right: false,
            garbage: true,
        }
    }

    /// A machine whose every choice is the plainest one: no preemption, no freedom. Tests that tell one story use it.
    pub fn plain() -> Self {
        Self {
            preempt: 0,
            freedom: Freedom::none(),
            pool: SpecialPool::VerifyEnd,
            garbage: false,
            ..Self::new(0)
        }
    }
}

/// The alignments of Driver Verifier's special pool. Either finds a touch beyond its edge at once, and one beyond the other
/// edge when the block is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialPool {
    /// A block ends where its pages end: overruns fault.
    VerifyEnd,
    /// A block begins where its pages begin: underruns fault.
    VerifyStart,
    /// The seed chooses for each block.
    Either,
}

/// How memory is guarded, and how much is remembered of each object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guards {
    /// Each block has pages of its own, and any touch beside it or after its end is a fault; every object has its history.
    Pages,
    /// Blocks lie together, with zones between that are looked at afterwards, and nothing is remembered for reports. Many
    /// times faster, and blind to reads of what is gone: for runs by the thousand that are made again if anything is odd.
    Zones,
}

/// How often, in percent, each thing happens that Windows may do and a driver must stand.
#[derive(Clone, Debug)]
pub struct Freedom {
    /// The stack retreats a received NBL by its transport header after the classify absorbed it.
    pub audit_retreat: u8,
    /// Instead of that, the stack retreats it by a number of bytes that means nothing; only tests ask for this.
    pub odd_retreat: u8,
    /// An injection's completion runs before the injecting call returns.
    pub inline_completion: u8,
    /// An injection's completion comes long after the stack is done with the packet: seconds later, or when the injection
    /// handle is destroyed. Only the conformance suite and tests ask for this.
    pub late_completion: u8,
    /// The stack drops an injected packet, and its completion says so. Only the conformance suite and tests ask for this.
    pub failed_injection: u8,
    /// A packet's bytes are spread over more than one MDL, cut anywhere.
    pub split_mdls: u8,
    /// Several outbound packets of one flow share one NBL.
    pub batch_sends: u8,
    /// Policy changes before a packet, so that its flow is authorized again.
    pub reauthorize: u8,
    /// A received packet has no room before its IP header, where a link header would be.
    pub no_headroom: u8,
    /// The MDLs of a packet are not mapped: whoever reads through them has to map them, which can fail (B-06).
    pub unmapped_mdls: u8,
    /// The bytes of a packet that the driver has taken are elsewhere when its classify has returned.
    pub moved_bytes: u8,
    /// Unregistering a callout answers STATUS_DEVICE_BUSY while a classify is in progress, instead of waiting.
    pub busy_unregister: u8,
    /// A connection is authorized again with its local address and port empty; only tests ask for this.
    pub empty_when_reauthorized: u8,
    /// A callout is not told that a filter of its was deleted; only tests ask for this.
    pub lost_notification: u8,
}

impl Freedom {
    /// Everything happens sometimes.
    pub fn all() -> Self {
        Self {
            audit_retreat: 40,
            odd_retreat: 0,
            inline_completion: 30,
            // Switched off, so that a seed means what it meant before there were these two.
            late_completion: 0,
            failed_injection: 0,
            split_mdls: 40,
            batch_sends: 40,
            reauthorize: 5,
            no_headroom: 30,
            unmapped_mdls: 30,
            moved_bytes: 30,
            busy_unregister: 50,
            empty_when_reauthorized: 0,
            lost_notification: 0,
        }
    }

    /// Nothing happens.
    pub fn none() -> Self {
        Self {
            audit_retreat: 0,
            odd_retreat: 0,
            inline_completion: 0,
            late_completion: 0,
            failed_injection: 0,
            split_mdls: 0,
            batch_sends: 0,
            reauthorize: 0,
            no_headroom: 0,
            unmapped_mdls: 0,
            moved_bytes: 0,
            busy_unregister: 0,
            empty_when_reauthorized: 0,
            lost_notification: 0,
        }
    }
}

/// Which fallible calls fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Fails the k-th fallible call, counted from 1 over all fallible functions, or over those named below.
    pub fail_call: Option<u64>,
    /// How many calls fail from the k-th on; 0 reads as 1.
    pub count: u64,
    /// Another call that fails, counted in the same way.
    pub second: Option<u64>,
    /// If not empty, only these functions count.
    pub functions: Vec<&'static str>,
}
