//! The Parameters key: what cannot mean anything stops the driver from loading, and leaves nothing behind.

use tollgate_abi::Group;
use wfpsim::Config;
use wfpsim::driver::Leaks;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;

use crate::packets::*;
use crate::rig::*;

const STATUS_INVALID_PARAMETER: i32 = 0xC000_000D_u32 as i32;
const REG_BINARY: u32 = 3;
const REG_DWORD: u32 = 4;
const REG_MULTI_SZ: u32 = 7;

fn number(name: &str, value: u32) -> Parameters {
    let mut parameters = Parameters::default();
    parameters.set_u32(name, value);
    parameters
}

fn string(name: &str, value: &str) -> Parameters {
    let mut parameters = Parameters::default();
    parameters.set_string(name, value);
    parameters
}

fn bytes(name: &str, kind: u32, value: &[u8]) -> Parameters {
    let mut parameters = Parameters::default();
    parameters.set(name, kind, value.to_vec());
    parameters
}

#[test]
fn a_value_that_cannot_be_meant_stops_the_driver_from_loading_and_leaves_nothing() {
    let long = "1".repeat(4000);
    let bad = [
        string("BlockRemoteAddress", ""),
        string("BlockRemoteAddress", "203.0.113"),
        string("BlockRemoteAddress", "203.0.113.256"),
        string("BlockRemoteAddress", "203.0.113.7/24"),
        string("BlockRemoteAddress", "fe80::1%12"),
        string("BlockRemoteAddress", "localhost"),
        string("BlockRemoteAddress", &long),
        number("BlockRemoteAddress", 0x0A00_0001),
        bytes("BlockRemoteAddress", REG_BINARY, &[203, 0, 113, 7]),
        bytes("BlockRemoteAddress", REG_MULTI_SZ, b"1\0.\0\0\0\0\0"),
        number("BlockRemotePort", 0),
        number("BlockRemotePort", 65_536),
        number("BlockRemotePort", u32::MAX),
        string("BlockRemotePort", "443"),
        bytes("BlockRemotePort", REG_BINARY, &[1, 0, 0, 0]),
        bytes("BlockRemotePort", REG_DWORD, &[1]),
        number("QueuePackets", 0),
        number("QueuePackets", (1 << 20) + 1),
        string("QueuePackets", "10"),
        number("QueueBytes", 0),
        number("QueueBytes", (1 << 30) + 1),
        number("QueueAgeMilliseconds", 0),
        number("QueueAgeMilliseconds", 60_001),
    ];
    for (index, parameters) in bad.iter().enumerate() {
        let mut rig = Rig::without_driver(Config::new(index as u64));
        let refused = rig.machine.load(parameters);
        let expected = LoadError::Refused(STATUS_INVALID_PARAMETER, Leaks::new());
        assert_eq!(refused, Err(expected), "{parameters:?}");
        // Corrected, it loads.
        rig.load(&Parameters::default());
        rig.receive(udp(at(PEER[0], 5353), at(HOST[0], 53), 1));
        rig.end();
    }
}

#[test]
fn the_largest_and_the_smallest_values_are_taken() {
    let good = [
        Parameters::missing(),
        Parameters::default(),
        number("BlockRemotePort", 1),
        number("BlockRemotePort", 65_535),
        number("QueuePackets", 1),
        number("QueuePackets", 1 << 20),
        number("QueueBytes", 1),
        number("QueueBytes", 1 << 30),
        number("QueueAgeMilliseconds", 60_000),
        string(
            "BlockRemoteAddress",
            "0000:0000:0000:0000:0000:ffff:255.255.255.255",
        ),
        string("blockremoteaddress", " 10.0.0.1 "),
        number("SomethingElse", 0),
    ];
    for (index, parameters) in good.iter().enumerate() {
        let mut rig = Rig::with(Config::new(index as u64), parameters);
        rig.receive(udp(at(PEER[0], 5353), at(HOST[0], 53), 1));
        rig.send(udp(at(HOST[0], 5353), at(PEER[0], 53), 2));
        let counters = rig.end();
        assert!(counters.sum(Group::Classified) > 0, "{parameters:?}");
    }
}
