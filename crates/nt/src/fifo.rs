//! A first-in-first-out list of boxes, linked through the boxes themselves: pushing allocates nothing and cannot fail.
//!
//! Meant to sit inside a [`SpinLock`](crate::spinlock::SpinLock). Under the lock only O(1) operations that move owners are needed: [`Fifo::push`],
//! [`Fifo::pop`] and [`Fifo::take_all`]; whatever they return is dropped after the guard, so no destructor runs under the lock.

use core::{
    fmt,
    ops::{Deref, DerefMut},
    ptr::NonNull,
};

use crate::pool::{OutOfMemory, PoolBox};

/// Where a node is. The list that has the link owns the node.
type Link<T> = NonNull<Node<T>>;

/// A value that can be put into a [`Fifo`], with the place for the link.
pub struct Node<T> {
    next: Option<Link<T>>,
    value: T,
}

// SAFETY: The link is used by the list that owns the node and by nobody else; a node outside a list has none.
unsafe impl<T: Send> Send for Node<T> {}
// SAFETY: A shared node gives shared references to its value; the link cannot be reached through it.
unsafe impl<T: Sync> Sync for Node<T> {}

impl<T> Node<T> {
    /// Moves `value` into a node in pool. IRQL ≤ DISPATCH_LEVEL.
    ///
    /// # Errors
    ///
    /// The value comes back in [`OutOfMemory`], which turns into STATUS_INSUFFICIENT_RESOURCES.
    pub fn try_new(value: T) -> Result<PoolBox<Node<T>>, OutOfMemory<T>> {
        PoolBox::try_new(Node { next: None, value })
            .map_err(|OutOfMemory(node)| OutOfMemory(node.value))
    }

    /// Takes the value out and frees the node. IRQL ≤ DISPATCH_LEVEL.
    pub fn into_value(node: PoolBox<Node<T>>) -> T {
        PoolBox::into_inner(node).value
    }
}

impl<T> Deref for Node<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Node<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.value, f)
    }
}

/// The list. Owns its nodes.
pub struct Fifo<T> {
    /// First and last node, or nothing if the list is empty. Every node was a box; the last one's `next` is none.
    ends: Option<(Link<T>, Link<T>)>,
}

// SAFETY: The list owns its nodes alone.
unsafe impl<T: Send> Send for Fifo<T> {}
// SAFETY: A shared list gives shared references to values and nothing else.
unsafe impl<T: Sync> Sync for Fifo<T> {}

impl<T> Fifo<T> {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Fifo<T> {
        Fifo { ends: None }
    }

    /// Whether there is nothing in the list.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// Appends a node. O(1), allocates nothing, cannot fail.
    pub fn push(&mut self, node: PoolBox<Node<T>>) {
        // SAFETY: The pointer is given back to a box by `pop`, which the list's destructor calls until nothing is left.
        let node = unsafe { PoolBox::into_raw(node) };
        self.ends = match self.ends {
            None => Some((node, node)),
            Some((first, mut last)) => {
                // SAFETY: The list owns its last node, and is borrowed mutably.
                unsafe { last.as_mut() }.next = Some(node);
                Some((first, node))
            }
        };
    }

    /// Takes the first node out. O(1).
    pub fn pop(&mut self) -> Option<PoolBox<Node<T>>> {
        let (first, last) = self.ends?;
        // SAFETY: The list owned this node since `push` took it out of its box; it leaves the list here.
        let mut node = unsafe { PoolBox::from_raw(first) };
        self.ends = node.next.take().map(|next| (next, last));
        Some(node)
    }

    /// Takes everything out. O(1).
    #[must_use]
    pub fn take_all(&mut self) -> Fifo<T> {
        Fifo {
            ends: self.ends.take(),
        }
    }

    /// Moves everything of `other` to the end of this list. O(1).
    pub fn append(&mut self, mut other: Fifo<T>) {
        let Some((other_first, other_last)) = other.ends.take() else {
            return;
        };
        self.ends = match self.ends {
            None => Some((other_first, other_last)),
            Some((first, mut last)) => {
                // SAFETY: The list owns its last node, and is borrowed mutably. The nodes behind it were the other list's, which
                // gave them up above.
                unsafe { last.as_mut() }.next = Some(other_first);
                Some((first, other_last))
            }
        };
    }

    /// The value that [`Fifo::pop`] would take out.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        // SAFETY: The list owns its first node and is borrowed for as long as the reference lives.
        self.ends.map(|(first, _)| &unsafe { first.as_ref() }.value)
    }
}

impl<T> Default for Fifo<T> {
    fn default() -> Fifo<T> {
        Fifo::new()
    }
}

impl<T> Drop for Fifo<T> {
    fn drop(&mut self) {
        // One after the other and not by recursion: a kernel stack has 24 KiB.
        while self.pop().is_some() {}
    }
}

/// Takes the nodes out in order.
impl<T> Iterator for Fifo<T> {
    type Item = PoolBox<Node<T>>;

    fn next(&mut self) -> Option<PoolBox<Node<T>>> {
        self.pop()
    }
}

impl<T> fmt::Debug for Fifo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() {
            "Fifo(empty)"
        } else {
            "Fifo(..)"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{self, fail_allocations_after};
    use std::vec::Vec;

    fn of(values: &[u32]) -> Fifo<u32> {
        let mut list = Fifo::new();
        values
            .iter()
            .for_each(|value| list.push(Node::try_new(*value).unwrap()));
        list
    }

    fn drain(list: Fifo<u32>) -> Vec<u32> {
        list.map(Node::into_value).collect()
    }

    #[test]
    fn packets_leave_in_the_order_they_came() {
        let mut list = of(&[1, 2, 3]);
        assert_eq!(list.front(), Some(&1));
        assert_eq!(list.pop().map(Node::into_value), Some(1));
        list.push(Node::try_new(4).unwrap());
        assert_eq!(drain(list), [2, 3, 4]);
    }

    #[test]
    fn take_all_leaves_an_empty_list_that_can_be_pushed_to() {
        let mut list = of(&[1, 2]);
        let batch = list.take_all();
        assert!(list.is_empty() && list.pop().is_none());
        list.push(Node::try_new(3).unwrap());
        assert_eq!(drain(batch), [1, 2]);
        assert_eq!(drain(list), [3]);
    }

    #[test]
    fn appending_keeps_both_orders_whichever_side_is_empty() {
        for (left, right) in [
            (&[1, 2][..], &[3, 4][..]),
            (&[], &[3]),
            (&[1], &[]),
            (&[], &[]),
        ] {
            let mut list = of(left);
            list.append(of(right));
            list.push(Node::try_new(9).unwrap());
            assert_eq!(drain(list), [left, right, &[9]].concat());
        }
    }

    #[test]
    fn dropping_a_long_list_frees_every_node_without_recursion() {
        let before = doubles::outstanding();
        let mut list = Fifo::new();
        for value in 0..100_000 {
            list.push(Node::try_new(value).unwrap());
        }
        assert_eq!(doubles::outstanding(), before + 100_000);
        drop(list);
        assert_eq!(doubles::outstanding(), before);
    }

    #[test]
    fn a_value_for_which_there_is_no_node_comes_back() {
        let refused = fail_allocations_after(0, || Node::try_new(8));
        assert_eq!(refused.err().unwrap().0, 8);
    }
}
