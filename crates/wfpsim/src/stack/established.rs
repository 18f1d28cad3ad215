//! Flows that are set up: FLOW_ESTABLISHED, and the end of what callouts associated with a flow.

use wfp_sys::consts;
use wfp_sys::layers;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::flow::Flow;
use super::flow::Key;
use super::flow::Role;
use super::flow::Shape;
use super::flow::State as FlowState;
use super::layers::Ask;
use crate::machine::Kernel;
use crate::machine::Machine;
use crate::machine::irql;

/// What callouts know a flow by (FLOW_HANDLE). Every flow has an endpoint of its own here.
fn handle(endpoint: u64) -> u64 {
    0xF_0000_0000 | endpoint
}

impl super::State {
    /// Whether there is a flow of this handle.
    pub(crate) fn flow_is_open(&self, flow: u64) -> bool {
        self.flows
            .borrow()
            .values()
            .any(|known| handle(known.endpoint) == flow)
    }
}

/// Tells FLOW_ESTABLISHED of an authorized flow, once: with the first packet of UDP and ICMP, with the first inbound packet of TCP
/// that follows the SYN.
pub(super) fn tell(kernel: &Kernel, shape: &Shape, list: *mut NET_BUFFER_LIST, flags: u32) {
    let fresh = {
        let mut flows = kernel.stack.flows.borrow_mut();
        flows
            .get_mut(&shape.key)
            .filter(|flow| flow.state == FlowState::Authorized && !flow.established)
            .map(|flow| {
                flow.established = true;
                (flow.endpoint, flow.role)
            })
    };
    let Some((endpoint, role)) = fresh else {
        return;
    };
    let layer = if shape.is_v6() {
        layers::FWPS_LAYER_ALE_FLOW_ESTABLISHED_V6
    } else {
        layers::FWPS_LAYER_ALE_FLOW_ESTABLISHED_V4
    };
    if kernel.fwp.filters_at(layer) == 0 {
        return;
    }
    let mut ask = Ask::new(shape, list);
    (ask.flags, ask.endpoint, ask.flow) = (flags, endpoint, Some(handle(endpoint)));
    ask.direction = match role {
        Role::Server => consts::FWP_DIRECTION_INBOUND,
        Role::Client => consts::FWP_DIRECTION_OUTBOUND,
    };
    ask.flow_established(kernel);
}

/// A reset ended a flow's conversation: its contexts go, the flow itself stays as the stack's record of who may talk.
pub(super) fn reset(kernel: &Kernel, key: &Key) {
    let endpoint = kernel
        .stack
        .flow_state(key)
        .map(|(_, _, endpoint)| endpoint);
    if let Some(endpoint) = endpoint {
        crate::fwp::flow_context::flow_ended(kernel, handle(endpoint));
    }
}

/// Flows have ended: those who gave them contexts are told, on a thread of the stack.
pub(super) fn ended(machine: &Machine, flows: impl Iterator<Item = Flow>) {
    let carried: Vec<u64> = flows
        .map(|flow| handle(flow.endpoint))
        .filter(|&flow| crate::fwp::flow_context::is_carried(machine.kernel(), flow))
        .collect();
    if carried.is_empty() {
        return;
    }
    machine.call("tcpip: endpoints closed", irql::DISPATCH, move |kernel| {
        for flow in carried {
            crate::fwp::flow_context::flow_ended(kernel, flow);
        }
    });
}
