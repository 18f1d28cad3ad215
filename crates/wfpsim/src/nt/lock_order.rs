//! In which order locks are taken: two that are taken in both orders, or a longer ring of them, will meet one day, whether they
//! did this time or not (C-02). Driver Verifier's deadlock detection.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;

use super::spinlock;
use crate::machine::Kernel;

/// Pairs of locks of which the second was taken while the first was held.
pub type Orders = RefCell<BTreeSet<(usize, usize)>>;

/// Notes that `taken` is about to be taken with what the thread holds, and stops if that closes a ring.
pub(super) fn check(kernel: &Kernel, taken: usize) {
    let held = kernel.running().locks.borrow().clone();
    if held.is_empty() {
        return;
    }
    let mut orders = kernel.nt.orders.borrow_mut();
    let ring = held
        .iter()
        .copied()
        .find_map(|held| path(&orders, taken, held));
    orders.extend(held.iter().map(|&held| (held, taken)));
    drop(orders);
    if let Some(ring) = ring {
        let told: Vec<String> = ring.iter().map(|lock| format!("{lock:#x}")).collect();
        let held = ring.last().copied().unwrap_or(taken);
        let summary = format!(
            "spin lock {taken:#x} was acquired while {held:#x} was held; before, they were acquired the other way round: {}",
            told.join(", then ")
        );
        spinlock::deadlock_rule(kernel, 0x1001, taken, "C-02", summary);
    }
}

/// The locks on a way from one to another, each taken while the one before was held.
fn path(orders: &BTreeSet<(usize, usize)>, from: usize, to: usize) -> Option<Vec<usize>> {
    let mut seen = BTreeSet::from([from]);
    let mut ways = vec![vec![from]];
    while let Some(way) = ways.pop() {
        let last = *way.last()?;
        if last == to {
            return Some(way);
        }
        for &(_, next) in orders.range((last, 0)..=(last, usize::MAX)) {
            if seen.insert(next) {
                let mut longer = way.clone();
                longer.push(next);
                ways.push(longer);
            }
        }
    }
    None
}

/// Forgets the locks of memory that is gone.
pub(super) fn forget(kernel: &Kernel, gone: &Range<usize>) {
    kernel
        .nt
        .orders
        .borrow_mut()
        .retain(|(outer, inner)| !gone.contains(outer) && !gone.contains(inner));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_any_length_is_found_and_a_tree_is_none() {
        let orders = BTreeSet::from([(1, 2), (2, 3), (1, 4), (4, 3)]);
        assert_eq!(path(&orders, 1, 3).map(|way| way.len()), Some(3));
        assert_eq!(path(&orders, 3, 1), None);
        assert_eq!(path(&orders, 2, 4), None);
    }
}
