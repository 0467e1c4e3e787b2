//! Queues that know how long they may get.

use alloc::collections::VecDeque;

/// A queue at its maximum; the item comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue holds its maximum of {max} items")]
pub struct Full<T> {
    /// The item that found no room.
    pub item: T,
    /// The maximum, inclusive.
    pub max: usize,
}

/// First in, first out, at most `max` items (inclusive).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Queue<T> {
    items: VecDeque<T>,
    max: usize,
}

impl<T> Queue<T> {
    /// An empty queue for at most `max` items.
    pub const fn new(max: usize) -> Self {
        Self {
            items: VecDeque::new(),
            max,
        }
    }

    /// Appends, or gives the item back when the queue is full.
    pub fn push(&mut self, item: T) -> Result<(), Full<T>> {
        if self.items.len() >= self.max {
            return Err(Full {
                item,
                max: self.max,
            });
        }
        self.items.push_back(item);
        Ok(())
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop_front()
    }

    /// The oldest.
    pub fn front(&self) -> Option<&T> {
        self.items.front()
    }

    /// The oldest, to change.
    pub fn front_mut(&mut self) -> Option<&mut T> {
        self.items.front_mut()
    }

    /// The newest.
    pub fn back(&self) -> Option<&T> {
        self.items.back()
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.items.iter()
    }

    /// Items held.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Items that still fit.
    pub fn room(&self) -> usize {
        self.max.saturating_sub(self.items.len())
    }

    /// The maximum, inclusive.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Forgets all items.
    pub fn clear(&mut self) {
        self.items.clear();
    }
}
