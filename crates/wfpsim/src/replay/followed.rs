//! One packet of the capture, followed through the machine: `wfpsim replay --packet`.

use std::fmt;

use serde_json::Value;
use serde_json::json;

use super::compare;
use super::json::event;
use super::plan::Action;
use super::plan::Step;
use super::reasons;
use crate::text::paragraph;
use crate::verifier::Happening;
use crate::verifier::Seconds;

/// What a packet of the capture came to.
#[derive(Clone, Debug, Default)]
pub enum End {
    /// No step of the replay was about it: it is the copy of a fragment, or the machine stopped before.
    #[default]
    Unseen,
    /// It never got as far as a callout, for this reason.
    Dropped(&'static str),
    /// The machine got it.
    Given {
        /// Between whom it is.
        what: String,
        /// Where it came from.
        from: &'static str,
    },
}

/// A packet that is followed, and what has happened to it.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// Its number in the capture, from 1.
    pub number: u64,
    /// The fragments that it was put together from, if it was.
    pub pieces: Vec<u64>,
    /// What it came to.
    pub end: End,
    /// The machine stopped before the capture's end.
    pub cut_short: bool,
    /// What the machine did with it.
    pub happened: Vec<Happening>,
}

impl Followed {
    /// Looks whether a step is about the packet, and notes what it is.
    pub(super) fn see(&mut self, step: &Step) -> bool {
        let concerned = if step.pieces.is_empty() {
            step.number == self.number
        } else {
            step.pieces.contains(&self.number)
        };
        if !concerned {
            return false;
        }
        self.pieces.clone_from(&step.pieces);
        self.end = match &step.action {
            Action::Drop { reason, .. } => End::Dropped(reason),
            Action::Receive(received) => End::Given {
                what: compare::ends(&received.clean),
                from: "from the network",
            },
            Action::Transmit { packet, .. } => End::Given {
                what: compare::ends(&packet.packet),
                from: if packet.loopback {
                    "from the host to itself"
                } else {
                    "to the network"
                },
            },
        };
        true
    }

    /// As data.
    pub(super) fn json(&self) -> Value {
        let happened = self.happened.iter().map(|happening| {
            let mut told = event(&happening.event);
            told["of"] = json!(&*happening.of);
            // These are not kept for a packet.
            told.as_object_mut().map(|told| told.remove("stack"));
            told
        });
        let (what, from, dropped) = match &self.end {
            End::Unseen => (None, None, None),
            End::Dropped(reason) => (None, None, Some(*reason)),
            End::Given { what, from } => (Some(what), Some(*from), None),
        };
        json!({
            "packet": self.number,
            "fragments": self.pieces,
            "what": what,
            "from": from,
            "dropped": dropped,
            "events": happened.collect::<Vec<_>>(),
        })
    }

    /// For a terminal of `width` columns.
    pub(super) fn text(&self, f: &mut fmt::Formatter<'_>, width: usize) -> fmt::Result {
        let title = format!("\npacket {}: ", self.number);
        let told = match &self.end {
            End::Unseen if self.cut_short => "the replay did not come to it".to_owned(),
            End::Unseen => "the copy of a fragment that came before".to_owned(),
            End::Dropped(reason) => {
                format!(
                    "dropped outside the driver: {reason}, {}",
                    reasons::text(reason)
                )
            }
            End::Given { what, from } => format!("{what}, {from}"),
        };
        paragraph(f, width, &title, 2, &told)?;
        if !self.pieces.is_empty() {
            let pieces: Vec<String> = self.pieces.iter().map(u64::to_string).collect();
            let told = format!("put together from the fragments {}", pieces.join(", "));
            paragraph(f, width, "  ", 2, &told)?;
        }
        self.happened
            .iter()
            .try_for_each(|happening| row(f, width, happening))
    }
}

/// Columns of the time, of the thread's name, and of what it happened to.
const COLUMNS: [usize; 3] = [11, 14, 10];

/// One line: when, who, at which level, to what, and what. Where there is no room for that, the last in a line of its own.
fn row(f: &mut fmt::Formatter<'_>, width: usize, happening: &Happening) -> fmt::Result {
    let event = &happening.event;
    let [time, who, of] = COLUMNS;
    let thread = event.name.as_deref().unwrap_or("-");
    let start = format!(
        "  {:>time$}  IRQL {}  {thread:<who$}  {:<of$}  ",
        Seconds(event.time).to_string(),
        event.irql,
        happening.of,
    );
    let indent = start.chars().count();
    if indent + 24 > width {
        paragraph(f, width, "", 0, start.trim_end())?;
        return paragraph(f, width, "      ", 6, &event.what);
    }
    paragraph(f, width, &start, indent, &event.what)
}
