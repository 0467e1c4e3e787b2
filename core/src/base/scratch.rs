//! Memory that is kept between steps for speed alone.

use core::{
    fmt,
    hash::{Hash, Hasher},
    ops::{Deref, DerefMut},
};

/// A buffer whose content between steps means nothing: equal to every other, hashed as nothing,
/// cloned empty and left out of snapshots.
pub struct Scratch<T>(T);

impl<T: Default> Default for Scratch<T> {
    fn default() -> Self {
        Self(T::default())
    }
}

impl<T> Scratch<T> {
    /// Wraps a buffer.
    pub const fn new(inner: T) -> Self {
        Self(inner)
    }
}

impl<T: Default> Clone for Scratch<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T> PartialEq for Scratch<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Scratch<T> {}

impl<T> Hash for Scratch<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl<T> fmt::Debug for Scratch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch")
    }
}

impl<T> Deref for Scratch<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

#[cfg(feature = "serde")]
impl<T> serde::Serialize for Scratch<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

#[cfg(feature = "serde")]
impl<'de, T: Default> serde::Deserialize<'de> for Scratch<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer)?;
        Ok(Self::default())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec, vec::Vec};
    use std::hash::DefaultHasher;

    use super::*;

    #[test]
    fn what_is_in_a_scratch_is_no_part_of_the_state() {
        let full = Scratch::new(vec![1, 2, 3]);
        let empty: Scratch<Vec<i32>> = Scratch::default();
        assert!(full == empty);
        let hash = |scratch: &Scratch<Vec<i32>>| {
            let mut hasher = DefaultHasher::new();
            (scratch, 1).hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&full), hash(&empty));
        assert_eq!(full.clone().len(), 0);
        assert_eq!(format!("{full:?}"), "Scratch");
    }

    #[test]
    fn it_is_a_plain_buffer_within_a_step() {
        let mut scratch: Scratch<Vec<u8>> = Scratch::default();
        scratch.extend([1, 2]);
        assert_eq!(*scratch, [1, 2]);
    }

    #[cfg(feature = "tape")]
    #[test]
    fn a_snapshot_leaves_it_out() {
        let bytes = postcard::to_allocvec(&Scratch::new(vec![1_u8, 2])).unwrap();
        assert!(bytes.is_empty());
        let restored: Scratch<Vec<u8>> = postcard::from_bytes(&bytes).unwrap();
        assert!(restored.is_empty());
    }
}
