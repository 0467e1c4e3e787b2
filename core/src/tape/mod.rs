//! Tapes: a whole run on record, and the same run again.
//!
//! ```text
//!  magic, format │ head: versions, rules' name, snapshot │ event │ actions │ event │ … │ end
//!  8 + 2 bytes   │ each frame: length (u32, little endian), then one postcard value
//! ```
//! A tape holds the state at its start and then, in one total order, every event with the time at
//! which it was fed. Whatever a machine does follows from that, so the actions themselves are not
//! kept: a rolling [`Digest`] of their encoding is, after each event that had any, and in full
//! every [`CHECKPOINT_EVENTS`] events and at the end.
//!
//! [`Recorder`] writes a tape as a [`Tap`](crate::node::Tap) of any driver. [`Replay`] feeds the
//! events of a tape to the restored state and names the first record that does not follow.
//!
//! Limits: a frame has at most [`FRAME_BYTES_MAX`] bytes (inclusive). A recorder that meets a
//! larger event ends its tape there and says so in it. A reader allocates for bytes that are
//! there, never for a length that is only claimed.
//!
//! Decoding a snapshot needs the same version of this crate that wrote it: postcard does not
//! describe itself. The head is readable across versions of one format.

mod digest;
mod frame;
mod head;
mod record;
mod replay;
#[cfg(test)]
mod tests;

pub use digest::Digest;
pub use head::Head;
pub use record::Recorder;
pub use replay::{Ending, Options, Replay, Report, replay};

/// The first bytes of every tape.
pub const MAGIC: [u8; 8] = *b"samanea\x1a";

/// The number of the layout that this module writes and reads.
pub const FORMAT: u16 = 1;

/// Bytes of one frame without its length, inclusive.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

/// Events between two full digests.
pub const CHECKPOINT_EVENTS: u64 = 1_024;

/// Where a tape goes. A sink that fails remembers it and drops what follows; the tape then reads
/// as truncated.
pub trait Sink {
    /// Takes the next bytes; always whole frames, except for the first ten bytes.
    fn write(&mut self, bytes: &[u8]);
}

impl Sink for alloc::vec::Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Why a tape cannot be written, read or followed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not begin as a tape does.
    #[error("not a tape")]
    NotATape,
    /// Another layout than [`FORMAT`].
    #[error("tape format {got} where {FORMAT} is read")]
    Format {
        /// What the tape says.
        got: u16,
    },
    /// Written by another version of this crate, whose snapshots need not fit.
    #[error("written by another version of samanea-core")]
    Version,
    /// The tape ends before its head does; nothing can be replayed.
    #[error("truncated within the head")]
    NoHead,
    /// Recorded under other rules than those given; the head tells their name.
    #[error("recorded under other rules")]
    OtherRules,
    /// A frame that is too large, does not decode or has bytes left over.
    #[error("frame {frame} is corrupt")]
    Corrupt {
        /// Its number; the head is 0.
        frame: u64,
    },
    /// The snapshot does not decode or breaks an invariant of its machine.
    #[error("the snapshot does not fit this machine")]
    Snapshot,
    /// The state has more than [`FRAME_BYTES_MAX`] bytes; the caller may record from an earlier
    /// state.
    #[error("the snapshot is larger than {FRAME_BYTES_MAX} bytes")]
    TooLarge,
    /// The actions differ from those on the tape: a changed machine, other rules under the same
    /// name, or a step that is not deterministic.
    #[error("event {event} (frame {frame}) led to other actions than recorded")]
    Diverged {
        /// The event whose actions differ; the first is 1.
        event: u64,
        /// The frame that says otherwise; the head is 0.
        frame: u64,
    },
    /// An invariant does not hold after this event.
    #[error("after event {event}: {violated}")]
    Violated {
        /// The event; the first is 1.
        event: u64,
        /// Which invariant.
        violated: crate::base::Violated,
    },
    /// A snapshot taken after this event and restored is not equal to the state.
    #[error("a restored snapshot differs after event {event}")]
    Unfaithful {
        /// The event; the first is 1.
        event: u64,
    },
}
