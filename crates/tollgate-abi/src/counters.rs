//! The counters: one list, from which come the names, the texts, the groups and the wire form.

use core::fmt;

/// What a counter is about. The groups make sums that must agree; see [`Counters::disagreement`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Calls of classifyFn, by layer.
    Classified,
    /// Classified and permitted untouched, without asking the policy, because the packet is not ours to judge.
    Left,
    /// The policy was asked during the classify, because the packet could not be held.
    Inline,
    /// What the policy said to those in [`Group::Inline`].
    InlineVerdict,
    /// A reauthorization answered with the decision its own pended connect had got.
    Answered,
    /// Held until the worker decides.
    Held,
    /// To be pended, but the pend failed: blocked.
    Refused,
    /// Held, permitted, and given back to the stack.
    Reinjected,
    /// Held and blocked by the policy.
    Blocked,
    /// Held and lost for a reason that is not the policy's.
    Dropped,
    /// Clones whose IP header was built anew before they were injected, by reason.
    Rebuilt,
    /// Injections whose completion function has run.
    Completed,
    /// Events worth knowing that are not a fate of a packet.
    Event,
}

impl Group {
    /// The group's name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Group::Classified => "classified",
            Group::Left => "left",
            Group::Inline => "inline",
            Group::InlineVerdict => "inline_verdict",
            Group::Answered => "answered",
            Group::Held => "held",
            Group::Refused => "refused",
            Group::Reinjected => "reinjected",
            Group::Blocked => "blocked",
            Group::Dropped => "dropped",
            Group::Rebuilt => "rebuilt",
            Group::Completed => "completed",
            Group::Event => "event",
        }
    }
}

macro_rules! counters {
    ($( $(#[doc = $text:literal])+ $group:ident $variant:ident $name:literal, )+) => {
        /// One counter. Its place in this list is its index in [`Counters`]; new ones are appended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum Counter {
            $( $(#[doc = $text])+ $variant, )+
        }

        impl Counter {
            /// Every counter, in the order of the wire form.
            pub const ALL: &'static [Counter] = &[ $( Counter::$variant, )+ ];

            /// The counter's name, in snake case: what reports and JSON print.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Counter::$variant => $name, )+ }
            }

            /// What the counter counts, in a sentence or two.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $( Counter::$variant => concat!($($text, " "),+).trim_ascii(), )+ }
            }

            /// The group the counter belongs to.
            #[must_use]
            pub const fn group(self) -> Group {
                match self { $( Counter::$variant => Group::$group, )+ }
            }
        }
    };
}

counters! {
    /// classifyFn calls at INBOUND_TRANSPORT.
    Classified ClassifiedInboundTransport "classified_inbound_transport",
    /// classifyFn calls at OUTBOUND_TRANSPORT.
    Classified ClassifiedOutboundTransport "classified_outbound_transport",
    /// classifyFn calls at ALE_AUTH_RECV_ACCEPT.
    Classified ClassifiedRecvAccept "classified_recv_accept",
    /// classifyFn calls at ALE_AUTH_CONNECT.
    Classified ClassifiedConnect "classified_connect",

    /// Injected by this driver, now or earlier.
    Left LeftSelfInjected "left_self_injected",
    /// At INBOUND_TRANSPORT, to be authorized at ALE, where it is decided.
    Left LeftAleClassifyRequired "left_ale_classify_required",
    /// IPsec tunnel mode, not yet detunneled: the inner packet is classified later.
    Left LeftTunnelNotDetunneled "left_tunnel_not_detunneled",

    /// Another callout's decision stands and the right to write the action is gone: only a veto is possible.
    Inline InlineNoWriteRight "inline_no_write_right",
    /// The classify carries no packet.
    Inline InlineNoPacket "inline_no_packet",
    /// Whether IPsec protected the packet could not be learned, so its header could not be trusted.
    Inline InlineSecurityUnknown "inline_security_unknown",
    /// Inbound loopback, whose receive injection the stack refuses; its outbound half is what is held.
    Inline InlineLoopback "inline_loopback",
    /// A fragment that is not reassembled: the stack refuses it when injected.
    Inline InlineFragment "inline_fragment",
    /// The size of the IP header is not told, or not a possible one.
    Inline InlineIpHeaderSize "inline_ip_header_size",
    /// The size of the transport header is not told.
    Inline InlineTransportHeaderSize "inline_transport_header_size",
    /// The interface to inject at is not told.
    Inline InlineInterface "inline_interface",
    /// Inbound with several NET_BUFFERs, which must never be receive-injected, or several lists in a chain.
    Inline InlineSeveralNetBuffers "inline_several_net_buffers",
    /// Less memory before the packet's data than its headers need (B-04).
    Inline InlineHeadersOutOfReach "inline_headers_out_of_reach",
    /// A packet without a transport endpoint, as the stack's own resets: it cannot be send-injected.
    Inline InlineEndpoint "inline_endpoint",
    /// An address or the protocol that an injection needs is not told, or not of the layer's family.
    Inline InlineAddress "inline_address",
    /// A raw header that is not told, or that would have to be shared by several NET_BUFFERs.
    Inline InlineRawHeader "inline_raw_header",
    /// No completion handle, without which nothing can be pended.
    Inline InlineCompletionHandle "inline_completion_handle",
    /// A reauthorization that cannot be pended and carries no packet that could be held.
    Inline InlineReauthorize "inline_reauthorize",
    /// The packet's direction is not the one the layer's packets have.
    Inline InlineDirection "inline_direction",
    /// The queue has as many packets as it may.
    Inline InlineQueueCount "inline_queue_count",
    /// The queue has as many bytes as it may.
    Inline InlineQueueBytes "inline_queue_bytes",
    /// The driver is being unloaded and holds nothing more.
    Inline InlineClosing "inline_closing",
    /// No memory to hold the packet with.
    Inline InlineNoMemory "inline_no_memory",

    /// Asked during the classify: permitted.
    InlineVerdict InlinePermitted "inline_permitted",
    /// Asked during the classify: blocked.
    InlineVerdict InlineBlocked "inline_blocked",

    /// The reauthorization of a pended connect found the decision: permit.
    Answered AnsweredPermitted "answered_permitted",
    /// The reauthorization of a pended connect found the decision: block.
    Answered AnsweredBlocked "answered_blocked",

    /// Packets held at INBOUND_TRANSPORT.
    Held HeldInboundTransport "held_inbound_transport",
    /// Packets held at OUTBOUND_TRANSPORT.
    Held HeldOutboundTransport "held_outbound_transport",
    /// First classifies pended at ALE_AUTH_RECV_ACCEPT, with their packet.
    Held HeldRecvAccept "held_recv_accept",
    /// Inbound packets of a reauthorization held at ALE_AUTH_RECV_ACCEPT (A-76b).
    Held HeldRecvAcceptReauthorizeInbound "held_recv_accept_reauthorize_inbound",
    /// Outbound packets of a reauthorization held at ALE_AUTH_RECV_ACCEPT (A-76b).
    Held HeldRecvAcceptReauthorizeOutbound "held_recv_accept_reauthorize_outbound",
    /// First classifies pended at ALE_AUTH_CONNECT without a packet.
    Held HeldConnect "held_connect",
    /// First classifies pended at ALE_AUTH_CONNECT with their first datagram.
    Held HeldConnectDatagram "held_connect_datagram",

    /// FwpsPendOperation0 said STATUS_FWP_CANNOT_PEND.
    Refused RefusedCannotPend "refused_cannot_pend",
    /// FwpsPendOperation0 said STATUS_FWP_TCPIP_NOT_READY.
    Refused RefusedNotReady "refused_not_ready",
    /// FwpsPendOperation0 failed with another status.
    Refused RefusedOther "refused_other",

    /// Accepted by FwpsInjectTransportReceiveAsync0.
    Reinjected ReinjectedReceive "reinjected_receive",
    /// Accepted by FwpsInjectTransportSendAsync0.
    Reinjected ReinjectedSend "reinjected_send",
    /// Pended connects without a packet that were completed and permitted: there is nothing to inject.
    Reinjected ReinjectedNothing "reinjected_nothing",

    /// Inbound packets blocked by the policy after they were held.
    Blocked BlockedInbound "blocked_inbound",
    /// Outbound packets blocked by the policy after they were held.
    Blocked BlockedOutbound "blocked_outbound",
    /// Pended inbound connections blocked by the policy.
    Blocked BlockedRecvAccept "blocked_recv_accept",
    /// Pended outbound connections blocked by the policy.
    Blocked BlockedConnect "blocked_connect",

    /// Held longer than a packet may be. A pended connection is denied.
    Dropped DroppedAge "dropped_age",
    /// The packet's data offset changed by something other than the stack's own retreat.
    Dropped DroppedOffset "dropped_offset",
    /// The packet could not be retreated to the start of its IP header.
    Dropped DroppedRetreat "dropped_retreat",
    /// No clone could be made.
    Dropped DroppedClone "dropped_clone",
    /// The clone has not the header that is to be checked, or is not a packet that may be injected.
    Dropped DroppedHeader "dropped_header",
    /// The IP header could not be rebuilt.
    Dropped DroppedRebuild "dropped_rebuild",
    /// A raw header could not be put before the clone.
    Dropped DroppedRawHeader "dropped_raw_header",
    /// No memory for the injection's own block.
    Dropped DroppedMemory "dropped_memory",
    /// FwpsInjectTransportReceiveAsync0 failed.
    Dropped DroppedInjectReceive "dropped_inject_receive",
    /// FwpsInjectTransportSendAsync0 failed, for instance because the socket was closed meanwhile.
    Dropped DroppedInjectSend "dropped_inject_send",

    /// IPsec protected the packet: AH, ESP and extension headers were taken out.
    Rebuilt RebuiltIpsec "rebuilt_ipsec",
    /// The packet was reassembled from fragments.
    Rebuilt RebuiltReassembled "rebuilt_reassembled",
    /// The IPv4 header's checksum was wrong, with no flag that said why.
    Rebuilt RebuiltChecksum "rebuilt_checksum",

    /// Injections completed with success.
    Completed CompletedSuccess "completed_success",
    /// Injections completed with STATUS_DATA_NOT_ACCEPTED: the stack refused the packet.
    Completed CompletedNotAccepted "completed_not_accepted",
    /// Injections completed with another failure: the packet is lost.
    Completed CompletedFailure "completed_failure",

    /// The stack had retreated the packet to its transport header after the classify.
    Event StackRetreated "stack_retreated",
    /// A pended connect was completed and no reauthorization asked for its decision meanwhile.
    Event ReauthorizeMissing "reauthorize_missing",
    /// The filter engine's objects were added, at load or after the base filtering engine came up.
    Event EngineAdded "engine_added",
    /// The filter engine's objects could not be added.
    Event EngineFailed "engine_failed",

    /// AH or ESP that IPsec did not open: it may not be injected to the transport layer, nor rebuilt.
    Inline InlineUnopened "inline_unopened",
}

impl Counter {
    /// How many counters there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The counter's place in [`Counter::ALL`] and in the wire form.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The counter of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Counter> {
        Self::ALL
            .iter()
            .copied()
            .find(|counter| counter.name() == name)
    }
}

/// A copy of every counter: the reply to [`IOCTL_TOLLGATE_COUNTERS`](crate::IOCTL_TOLLGATE_COUNTERS).
///
/// On the wire: [`VERSION`](crate::VERSION) as a u32, the number of values as a u32, then the values, each a u64,
/// in the order of [`Counter::ALL`].
///
/// Each value is read on its own while others change, so sums agree exactly only when no packet is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Counters {
    /// [`VERSION`](crate::VERSION) of the driver that answered.
    pub version: u32,
    /// How many values follow.
    pub count: u32,
    /// The values, by [`Counter::index`].
    pub values: [u64; Counter::COUNT],
}

/// Why bytes are not a [`Counters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountersError {
    /// Fewer bytes than the header, or than the header says.
    Truncated,
    /// A version whose values mean something else.
    Version(u32),
}

impl fmt::Display for CountersError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CountersError::Truncated => formatter.write_str("the reply is shorter than it says"),
            CountersError::Version(version) => {
                write!(
                    formatter,
                    "the reply has version {version}, not {}",
                    crate::VERSION
                )
            }
        }
    }
}

impl core::error::Error for CountersError {}

/// Two sums that must be equal and are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// What the two sums are.
    pub what: &'static str,
    /// The first sum.
    pub left: u64,
    /// The second sum.
    pub right: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            version: crate::VERSION,
            count: Self::COUNT_ON_WIRE,
            values: [0; Counter::COUNT],
        }
    }
}

impl Counters {
    /// Bytes of the wire form.
    pub const SIZE: usize = size_of::<Self>();

    /// Bytes of the wire form before the values.
    const HEADER: usize = 8;

    /// [`Counter::COUNT`] as the wire form has it.
    const COUNT_ON_WIRE: u32 = Counter::COUNT as u32;

    /// The value of one counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.values.get(counter.index()).copied().unwrap_or(0)
    }

    /// Sets the value of one counter.
    pub fn set(&mut self, counter: Counter, value: u64) {
        if let Some(place) = self.values.get_mut(counter.index()) {
            *place = value;
        }
    }

    /// The sum of a group, saturating.
    #[must_use]
    pub fn sum(&self, group: Group) -> u64 {
        Counter::ALL
            .iter()
            .filter(|counter| counter.group() == group)
            .fold(0, |sum: u64, counter| {
                sum.saturating_add(self.get(*counter))
            })
    }

    /// Each counter with its value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL
            .iter()
            .map(|counter| (*counter, self.get(*counter)))
    }

    /// The first pair of sums that must agree, once nothing is on its way any more, and do not.
    ///
    /// Every classify has exactly one answer, every inline answer exactly one verdict, everything held exactly
    /// one end, and everything injected exactly one completion.
    #[must_use]
    pub fn disagreement(&self) -> Option<Disagreement> {
        let sum = |groups: &[Group]| {
            groups
                .iter()
                .fold(0, |sum: u64, group| sum.saturating_add(self.sum(*group)))
        };
        let injected = self
            .get(Counter::ReinjectedReceive)
            .saturating_add(self.get(Counter::ReinjectedSend));
        [
            Disagreement {
                what: "classified = left + inline + answered + held + refused",
                left: sum(&[Group::Classified]),
                right: sum(&[
                    Group::Left,
                    Group::Inline,
                    Group::Answered,
                    Group::Held,
                    Group::Refused,
                ]),
            },
            Disagreement {
                what: "inline = inline_permitted + inline_blocked",
                left: sum(&[Group::Inline]),
                right: sum(&[Group::InlineVerdict]),
            },
            Disagreement {
                what: "held = reinjected + blocked + dropped",
                left: sum(&[Group::Held]),
                right: sum(&[Group::Reinjected, Group::Blocked, Group::Dropped]),
            },
            Disagreement {
                what: "reinjected_receive + reinjected_send = completed",
                left: injected,
                right: sum(&[Group::Completed]),
            },
        ]
        .into_iter()
        .find(|pair| pair.left != pair.right)
    }

    /// Writes the wire form at the start of `buffer` and returns how many bytes that was; nothing is written and
    /// `None` returned when the buffer is shorter than [`Counters::SIZE`].
    #[must_use]
    pub fn write_to(&self, buffer: &mut [u8]) -> Option<usize> {
        let (head, values) = buffer
            .get_mut(..Self::SIZE)?
            .split_at_mut_checked(Self::HEADER)?;
        let (version, count) = head.split_at_mut_checked(4)?;
        version.copy_from_slice(&self.version.to_le_bytes());
        count.copy_from_slice(&self.count.to_le_bytes());
        for (place, value) in values.chunks_exact_mut(8).zip(&self.values) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        Some(Self::SIZE)
    }

    /// Reads the wire form. Values this build has no name for are skipped; those it has a name for and the
    /// driver did not send are zero.
    pub fn read_from(bytes: &[u8]) -> Result<Self, CountersError> {
        let word = |at: usize| -> Result<u32, CountersError> {
            let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
            bytes
                .map(|bytes| u32::from_le_bytes(*bytes))
                .ok_or(CountersError::Truncated)
        };
        let (version, count) = (word(0)?, word(4)?);
        if version != crate::VERSION {
            return Err(CountersError::Version(version));
        }
        let mut read = Self {
            version,
            count,
            ..Self::default()
        };
        let sent = usize::try_from(count).map_err(|_| CountersError::Truncated)?;
        let values = bytes
            .get(Self::HEADER..)
            .ok_or(CountersError::Truncated)?
            .as_chunks::<8>()
            .0;
        let values = values.get(..sent).ok_or(CountersError::Truncated)?;
        for (place, value) in read.values.iter_mut().zip(values) {
            *place = u64::from_le_bytes(*value);
        }
        Ok(read)
    }
}

const _: () = assert!(
    Counters::SIZE == 8 + 8 * Counter::COUNT,
    "no padding on the wire"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered() -> Counters {
        let mut counters = Counters::default();
        for counter in Counter::ALL {
            counters.set(*counter, 1000 + counter.index() as u64);
        }
        counters
    }

    #[test]
    fn every_counter_is_at_its_own_index_and_has_its_own_name() {
        for (index, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(counter.index(), index);
            assert_eq!(
                Counter::from_name(counter.name()),
                Some(*counter),
                "{}",
                counter.name()
            );
            assert!(
                counter.text().ends_with('.'),
                "{} has no text",
                counter.name()
            );
        }
    }

    #[test]
    fn names_are_snake_case_of_the_variants() {
        for counter in Counter::ALL {
            let mut expected = [0_u8; 64];
            let mut length = 0;
            let mut put = |byte: u8| {
                expected[length] = byte;
                length += 1;
            };
            struct Sink<'a>(&'a mut dyn FnMut(u8));
            impl fmt::Write for Sink<'_> {
                fn write_str(&mut self, text: &str) -> fmt::Result {
                    for (at, byte) in text.bytes().enumerate() {
                        if byte.is_ascii_uppercase() && at > 0 {
                            (self.0)(b'_');
                        }
                        (self.0)(byte.to_ascii_lowercase());
                    }
                    Ok(())
                }
            }
            fmt::write(&mut Sink(&mut put), format_args!("{counter:?}"))
                .expect("the sink never fails");
            assert_eq!(
                core::str::from_utf8(&expected[..length]),
                Ok(counter.name())
            );
        }
    }

    #[test]
    fn names_begin_with_what_their_group_says() {
        for counter in Counter::ALL {
            let prefix = match counter.group() {
                Group::InlineVerdict => "inline",
                Group::Event => continue,
                group => group.name(),
            };
            assert!(counter.name().starts_with(prefix), "{}", counter.name());
        }
    }

    #[test]
    fn a_reply_reads_back_as_it_was_written() {
        let mut buffer = [0xaa; Counters::SIZE + 3];
        assert_eq!(numbered().write_to(&mut buffer), Some(Counters::SIZE));
        assert_eq!(
            buffer[Counters::SIZE..],
            [0xaa; 3],
            "nothing past the end is written"
        );
        assert_eq!(Counters::read_from(&buffer), Ok(numbered()));
    }

    #[test]
    fn a_buffer_one_byte_short_is_left_alone() {
        let mut buffer = [0xaa; Counters::SIZE - 1];
        assert_eq!(numbered().write_to(&mut buffer), None);
        assert_eq!(buffer, [0xaa; Counters::SIZE - 1]);
        assert_eq!(
            Counters::read_from(&buffer[..7]),
            Err(CountersError::Truncated)
        );
    }

    #[test]
    fn every_shorter_reply_is_refused() {
        let mut buffer = [0; Counters::SIZE];
        numbered()
            .write_to(&mut buffer)
            .expect("the buffer is as long as it must be");
        for length in 0..Counters::SIZE {
            assert_eq!(
                Counters::read_from(&buffer[..length]),
                Err(CountersError::Truncated),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn a_driver_with_fewer_or_more_counters_is_still_read() {
        let mut buffer = [0; Counters::SIZE + 8];
        numbered()
            .write_to(&mut buffer)
            .expect("the buffer is long enough");
        buffer[4..8].copy_from_slice(&2_u32.to_le_bytes());
        let older = Counters::read_from(&buffer).expect("two counters are there");
        assert_eq!(older.values[..3], [1000, 1001, 0]);

        buffer[4..8].copy_from_slice(&(Counter::COUNT as u32 + 1).to_le_bytes());
        assert_eq!(
            Counters::read_from(&buffer)
                .expect("one more than we know")
                .values,
            numbered().values
        );
    }

    #[test]
    fn another_version_is_not_read() {
        let mut buffer = [0; Counters::SIZE];
        numbered()
            .write_to(&mut buffer)
            .expect("the buffer is as long as it must be");
        buffer[0] = 2;
        assert_eq!(Counters::read_from(&buffer), Err(CountersError::Version(2)));
    }

    #[test]
    fn sums_that_agree_are_not_reported_and_each_that_does_not_is() {
        let mut counters = Counters::default();
        let steps = [
            Counter::ClassifiedInboundTransport,
            Counter::HeldInboundTransport,
            Counter::ReinjectedReceive,
        ];
        for counter in steps {
            counters.set(counter, 1);
            assert!(
                counters.disagreement().is_some(),
                "{} is not the end of the story",
                counter.name()
            );
        }
        counters.set(Counter::CompletedSuccess, 1);
        assert_eq!(counters.disagreement(), None);
        counters.set(Counter::ClassifiedConnect, 1);
        counters.set(Counter::InlineNoPacket, 1);
        let pair = counters
            .disagreement()
            .expect("an inline answer without a verdict");
        assert_eq!((pair.left, pair.right), (1, 0));
        counters.set(Counter::InlineBlocked, 1);
        assert_eq!(counters.disagreement(), None);
    }
}
