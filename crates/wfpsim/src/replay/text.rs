//! The summary for people.

use std::fmt;

use super::summary::Summary;

/// How many lost packets are told one by one.
const LOST_TOLD: usize = 10;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.host.iter().map(ToString::to_string).collect();
        writeln!(f, "{}", self.capture)?;
        writeln!(
            f,
            "  host       {}",
            if addresses.is_empty() {
                "(loopback only)".to_owned()
            } else {
                addresses.join(", ")
            }
        )?;
        if let Some(guessed) = &self.guessed {
            writeln!(f, "             guessed: {guessed}")?;
        }
        writeln!(f, "  seed       {}", self.seed)?;
        writeln!(f)?;
        let planned = &self.planned;
        let stack = &self.stack;
        let rows: [(&str, u64, &str); 8] = [
            ("in the capture", planned.records, ""),
            ("to the host", planned.inbound, "packets from the network"),
            ("from the host", planned.outbound, "packets to the network"),
            ("loopback", planned.loopback, "from the host to itself"),
            (
                "delivered",
                self.delivered,
                "reached the transport layer, IPsec removed, fragments put together",
            ),
            ("sent", self.sent, "reached the wire"),
            ("blocked", self.blocked, "by the policy"),
            (
                "lost",
                self.lost.len() as u64,
                "permitted, and did not come out",
            ),
        ];
        writeln!(f, "packets")?;
        for (name, count, text) in rows {
            row(f, name, count, text)?;
        }
        let rows: [(&str, u64, &str); 7] = [
            (
                "permitted inline",
                stack.permitted_inline,
                "passed a transport layer without being held",
            ),
            ("held", stack.held, "absorbed, to be decided by the worker"),
            (
                "pended",
                stack.pended,
                "connects and accepts that waited for a decision",
            ),
            (
                "reauthorized",
                stack.reauthorized,
                "classified again, after a completion or a change of policy",
            ),
            ("reinjected", stack.reinjected, "came back from the worker"),
            (
                "rebuilt",
                stack.rebuilt,
                "got a fresh IP header (IPsec, reassembled fragments)",
            ),
            (
                "tunnel skipped",
                stack.skipped_tunnel,
                "tunnel mode, left alone until its outer header is off",
            ),
        ];
        writeln!(f, "through the driver")?;
        for (name, count, text) in rows {
            row(f, name, count, text)?;
        }
        if !self.dropped.is_empty() {
            writeln!(f, "dropped outside the driver, by reason")?;
            for (reason, count) in &self.dropped {
                row(f, reason, *count, "")?;
            }
        }
        if !self.driver.is_empty() {
            writeln!(f, "the driver's own counters (those that are not zero)")?;
            for (_, name, count) in &self.driver {
                row(f, name, *count, "")?;
            }
        }
        for lost in self.lost.iter().take(LOST_TOLD) {
            writeln!(
                f,
                "LOST packet {} of the capture: {}",
                lost.number, lost.what
            )?;
        }
        if self.lost.len() > LOST_TOLD {
            writeln!(f, "LOST {} more", self.lost.len() - LOST_TOLD)?;
        }
        for (kind, count) in &self.leaks {
            writeln!(f, "LEAKED {count} of {kind}")?;
        }
        for violation in &self.violations {
            writeln!(f)?;
            write!(f, "{violation}")?;
        }
        writeln!(f)?;
        if let Some(error) = &self.input_error {
            writeln!(f, "{error}")?;
        }
        let verdict = if !self.is_clean() {
            format!(
                "NOT CLEAN: {} violations, {} packets lost, {} leaked",
                self.violations.len(),
                self.lost.len(),
                self.leaks.values().sum::<u64>()
            )
        } else if self.input_error.is_some() {
            "clean as far as the input could be read".to_owned()
        } else {
            "clean: every permitted packet came out once, unaltered; nothing violated, nothing left behind".to_owned()
        };
        writeln!(f, "{verdict}")
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, count: u64, text: &str) -> fmt::Result {
    writeln!(
        f,
        "{}",
        format!("  {name:<34} {count:>9}  {text}").trim_end()
    )
}
