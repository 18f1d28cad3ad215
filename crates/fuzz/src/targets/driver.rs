//! The driver in a machine: whatever is classified, asked or configured, nothing is violated and nothing left behind.

use std::net::IpAddr;
use std::net::SocketAddr;

use tollgate_abi::Counters;
use tollgate_abi::IOCTL_TOLLGATE_COUNTERS;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::Stop;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;
use wfpsim::driver::tollgate;
use wfpsim::stack::Received;
use wfpsim::stack::Transmitted;
use wfpsim_packet::IpPacket;
use wfpsim_packet::build;
use wfpsim_packet::transport::TcpFlags;

use crate::input::Input;

/// The most packets of one input: a machine takes some milliseconds.
const PACKETS: usize = 24;
/// Half a minute, in units of 100 ns: whatever has a deadline is over by then.
const HALF_A_MINUTE: u64 = 300_000_000;

/// A machine, packets of every shape through it, both ways, and whatever else a machine does meanwhile.
pub fn classify(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let machine = Machine::new(config(&mut input));
    let mut parameters = Parameters::default();
    if input.bit() {
        parameters.set_string("BlockRemoteAddress", "203.0.113.7");
    }
    if input.bit() {
        parameters.set_u32("QueuePackets", u32::from(input.byte()) % 8 + 1);
    }
    if !load(&machine, &parameters) {
        return;
    }
    for _ in 0..PACKETS {
        if input.is_empty() {
            break;
        }
        act(&machine, &mut input);
    }
    end(&machine);
}

/// A machine's freedoms, what is hidden from the driver, and one call that fails.
fn config(input: &mut Input<'_>) -> Config {
    let mut config = Config::new(u64::from(input.u16()));
    if input.bit() {
        config.hidden_metadata = input.u32();
    }
    if input.bit() {
        config.cut_at = Some(input.byte().into());
    }
    if input.bit() {
        config.faults.fail_call = Some(u64::from(input.u16()) % 600 + 1);
        config.faults.count = u64::from(input.byte());
    }
    config.hard_permit = input.byte() == 1;
    config
}

fn act(machine: &Machine, input: &mut Input<'_>) {
    match input.byte() % 16 {
        0 => machine.change_policy(),
        1 => machine.close_endpoints(),
        2 => machine.stop_bfe(),
        3 => machine.start_bfe(),
        4 => drop(machine.run_steps(input.byte().into())),
        5 => assert_ne!(machine.run(), Stop::Crashed, "{}", told(machine)),
        kind => {
            let inbound = kind % 2 == 0;
            let packet = packet(input, inbound);
            // What is no packet does not reach a callout; that is the reader's matter, and another target's.
            if IpPacket::parse(&packet).is_err() {
                return;
            }
            if inbound {
                machine.receive(Received {
                    reassembled: input.byte() == 1,
                    injected_by_other: input.byte() == 1,
                    ..Received::plain(packet)
                });
            } else {
                machine.transmit(vec![Transmitted {
                    raw: input.byte() == 1,
                    control_data: (input.byte() == 1).then(|| input.short().to_vec()),
                    ..Transmitted::plain(packet, false)
                }]);
            }
        }
    }
}

/// A packet between the host and one of a few peers; or bytes as they are.
fn packet(input: &mut Input<'_>, inbound: bool) -> Vec<u8> {
    let (host, peers): (IpAddr, [IpAddr; 2]) = if input.bit() {
        let peers = ["2001:db8::7", "2001:db8::8"];
        (
            "2001:db8:10::10".parse().expect("an address"),
            peers.map(|peer| peer.parse().expect("an address")),
        )
    } else {
        (
            IpAddr::from([192, 0, 2, 10]),
            [
                IpAddr::from([203, 0, 113, 7]),
                IpAddr::from([203, 0, 113, 8]),
            ],
        )
    };
    let near = SocketAddr::new(host, input.one_of(&[53, 443, 40_000]));
    let far = SocketAddr::new(input.one_of(&peers), input.one_of(&[53, 443, 50_000]));
    let (from, to) = if inbound { (far, near) } else { (near, far) };
    match input.byte() % 6 {
        0 => build::udp(from, to, input.short()),
        1 | 2 => {
            let flags = TcpFlags(input.byte());
            build::tcp(from, to, flags, input.u32(), input.u32(), input.short())
        }
        3 => build::icmp(
            from.ip(),
            to.ip(),
            input.byte(),
            input.byte(),
            input.short(),
        ),
        4 => build::ip(from.ip(), to.ip(), input.byte(), input.short()),
        _ => input.short().to_vec(),
    }
}

/// Control requests with any code, any input, and room for any answer.
pub fn ioctl(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let machine = Machine::new(Config::new(u64::from(input.byte())));
    assert!(load(&machine, &Parameters::default()), "{}", told(&machine));
    for _ in 0..PACKETS {
        if input.is_empty() {
            break;
        }
        let code = if input.bit() {
            IOCTL_TOLLGATE_COUNTERS
        } else {
            input.u32()
        };
        let room = usize::from(input.u16());
        let (status, answer) = machine.ioctl(code, input.short(), room);
        assert!(answer.len() <= room);
        assert!(status >= 0 || answer.is_empty(), "{code:#x}: {status:#x}");
    }
    end(&machine);
}

/// Values of the Parameters key, of any type and with any bytes: the driver loads with them or refuses, and either is clean.
pub fn parameters(bytes: &[u8]) {
    const NAMES: [&str; 6] = [
        "BlockRemoteAddress",
        "BlockRemotePort",
        "QueuePackets",
        "QueueBytes",
        "QueueAgeMilliseconds",
        "Other",
    ];
    let mut input = Input::new(bytes);
    let mut parameters = Parameters::default();
    while !input.is_empty() {
        let name = input.one_of(&NAMES);
        // REG_SZ and REG_DWORD, which mean something here, or any other.
        let kind = match input.byte() % 4 {
            0 | 1 => 1,
            2 => 4,
            _ => u32::from(input.byte()),
        };
        parameters.set(name, kind, input.short().to_vec());
    }
    let machine = Machine::new(Config::plain());
    if load(&machine, &parameters) {
        end(&machine);
    }
}

/// Loads the driver; if it refuses, it leaves nothing.
fn load(machine: &Machine, parameters: &Parameters) -> bool {
    match machine.load_driver(tollgate(), parameters) {
        Ok(()) => true,
        Err(LoadError::Refused(status, leaks)) => {
            assert!(status < 0 && leaks.is_empty(), "{leaks:?}");
            assert!(machine.violations().is_empty(), "{}", told(machine));
            false
        }
        Err(error) => panic!("{error}\n{}", told(machine)),
    }
}

/// Lets everything finish, unloads, and looks at what is left.
fn end(machine: &Machine) {
    let end = machine.kernel().now() + HALF_A_MINUTE;
    assert_eq!(machine.run_until(end), Stop::Idle, "{}", told(machine));
    let (status, bytes) = machine.ioctl(IOCTL_TOLLGATE_COUNTERS, &[], Counters::SIZE);
    if status >= 0 {
        let counters = Counters::read_from(&bytes).expect("the driver writes its own version");
        assert_eq!(counters.disagreement(), None, "{counters:?}");
    }
    let leaks = machine.unload_driver();
    assert!(leaks.is_empty(), "{leaks:?}\n{}", told(machine));
    assert!(machine.violations().is_empty(), "{}", told(machine));
}

/// What was violated, in words.
fn told(machine: &Machine) -> String {
    let violations = machine.violations();
    violations.iter().map(ToString::to_string).collect()
}
