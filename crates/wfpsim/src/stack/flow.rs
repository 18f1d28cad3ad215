//! Flows: what ALE remembers of who may talk to whom.

use std::net::IpAddr;

use wfp_sys::consts;
use wfpsim_packet::IpPacket;
use wfpsim_packet::Transport;
use wfpsim_packet::transport::Header;

use crate::machine::Kernel;

/// ICMP.
pub(super) const ICMP: u8 = 1;
/// TCP.
pub(super) const TCP: u8 = 6;
/// UDP.
pub(super) const UDP: u8 = 17;
/// ICMPv6.
pub(super) const ICMPV6: u8 = 58;

/// What makes a flow: from the host's side, ports in host order; for ICMP the echo identifier or the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub protocol: u8,
    pub local: IpAddr,
    pub remote: IpAddr,
    pub local_port: u16,
    pub remote_port: u16,
}

impl Key {
    /// Stands for the flow where a step says what it concerns.
    pub fn object(&self) -> usize {
        use std::hash::Hash;
        use std::hash::Hasher;
        let mut hasher = std::hash::DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish() as usize | 1 << 63
    }
}

/// Who began a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A peer connected: authorized at RECV_ACCEPT.
    Server,
    /// This host connected: authorized at CONNECT.
    Client,
}

/// Where a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The first send is on its way down.
    Requested,
    /// The connect is being classified or pended.
    Connecting,
    /// Packets pass.
    Authorized,
    /// To be authorized again at the next packet, for this FWP_CONDITION_REAUTHORIZE_REASON_*.
    Reauthorize(u32),
    /// The connect was refused; whoever waited for it takes the flow away.
    Refused,
}

impl State {
    /// Why a packet of a flow in this state is to be authorized.
    pub fn reason(self) -> u32 {
        match self {
            Self::Reauthorize(reason) => reason,
            _ => consts::FWP_CONDITION_REAUTHORIZE_REASON_POLICY_CHANGE,
        }
    }
}

/// One flow.
pub(super) struct Flow {
    pub role: Role,
    pub state: State,
    /// The transport endpoint's handle.
    pub endpoint: u64,
    /// Whether FLOW_ESTABLISHED was told, or it was set up before anybody could be.
    pub established: bool,
}

/// What the stack reads from a packet's headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub key: Key,
    /// What goes into the port fields of a classify: ports, or ICMP type and code.
    pub fields: (u16, u16),
    /// From the IP header to the transport header.
    pub ip_header: usize,
    /// The transport header.
    pub transport_header: usize,
    /// SYN without ACK.
    pub connects: bool,
    /// RST.
    pub resets: bool,
    /// ICMP error message, which belongs to the flow it quotes.
    pub error: bool,
}

impl Shape {
    /// Reads a whole IP packet without IPsec. `inbound` says which side is local.
    pub fn of(packet: &[u8], inbound: bool) -> Result<Self, &'static str> {
        let ip = IpPacket::parse(packet).map_err(|error| error.reason())?;
        let transport = Transport::parse(&ip).map_err(|error| error.reason())?;
        let (local, remote) = if inbound {
            (ip.destination(), ip.source())
        } else {
            (ip.source(), ip.destination())
        };
        let swap = |(source, destination): (u16, u16)| {
            if inbound {
                (destination, source)
            } else {
                (source, destination)
            }
        };
        let (ports, fields) = match transport.header {
            Header::Tcp(_) | Header::Udp { .. } => {
                let ports = swap(transport.ports().unwrap_or_default());
                (ports, ports)
            }
            Header::Icmp(icmp) => {
                let number = icmp
                    .id_and_sequence
                    .map_or(u16::from(icmp.icmp_type), |(id, _)| id);
                (
                    (number, u16::from(icmp.id_and_sequence.is_some())),
                    (u16::from(icmp.icmp_type), u16::from(icmp.code)),
                )
            }
            Header::Other => ((0, 0), (0, 0)),
        };
        let tcp = transport.tcp();
        Ok(Self {
            key: Key {
                protocol: transport.protocol,
                local,
                remote,
                local_port: ports.0,
                remote_port: ports.1,
            },
            fields,
            ip_header: ip.header_len(),
            transport_header: transport.header_len,
            connects: tcp.is_some_and(|tcp| tcp.flags.is_connect()),
            resets: tcp
                .is_some_and(|tcp| tcp.flags.contains(wfpsim_packet::transport::TcpFlags::RST)),
            error: transport.icmp_header().is_some_and(|icmp| icmp.is_error),
        })
    }

    /// Whether the data of an inbound packet begins at the transport header and not behind it (ICMP, A.4).
    pub fn shows_header(&self) -> bool {
        matches!(self.key.protocol, ICMP | ICMPV6)
    }

    /// What lies between the IP header and the data of an inbound packet.
    pub fn skipped_header(&self) -> usize {
        if self.shows_header() {
            0
        } else {
            self.transport_header
        }
    }

    /// Whether the packet is IPv6.
    pub fn is_v6(&self) -> bool {
        self.key.remote.is_ipv6()
    }
}

impl super::State {
    /// A fresh endpoint handle.
    pub(super) fn new_endpoint(&self) -> u64 {
        self.next_endpoint.set(self.next_endpoint.get() + 1);
        0x1_0000 + self.next_endpoint.get()
    }

    /// The state of a flow.
    pub(super) fn flow_state(&self, key: &Key) -> Option<(Role, State, u64)> {
        concerns(key, false);
        self.flows
            .borrow()
            .get(key)
            .map(|flow| (flow.role, flow.state, flow.endpoint))
    }

    /// Whether an endpoint is open.
    pub(super) fn endpoint_is_open(&self, endpoint: u64) -> bool {
        self.flows
            .borrow()
            .values()
            .any(|flow| flow.endpoint == endpoint)
    }

    pub(super) fn set_flow(&self, key: Key, role: Role, state: State) -> u64 {
        concerns(&key, true);
        let mut flows = self.flows.borrow_mut();
        let (endpoint, established) = flows.get(&key).map_or_else(
            || (self.new_endpoint(), false),
            |flow| (flow.endpoint, flow.established),
        );
        flows.insert(
            key,
            Flow {
                role,
                state,
                endpoint,
                established,
            },
        );
        endpoint
    }

    pub(super) fn remove_flow(&self, key: &Key) {
        concerns(key, true);
        self.flows.borrow_mut().remove(key);
    }

    /// Every authorized flow is authorized again at its next packet, for this reason.
    pub(super) fn reauthorize_all(&self, reason: u32) {
        for flow in self.flows.borrow_mut().values_mut() {
            if flow.state == State::Authorized {
                flow.state = State::Reauthorize(reason);
            }
        }
    }
}

/// Tells that the running step, if one runs, concerns a flow.
fn concerns(key: &Key, changes: bool) {
    if let Some(kernel) = crate::machine::current::running()
        && kernel.random.is_steered()
    {
        crate::exports::concerns(kernel, changes, key.object());
    }
}

/// Makes a flow of which the first packet seen is from its middle: it was there before the capture, or before the driver,
/// and is authorized again as after any change of policy. The lower port is the server's.
pub(super) fn adopt(kernel: &Kernel, key: Key) {
    let role = if key.local_port < key.remote_port {
        Role::Server
    } else {
        Role::Client
    };
    let reason = consts::FWP_CONDITION_REAUTHORIZE_REASON_POLICY_CHANGE;
    kernel.stack.set_flow(key, role, State::Reauthorize(reason));
    if let Some(flow) = kernel.stack.flows.borrow_mut().get_mut(&key) {
        flow.established = true;
    }
}

/// Lets the seed change policy, so that authorized flows are authorized again.
pub(super) fn maybe_reauthorize(kernel: &Kernel, key: &Key) {
    concerns(key, true);
    if kernel.random.percent(kernel.config.freedom.reauthorize)
        && let Some(flow) = kernel.stack.flows.borrow_mut().get_mut(key)
        && flow.state == State::Authorized
    {
        flow.state = State::Reauthorize(consts::FWP_CONDITION_REAUTHORIZE_REASON_POLICY_CHANGE);
    }
}

/// Waits, at PASSIVE_LEVEL, until a connect of this flow is decided.
pub(super) fn wait_for_connect(kernel: &Kernel, key: Key) {
    let decided = move |kernel: &Kernel| {
        kernel
            .stack
            .flow_state(&key)
            .is_none_or(|(_, state, _)| !matches!(state, State::Requested | State::Connecting))
    };
    kernel.block(
        format!(
            "the connect to {} port {} to be authorized",
            key.remote, key.remote_port
        ),
        None,
        decided,
    );
}
