//! Sleep: the adapters are paused, hours pass, and everything goes on.
//!
//! Before NDIS changes an adapter's power state it pauses the adapter, and an adapter is paused only when everything that it
//! indicated has come back. A callout that keeps a received packet keeps the machine awake.

use super::account::Side;
use crate::machine::Kernel;
use crate::machine::Machine;
use crate::machine::Stop;
use crate::machine::Time;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// Why a packet that arrives meanwhile is dropped.
pub const PAUSED: &str = "adapter_paused";

impl Machine {
    /// Pauses the adapters, and waits at most `budget` until every received net buffer list has come back; one that has not
    /// is a violation. Packets that arrive from now on are dropped by the adapter.
    pub fn pause_adapters(&self, budget: Time) -> Stop {
        let kernel = self.kernel();
        kernel.stack.paused.set(true);
        let end = kernel.now() + budget;
        while let Some((list, packet)) = kept(kernel) {
            if kernel.now() >= end {
                let summary = format!(
                    "the machine is to sleep, and received packet {packet} was not given back within {} ms",
                    budget / 10_000
                );
                let parameters = [packet, budget, 0, 0];
                let violation = Violation::contract(kernel, "A-30", parameters, summary);
                kernel.record(violation.about(kernel, list));
                return Stop::Hung;
            }
            if self.run_steps(1) == Stop::Crashed {
                return Stop::Crashed;
            }
            if kernel.is_idle() {
                // Whoever has it waits for time to pass.
                self.run_until(kernel.next_deadline().map_or(end, |next| next.min(end)));
            }
        }
        Stop::Idle
    }

    /// The machine sleeps for so long, wherever its threads stand, and goes on. Interrupt time has moved; what waited for a
    /// time has as long to wait as before, as since Windows 8. The adapters work again, and every endpoint is gone: its
    /// peer has given it up.
    pub fn sleep(&self, asleep: Time) {
        let kernel = self.kernel();
        kernel.sleep(asleep);
        kernel.ndis.excuse(asleep);
        self.close_endpoints();
        kernel.stack.paused.set(false);
    }
}

/// A list from an adapter that the driver keeps, and a packet in it. What the host said to itself is no adapter's.
fn kept(kernel: &Kernel) -> Option<(ObjectId, u64)> {
    let accounts = kernel.stack.packets.borrow();
    let received = |packet: &u64| {
        accounts
            .get(packet)
            .is_some_and(|packet| packet.side == Side::Inbound)
    };
    let kept = kernel.ndis.kept_originals();
    kept.iter().find_map(|(list, packets)| {
        let packet = packets.iter().find(|packet| received(packet))?;
        Some((*list, *packet))
    })
}
