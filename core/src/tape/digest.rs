//! A rolling digest of everything a machine asked for.

use core::fmt;

use blake2::{Blake2b, Digest as _, digest::consts::U32};
use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// Blake2b-256 over the *encoded* actions of a run, rolled forward by each event that had any:
/// `next = H(domain, previous, event number, how many, encodings)`.
///
/// The encoding is postcard, fixed by [`FORMAT`](super::FORMAT); `core::hash` would differ between
/// platforms. Equal runs have equal digests everywhere.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Rolls forward by the actions of one event; its number counts from 1. An empty list changes
    /// nothing.
    pub fn roll<A: Serialize>(&mut self, event: u64, actions: &[A]) {
        if actions.is_empty() {
            return;
        }
        let count = u64::try_from(actions.len()).unwrap_or(u64::MAX);
        let mut hash = Blake2b::<U32>::new();
        hash.update(DOMAIN);
        hash.update(self.0);
        hash.update(event.to_le_bytes());
        hash.update(count.to_le_bytes());
        for action in actions {
            // Fails only for a value that postcard cannot say, the same way on every platform.
            if postcard::serialize_with_flavor(action, Hashing(&mut hash)).is_err() {
                hash.update(UNSAYABLE);
            }
        }
        self.0 = hash.finalize().into();
    }

    /// Its first eight bytes, little endian.
    pub const fn short(&self) -> u64 {
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = self.0;
        u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7])
    }

    /// All of it.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Postcard's output, straight into the hash.
struct Hashing<'a>(&'a mut Blake2b<U32>);

impl Flavor for Hashing<'_> {
    type Output = ();

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.update([data]);
        Ok(())
    }

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.update(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

const DOMAIN: &[u8] = b"samanea actions 1";
const UNSAYABLE: &[u8] = b"unsayable";
