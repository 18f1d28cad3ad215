//! The summary for people.

use std::fmt;

use tollgate_abi::Counter;
use tollgate_abi::Group;

use super::reasons;
use super::run::DriverCounter;
use super::summary::Summary;
use crate::text::WIDTH;
use crate::text::paragraph;
use crate::verifier::Style;

/// How many lost packets are told one by one.
const LOST_TOLD: usize = 10;
/// How many violations are told one by one; the first is mostly the cause of the others.
const VIOLATIONS_TOLD: usize = 5;
/// Columns of a name in a row.
const NAME: usize = 18;
/// Columns of a counter's name.
const COUNTER: usize = 40;
/// Columns of a number.
const NUMBER: usize = 9;

/// A summary told in so many columns.
pub struct Text<'a> {
    summary: &'a Summary,
    width: usize,
    /// How the reports of violations are printed.
    reports: Style<'a>,
}

impl Summary {
    /// The summary for a terminal of `width` columns.
    pub fn text(&self, width: usize) -> Text<'_> {
        self.styled(Style {
            width: Some(width),
            ..Style::default()
        })
    }

    /// The summary, with the reports of violations in a style.
    pub fn styled<'a>(&'a self, reports: Style<'a>) -> Text<'a> {
        Text {
            summary: self,
            width: reports.width.unwrap_or(WIDTH).clamp(20, 100),
            reports,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text(WIDTH).fmt(f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.packets(f)?;
        self.through(f)?;
        self.dropped(f)?;
        self.driver(f)?;
        if let Some(followed) = self.summary.followed_in_capture() {
            followed.text(f, self.width)?;
        }
        self.wrong(f)?;
        writeln!(f)?;
        self.verdict(f)
    }
}

impl Text<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.summary;
        let addresses: Vec<String> = summary.host.iter().map(ToString::to_string).collect();
        let host = if addresses.is_empty() {
            "loopback addresses only".to_owned()
        } else {
            addresses.join(", ")
        };
        writeln!(f, "{}", summary.capture)?;
        self.paragraph(f, "  host    ", 10, &host)?;
        if let Some(guessed) = &summary.guessed {
            self.paragraph(f, "          ", 10, &format!("guessed: {guessed}"))?;
        }
        let block = &summary.block;
        let remote = match (block.address, block.port) {
            (None, None) => "permit all".to_owned(),
            (Some(address), None) => format!("block remote address {address}"),
            (None, Some(port)) => format!("block remote port {port}"),
            (Some(address), Some(port)) => format!("block {address} with remote port {port}"),
        };
        writeln!(f, "  policy  {remote}")?;
        writeln!(f, "  seed    {}", summary.seed)
    }

    fn packets(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (summary, planned) = (self.summary, &self.summary.planned);
        writeln!(f, "\npackets")?;
        self.row(f, "in the capture", planned.records, "")?;
        self.row(f, "to the host", planned.inbound, "from the network")?;
        self.row(f, "from the host", planned.outbound, "to the network")?;
        self.row(f, "loopback", planned.loopback, "from the host to itself")?;
        if planned.fragments > 0 {
            let text = "of these; what they make is counted once below";
            self.row(f, "fragments", planned.fragments, text)?;
        }
        let text = "reached the transport layer, whole, IPsec off";
        self.row(f, "delivered", summary.delivered, text)?;
        self.row(f, "sent", summary.sent, "reached the wire")?;
        self.row(f, "blocked", summary.blocked, "by the policy")?;
        let dropped: u64 = summary.dropped.values().sum();
        self.row(
            f,
            "dropped",
            dropped,
            "outside the driver, for reasons below",
        )?;
        let lost = summary.lost.len() as u64;
        self.row(f, "lost", lost, "permitted, and did not come out")
    }

    fn through(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stack = &self.summary.stack;
        writeln!(f, "\nthrough the driver")?;
        let text = "not held at a transport layer; why: see below";
        self.row(f, "permitted inline", stack.permitted_inline, text)?;
        let text = "absorbed and referenced, for the worker to decide";
        self.row(f, "held", stack.held, text)?;
        let text = "connects and accepts that waited for a decision";
        self.row(f, "pended", stack.pended, text)?;
        let text = "classified again: completed, or a new policy";
        self.row(f, "reauthorized", stack.reauthorized, text)?;
        self.row(
            f,
            "reinjected",
            stack.reinjected,
            "came back from the worker",
        )?;
        let text = "got a new IP header: IPsec, or joined fragments";
        self.row(f, "rebuilt", stack.rebuilt, text)?;
        let text = "left alone until the outer header is off";
        self.row(f, "tunnel skipped", stack.skipped_tunnel, text)
    }

    fn dropped(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.summary.dropped.is_empty() {
            return Ok(());
        }
        writeln!(f, "\ndropped outside the driver, by reason")?;
        for (reason, count) in &self.summary.dropped {
            self.counter(f, reason, *count, reasons::text(reason))?;
        }
        Ok(())
    }

    /// The driver's counters, by what they are about. Where a name does not say why, the sentence of its declaration does.
    fn driver(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for (group, name, count) in &self.summary.driver {
            if last.is_empty() {
                writeln!(f, "\nthe driver's own counters")?;
            }
            if *group != last {
                let sum = sum(&self.summary.driver, group);
                let text = Counter::from_name(name).map_or("", |counter| about(counter.group()));
                let title = if text.is_empty() { group } else { text };
                self.paragraph(f, "  ", 4, &format!("{title}: {sum}"))?;
                last = group;
            }
            let counter = Counter::from_name(name).filter(|counter| wants_a_reason(*counter));
            self.counter(f, name, *count, counter.map_or("", Counter::text))?;
        }
        Ok(())
    }

    /// Everything that went wrong, the first cause first.
    fn wrong(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.summary;
        for violation in summary.violations.iter().take(VIOLATIONS_TOLD) {
            writeln!(f)?;
            write!(f, "{}", violation.report(self.reports))?;
        }
        let more = summary.violations.len().saturating_sub(VIOLATIONS_TOLD);
        if more > 0 {
            writeln!(f, "\n{more} more violations: --json has all")?;
        }
        if !summary.lost.is_empty() || !summary.leaks.is_empty() {
            writeln!(f)?;
        }
        for lost in summary.lost.iter().take(LOST_TOLD) {
            let text = format!("packet {} of the capture: {}", lost.number, lost.what);
            self.paragraph(f, "LOST    ", 8, &text)?;
        }
        let more = summary.lost.len().saturating_sub(LOST_TOLD);
        if more > 0 {
            writeln!(f, "LOST    {more} more: --json has all")?;
        }
        for (kind, count) in &summary.leaks {
            writeln!(f, "LEAKED  {count} of {kind}")?;
        }
        Ok(())
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.summary;
        if let Some(stopped) = summary.stopped_at {
            let text =
                format!("The machine stopped at packet {stopped}; the rest was not replayed.");
            self.paragraph(f, "", 0, &text)?;
        }
        if let Some(error) = &summary.input_error {
            self.paragraph(f, "", 0, error)?;
        }
        if let Some(last) = summary.interrupted {
            self.paragraph(f, "", 0, &format!("Interrupted after packet {last}."))?;
        }
        let partly = summary.input_error.is_some() || summary.interrupted.is_some();
        let text = if !summary.is_clean() {
            format!(
                "NOT CLEAN: violations {}, packets lost {}, left behind {}. --seed {} shows it again.",
                summary.violations.len(),
                summary.lost.len(),
                summary.leaks.values().sum::<u64>(),
                summary.seed
            )
        } else if partly {
            format!("clean as far as that: {CLEAN}")
        } else {
            format!("clean: {CLEAN}")
        };
        self.paragraph(f, "", 0, &text)
    }

    /// A name, a number, and what it means beside it, or below where there is no room.
    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str, count: u64, text: &str) -> fmt::Result {
        let mut start = format!("  {name:<NAME$}{count:>NUMBER$}");
        let indent = if self.width < 60 {
            writeln!(f, "{start}")?;
            start = "    ".to_owned();
            4
        } else {
            start.push_str("  ");
            2 + NAME + NUMBER + 2
        };
        if text.is_empty() && indent == 4 {
            return Ok(());
        }
        self.paragraph(f, &start, indent, text)
    }

    /// A long name, a number, and what it means below.
    fn counter(
        &self,
        f: &mut fmt::Formatter<'_>,
        name: &str,
        count: u64,
        text: &str,
    ) -> fmt::Result {
        let column = COUNTER.min(self.width.saturating_sub(4 + NUMBER));
        writeln!(f, "    {name:<column$}{count:>NUMBER$}")?;
        if text.is_empty() {
            return Ok(());
        }
        self.paragraph(f, "        ", 8, text)
    }

    /// Words, with `start` before the first line and `indent` columns before the others, within the width.
    fn paragraph(
        &self,
        f: &mut fmt::Formatter<'_>,
        start: &str,
        indent: usize,
        text: &str,
    ) -> fmt::Result {
        paragraph(f, self.width, start, indent, text)
    }
}

const CLEAN: &str =
    "every permitted packet came out once, unaltered; nothing violated, nothing left behind";

fn sum(counters: &[DriverCounter], group: &str) -> u64 {
    let of_group = counters.iter().filter(|(other, _, _)| *other == group);
    of_group.fold(0, |sum, (_, _, count)| sum.saturating_add(*count))
}

/// The heading of a group.
fn about(group: Group) -> &'static str {
    match group {
        Group::Classified => "calls of classifyFn",
        Group::Left => "permitted untouched, because not for the driver to judge",
        Group::Inline => "decided during the classify, because they could not be held",
        Group::InlineVerdict => "what the policy said to those",
        Group::Answered => "reauthorizations answered with the decision of their pended connect",
        Group::Held => "held until the worker decides",
        Group::Refused => "blocked, because pending them failed",
        Group::Reinjected => "permitted by the worker",
        Group::Blocked => "held and blocked by the policy",
        Group::Dropped => "held and LOST for a reason that is not the policy's",
        Group::Rebuilt => "got a new IP header before the injection",
        Group::Completed => "injections completed",
        Group::Event => "events",
    }
}

/// Whether a reader asks why: of what was not held and given back in the plain way.
fn wants_a_reason(counter: Counter) -> bool {
    match counter.group() {
        Group::Left
        | Group::Inline
        | Group::Answered
        | Group::Refused
        | Group::Dropped
        | Group::Rebuilt => true,
        Group::Completed => counter != Counter::CompletedSuccess,
        Group::Event => counter != Counter::EngineAdded,
        Group::Classified
        | Group::InlineVerdict
        | Group::Held
        | Group::Reinjected
        | Group::Blocked => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::summary::Lost;

    fn full() -> Summary {
        Summary {
            capture: "host.pcap".to_owned(),
            guessed: Some("it takes part in more packets than any other".to_owned()),
            driver: Counter::ALL
                .iter()
                .map(|counter| (counter.group().name(), counter.name(), 123_456))
                .collect(),
            dropped: [("ipsec_no_association", 7), ("not_for_host", 3)].into(),
            lost: vec![Lost {
                number: 17,
                what: "protocol 6 from 192.0.2.9 to 192.0.2.10".to_owned(),
            }],
            ..Summary::default()
        }
    }

    #[test]
    fn everything_fits_the_terminal_wide_or_narrow() {
        for width in [60, 80, 100] {
            for line in full().text(width).to_string().lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
                assert_eq!(line.trim_end(), line);
            }
        }
        // A name and its number are not broken; all else is.
        let narrow = full().text(40).to_string();
        let long: Vec<_> = narrow.lines().filter(|line| line.len() > 40).collect();
        assert!(
            long.iter().all(|line| line.trim().contains('_')),
            "{long:?}"
        );
    }

    #[test]
    fn the_reason_of_a_drop_is_told_in_words() {
        let text = full().to_string();
        assert!(
            text.contains("no association with this destination"),
            "{text}"
        );
        assert!(
            text.contains("The IP header could not be rebuilt."),
            "{text}"
        );
        assert!(text.contains("LOST    packet 17 of the capture"), "{text}");
        assert!(
            text.contains("NOT CLEAN: violations 0, packets lost 1"),
            "{text}"
        );
    }
}
