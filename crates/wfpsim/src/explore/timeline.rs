//! A run, told: the threads side by side, with the call that each makes at each step.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use crate::machine::Random;
use crate::machine::ThreadId;
use crate::machine::choice::Ask;
use crate::machine::choice::Candidates;
use crate::machine::choice::Place;
use crate::machine::choice::Replay;
use crate::machine::choice::Step;
use crate::machine::choice::Strategy;
use crate::machine::choice::Trace;

/// One step that was seen.
#[derive(Clone, Debug)]
struct Seen {
    thread: ThreadId,
    step: Step,
    objects: Vec<usize>,
}

#[derive(Debug, Default)]
struct Notes {
    steps: Vec<Seen>,
    names: BTreeMap<ThreadId, String>,
    /// The steps beside choices.
    marked: BTreeSet<usize>,
    /// The threads that were stopped by a choice and have not gone on yet.
    stopped: BTreeSet<ThreadId>,
}

/// Follows a trace and watches.
#[derive(Debug)]
pub(super) struct Watch {
    replay: Replay,
    notes: Rc<RefCell<Notes>>,
}

/// What was watched.
#[derive(Debug)]
pub(super) struct Watched(Rc<RefCell<Notes>>);

impl Watch {
    pub fn new(trace: &Trace) -> (Self, Watched) {
        let notes = Rc::new(RefCell::new(Notes::default()));
        let watch = Self {
            replay: Replay::new(trace),
            notes: Rc::clone(&notes),
        };
        (watch, Watched(notes))
    }
}

impl Strategy for Watch {
    fn preempts(&mut self, random: &Random, place: Place, percent: u8) -> bool {
        self.replay.preempts(random, place, percent)
    }

    fn thread(&mut self, random: &Random, place: Place, candidates: &Candidates<'_>) -> usize {
        let index = self.replay.thread(random, place, candidates);
        if candidates.preempted || index != candidates.usual {
            let mut notes = self.notes.borrow_mut();
            let next = notes.steps.len();
            notes.marked.extend(next.checked_sub(1));
            notes.marked.insert(next);
            if candidates.preempted {
                notes.stopped.insert(place.thread);
            }
        }
        index
    }

    fn environment(&mut self, random: &Random, place: Place, ask: Ask) -> usize {
        let answer = self.replay.environment(random, place, ask);
        if answer != 0 {
            let mut notes = self.notes.borrow_mut();
            let now = notes.steps.len().checked_sub(1);
            notes.marked.extend(now);
        }
        answer
    }

    fn step(&mut self, thread: ThreadId, step: &Step) {
        let mut notes = self.notes.borrow_mut();
        if notes.stopped.remove(&thread) {
            let now = notes.steps.len();
            notes.marked.insert(now);
        }
        notes.steps.push(Seen {
            thread,
            step: step.clone(),
            objects: Vec::new(),
        });
    }

    fn touches(&mut self, object: usize, _changes: bool) {
        if let Some(seen) = self.notes.borrow_mut().steps.last_mut() {
            seen.objects.push(object);
        }
    }

    fn begins(&mut self, thread: ThreadId, name: &str, _parent: ThreadId) {
        self.notes
            .borrow_mut()
            .names
            .insert(thread, name.to_owned());
    }
}

/// One row: a call, or calls that were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The thread's number.
    pub thread: u32,
    /// How many steps came before.
    pub step: usize,
    /// The call; `None` for steps that are left out.
    pub call: Option<&'static str>,
    /// How many steps the row stands for.
    pub steps: usize,
}

/// The end of a run as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// The threads that are in it: number and name.
    pub threads: Vec<(u32, String)>,
    /// The rows, in order.
    pub rows: Vec<Row>,
}

impl Timeline {
    /// How many calls it shows.
    pub fn calls(&self) -> usize {
        self.rows.iter().filter(|row| row.call.is_some()).count()
    }
}

impl Watched {
    /// The steps that matter: those beside the choices, where a stopped thread goes on, the last one, and the last that each
    /// thread did to the objects which that concerns.
    pub fn timeline(&self) -> Timeline {
        let notes = self.0.borrow();
        let steps = &notes.steps;
        let Some(last) = steps.len().checked_sub(1) else {
            return Timeline::default();
        };
        let mut kept: BTreeSet<usize> = notes.marked.range(..=last).copied().collect();
        kept.insert(last);
        let concerned = |seen: &Seen| {
            seen.objects
                .iter()
                .any(|object| steps[last].objects.contains(object))
        };
        let mut told = BTreeSet::new();
        for (index, seen) in steps.iter().enumerate().rev() {
            if concerned(seen) && told.insert(seen.thread) {
                kept.insert(index);
            }
        }
        notes.rows(&kept)
    }
}

impl Notes {
    fn rows(&self, kept: &BTreeSet<usize>) -> Timeline {
        let mut rows: Vec<Row> = Vec::new();
        for (index, seen) in self.steps.iter().enumerate() {
            let thread = seen.thread.0;
            if kept.contains(&index) {
                rows.push(Row {
                    thread,
                    step: index,
                    call: Some(seen.step.call),
                    steps: 1,
                });
                continue;
            }
            match rows.last_mut() {
                Some(row) if row.call.is_none() => row.steps += 1,
                _ => rows.push(Row {
                    thread,
                    step: index,
                    call: None,
                    steps: 1,
                }),
            }
        }
        let shown: BTreeSet<u32> = rows
            .iter()
            .filter(|row| row.call.is_some())
            .map(|row| row.thread)
            .collect();
        let threads = shown.into_iter().map(|thread| {
            let name = self.names.get(&ThreadId(thread));
            (thread, name.cloned().unwrap_or_else(|| "host".to_owned()))
        });
        Timeline {
            threads: threads.collect(),
            rows,
        }
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LEAST: usize = 20;
        let column = |thread: u32| {
            self.threads
                .iter()
                .position(|&(number, _)| number == thread)
        };
        let width = |index: usize| {
            let calls = self.rows.iter().filter_map(|row| {
                row.call
                    .filter(|_| column(row.thread) == Some(index))
                    .map(str::len)
            });
            let (number, name) = &self.threads[index];
            let name = name.len() + number.to_string().len() + 1;
            calls.chain([name, LEAST]).max().unwrap_or(LEAST)
        };
        let widths: Vec<usize> = (0..self.threads.len()).map(width).collect();
        write!(f, "{:>6}", "step")?;
        for ((number, name), width) in self.threads.iter().zip(&widths) {
            write!(f, "  {:<width$}", format!("{number} {name}"))?;
        }
        writeln!(f)?;
        for row in &self.rows {
            match row.call {
                None => writeln!(f, "{:>6}  ({} steps)", "", row.steps)?,
                Some(call) => {
                    let index = column(row.thread).unwrap_or(0);
                    let before: usize = widths[..index].iter().map(|width| width + 2).sum();
                    writeln!(f, "{:>6}  {:before$}{call}", row.step + 1, "")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_stand_side_by_side() {
        let row = |thread, step, call| Row {
            thread,
            step,
            call,
            steps: 7,
        };
        let timeline = Timeline {
            threads: vec![(3, "receive".to_owned()), (5, "worker".to_owned())],
            rows: vec![
                row(3, 0, None),
                row(3, 7, Some("KeSetEvent")),
                row(5, 8, Some("KeWaitForSingleObject")),
            ],
        };
        let text = timeline.to_string();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "  step  3 receive             5 worker",
                "        (7 steps)",
                "     8  KeSetEvent",
                "     9                        KeWaitForSingleObject",
            ]
        );
    }
}
