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
///
/// A snapshot with more items than its maximum is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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

#[cfg(feature = "serde")]
impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Queue<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename = "Queue")]
        struct Parts<T> {
            items: VecDeque<T>,
            max: usize,
        }
        let Parts { items, max } = Parts::deserialize(deserializer)?;
        if items.len() > max {
            return Err(serde::de::Error::custom("a queue above its maximum"));
        }
        Ok(Self { items, max })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A queue does what a plain list cut at its maximum does.
        #[test]
        fn a_queue_is_a_list_with_a_maximum(
            max in 0_usize..6,
            pushes in prop::collection::vec(prop::option::weighted(0.7, any::<u8>()), 1..60),
        ) {
            let mut queue = Queue::new(max);
            let mut model: VecDeque<u8> = VecDeque::new();
            for push in pushes {
                match push {
                    Some(item) if model.len() < max => {
                        prop_assert_eq!(queue.push(item), Ok(()));
                        model.push_back(item);
                    }
                    Some(item) => prop_assert_eq!(queue.push(item), Err(Full { item, max })),
                    None => prop_assert_eq!(queue.pop(), model.pop_front()),
                }
                prop_assert!(queue.iter().eq(model.iter()));
                prop_assert_eq!(queue.front(), model.front());
                prop_assert_eq!(queue.back(), model.back());
                prop_assert_eq!((queue.len(), queue.room()), (model.len(), max - model.len()));
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn the_front_can_be_changed_and_all_forgotten() {
        let mut queue = Queue::new(2);
        queue.push(1).unwrap();
        *queue.front_mut().unwrap() = 5;
        assert_eq!(queue.pop(), Some(5));
        queue.push(2).unwrap();
        queue.clear();
        assert_eq!((queue.len(), queue.room(), queue.max()), (0, 2, 2));
        assert_eq!(queue.front_mut(), None);
    }

    #[cfg(feature = "tape")]
    #[test]
    fn a_snapshot_above_the_maximum_is_refused() {
        let mut queue = Queue::new(3);
        queue.push(7_u8).unwrap();
        queue.push(8).unwrap();
        let mut bytes = postcard::to_allocvec(&queue).unwrap();
        assert_eq!(postcard::from_bytes(&bytes), Ok(queue));
        assert_eq!(bytes, [2, 7, 8, 3]);
        bytes[3] = 1;
        assert!(postcard::from_bytes::<Queue<u8>>(&bytes).is_err());
    }
}
