//! A violation, and what is put into it when it is found.

use super::arguments;
use super::codes::code;
use super::ledger::Event;
use super::ledger::ObjectId;
use super::rules::Rule;
use super::stack;
use crate::machine::Kernel;
use crate::machine::Time;
use crate::machine::irql;
use crate::memory::Access;
use crate::memory::BlockState;
use crate::memory::Fault;
use crate::memory::Purpose;

/// FAST_FAIL_CORRUPT_LIST_ENTRY of winnt.h.
const FAST_FAIL_CORRUPT_LIST_ENTRY: u32 = 3;

/// Something that must not happen, with all that is known of it.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The bug check code.
    pub code: u32,
    /// Its four parameters.
    pub parameters: [u64; 4],
    /// What each of them is, and what the machine knows of its value; empty if nothing.
    pub arguments: [String; 4],
    /// The rule of the platform's contract that it breaks, by number: "A-28", "B-03", "C.1".
    pub rule: &'static str,
    /// What was done, in a sentence.
    pub summary: String,
    /// The process of the thread that did it.
    pub process: &'static str,
    /// The thread that did it.
    pub thread: String,
    /// Its interrupt request level.
    pub irql: u8,
    /// Its processor.
    pub processor: Option<u8>,
    /// When, in 100 ns units since the machine's start.
    pub time: Time,
    /// The object concerned, if there is one.
    pub object: Option<String>,
    /// The driver's function that made the object, where the machine keeps the stacks of events.
    pub owner: Option<String>,
    /// What happened to that object before.
    pub history: Vec<Event>,
    /// The stack of the thread, resolved.
    pub stack: Vec<String>,
    /// The seed that shows it again.
    pub seed: u64,
}

impl Violation {
    /// A violation by the running thread, with its stack.
    pub(crate) fn new(
        kernel: &Kernel,
        code: u32,
        parameters: [u64; 4],
        rule: &'static str,
        summary: impl Into<String>,
    ) -> Self {
        Self::with_frames(
            kernel,
            code,
            parameters,
            rule,
            summary.into(),
            &stack::capture(kernel),
        )
    }

    fn with_frames(
        kernel: &Kernel,
        code: u32,
        parameters: [u64; 4],
        rule: &'static str,
        summary: String,
        frames: &[usize],
    ) -> Self {
        let thread = kernel.running_thread();
        let labels = arguments::labels(code, &parameters, rule);
        Self {
            code,
            parameters,
            arguments: arguments::explained(kernel, labels, &parameters),
            rule,
            summary,
            process: thread.as_ref().map_or("System", |thread| thread.process()),
            thread: thread.as_ref().map_or_else(
                || "(none)".to_owned(),
                |thread| format!("{} '{}'", thread.id.0, thread.name),
            ),
            irql: thread
                .as_ref()
                .map_or(irql::PASSIVE, |thread| thread.irql.get()),
            processor: thread.as_ref().and_then(|thread| thread.processor.get()),
            time: kernel.now(),
            object: None,
            owner: None,
            history: Vec::new(),
            stack: stack::resolve(kernel, frames),
            seed: 0,
        }
    }

    /// A rule of Driver Verifier (bug check 0xC4) with its subcode.
    pub(crate) fn verifier(
        kernel: &Kernel,
        subcode: u64,
        rest: [u64; 3],
        summary: impl Into<String>,
        rule: &'static str,
    ) -> Self {
        Self::new(
            kernel,
            code::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [subcode, rest[0], rest[1], rest[2]],
            rule,
            summary,
        )
    }

    /// A rule that only this simulator checks.
    pub(crate) fn contract(
        kernel: &Kernel,
        rule: &'static str,
        parameters: [u64; 4],
        summary: impl Into<String>,
    ) -> Self {
        Self::new(
            kernel,
            code::WFPSIM_CONTRACT_VIOLATION,
            parameters,
            rule,
            summary,
        )
    }

    /// A packet that came out when, where or as it should not.
    pub(crate) fn packet(kernel: &Kernel, packet: u64, summary: String) -> Self {
        Self::with_frames(
            kernel,
            code::WFPSIM_PACKET_VIOLATION,
            [packet, 1, 0, 0],
            "A-42",
            summary,
            &[],
        )
    }

    /// Adds the object and its history.
    pub(crate) fn about(mut self, kernel: &Kernel, object: ObjectId) -> Self {
        self.object = Some(kernel.ledger.label(object));
        self.history = kernel.history(object);
        self.owner = self.history.first().and_then(made_by).cloned();
        self
    }

    /// Says what the parameters are, where that is not what they are of most violations of the code and rule.
    pub(crate) fn with_arguments(mut self, kernel: &Kernel, labels: [&'static str; 4]) -> Self {
        self.arguments = arguments::explained(kernel, labels, &self.parameters);
        self
    }

    /// Adds the history of the block that an address lies in, if it lies in one: of a lock or an event in pool.
    pub(crate) fn about_address(self, kernel: &Kernel, address: usize) -> Self {
        match kernel.arena.find(address) {
            Some(block) => self.about(kernel, block.object),
            None => self,
        }
    }

    /// A touch of memory that may not be touched.
    pub(crate) fn from_fault(kernel: &Kernel, fault: &Fault) -> Self {
        if let Some(code) = fault.fast_fail {
            return Self::fast_fail(kernel, fault, code);
        }
        let block = kernel.arena.nearest(fault.address);
        let write = u64::from(fault.access == Access::Write);
        let verb = if fault.access == Access::Write {
            "wrote to"
        } else {
            "read from"
        };
        let (code, rule, summary) = match &block {
            Some(block) if block.state == BlockState::Freed => (
                code::PAGE_FAULT_IN_FREED_SPECIAL_POOL,
                if block.purpose == Purpose::RequestBuffer {
                    "D-06"
                } else {
                    "C-61"
                },
                format!(
                    "{verb} byte {} of {} at {:#x} after it was freed",
                    fault.address.wrapping_sub(block.start) as isize,
                    block.purpose,
                    block.start
                ),
            ),
            Some(block)
                if matches!(block.purpose, Purpose::PagedPool(_))
                    && kernel.irql() >= irql::DISPATCH
                    && block.holds(fault.address) =>
            {
                let callback = kernel
                    .running_thread()
                    .is_some_and(|thread| thread.classify_depth.get() > 0);
                (
                    code::DRIVER_IRQL_NOT_LESS_OR_EQUAL,
                    if callback { "A-01" } else { "C-63" },
                    format!(
                        "{verb} byte {} of {} at IRQL {}",
                        fault.address.wrapping_sub(block.start) as isize,
                        block.purpose,
                        kernel.irql()
                    ),
                )
            }
            Some(block) => (
                code::PAGE_FAULT_BEYOND_END_OF_ALLOCATION,
                "C-61",
                format!(
                    "{verb} byte {} of {} at {:#x}, which has {} bytes",
                    fault.address.wrapping_sub(block.start) as isize,
                    block.purpose,
                    block.start,
                    block.size
                ),
            ),
            None => (
                code::DRIVER_IRQL_NOT_LESS_OR_EQUAL,
                "C-63",
                format!(
                    "{verb} address {:#x}, which belongs to nothing",
                    fault.address
                ),
            ),
        };
        let parameters = if code == code::DRIVER_IRQL_NOT_LESS_OR_EQUAL {
            [
                fault.address as u64,
                u64::from(kernel.irql()),
                write,
                fault.instruction as u64,
            ]
        } else {
            [fault.address as u64, write, fault.instruction as u64, 0]
        };
        let blamed = crate::fwp::blame(kernel, fault.address, block.as_ref());
        let (rule, summary) = match blamed {
            Some((rule, why)) => (rule, format!("{summary}: {why}")),
            None => (rule, summary),
        };
        let summary = match kernel.image_offset(fault.instruction) {
            Some(offset) => format!("the driver's image, at offset {offset:#x}, {summary}"),
            None => summary,
        };
        let mut frames = fault.frames.clone();
        stack::through_image(kernel, &mut frames, fault.stack, fault.base);
        let violation = Self::with_frames(kernel, code, parameters, rule, summary, &frames);
        match block {
            Some(block) => violation.about(kernel, block.object),
            None => violation,
        }
    }

    /// The driver's own code found its data damaged.
    fn fast_fail(kernel: &Kernel, fault: &Fault, code: u32) -> Self {
        let what = match code {
            FAST_FAIL_CORRUPT_LIST_ENTRY => "a LIST_ENTRY whose neighbours do not point to it",
            _ => "damaged data",
        };
        let summary =
            format!("the driver found {what} and stopped the machine (__fastfail {code})");
        let mut frames = fault.frames.clone();
        stack::through_image(kernel, &mut frames, fault.stack, fault.base);
        Self::with_frames(
            kernel,
            code::KERNEL_SECURITY_CHECK_FAILURE,
            [u64::from(code), 0, 0, 0],
            "C-63",
            summary,
            &frames,
        )
    }

    /// Nothing can go on.
    pub(crate) fn hang(kernel: &Kernel, rule: &'static str, waiting: &[String]) -> Self {
        let mut summary =
            "nothing can go on; no thread is ready and no deadline is near".to_owned();
        for line in waiting {
            summary.push_str("\n    ");
            summary.push_str(line);
        }
        // whoever counts additions and deletions waits for a deletion that nobody is told of.
        let rule = if kernel.fwp.has_lost_notifications() {
            "A-08"
        } else {
            rule
        };
        Self::new(kernel, code::WFPSIM_HANG, [0; 4], rule, summary)
    }

    /// The unload routine goes on and on, or waits for ever while other things happen.
    pub(crate) fn endless_unload(kernel: &Kernel, summary: String) -> Self {
        Self::new(kernel, code::WFPSIM_HANG, [1, 0, 0, 0], "C-50", summary)
    }

    /// The rule that was broken, with what it means. A number is always in the table; tests hold that.
    pub fn broken(&self) -> Option<&'static Rule> {
        Rule::find(self.rule)
    }

    /// The code's name.
    pub fn name(&self) -> &'static str {
        code::name(self.code)
    }
}

/// The driver's frame of an event that made an object.
pub(crate) fn made_by(event: &Event) -> Option<&String> {
    event
        .stack
        .iter()
        .find(|frame| !stack::is_simulators(frame))
}
