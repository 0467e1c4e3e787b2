//! CBOR as strict as the network needs it: bounded readers and writers.
//!
//! ```text
//! Bytes ─▶ Reader ─▶ values, slices of the same Bytes          values ─▶ Writer ─▶ BytesMut
//! ```
//!
//! A [`Reader`] walks one message from its first to its last byte. It accepts a head of any width
//! but only the type, the number of items and the range that are due; nothing that a peer says is
//! a loop bound unless as many bytes are there. A [`Writer`] uses the shortest heads.
//!
//! src: RFC 8949, "Concise Binary Object Representation"
//! src: Ouroboros network specification, "CDDL"

mod reader;
mod skip;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{List, ListForm, Reader};
pub use writer::Writer;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside an item.
    #[error("the bytes end inside an item")]
    Short,
    /// Not well-formed CBOR, or another type than expected, at this byte.
    #[error("unexpected item at byte {at}")]
    Unexpected {
        /// Offset in the message.
        at: u32,
    },
    /// An array with another number of items than the message has.
    #[error("{got} items where {want} are due")]
    Items {
        /// What the message has.
        want: u32,
        /// What came.
        got: u32,
    },
    /// An indefinite list where only a definite one is read, or the other way round.
    #[error("a list of the wrong form at byte {at}")]
    ListForm {
        /// Offset in the message.
        at: u32,
    },
    /// A number outside its range.
    #[error("a number out of range at byte {at}")]
    Range {
        /// Offset in the message.
        at: u32,
    },
    /// A label that has no message in this state.
    #[error("label {label} is no message here")]
    Label {
        /// The label.
        label: u64,
    },
    /// Bytes behind the end of the message.
    #[error("{left} bytes behind the message")]
    Trailing {
        /// How many.
        left: u32,
    },
    /// Known versions of a table that do not rise.
    #[error("versions out of order")]
    VersionOrder,
    /// A list that must not be empty is.
    #[error("an empty list where one item is due")]
    Empty,
    /// A list of more items than its message may have.
    #[error("a list of more than {max} items")]
    TooMany {
        /// The maximum, inclusive.
        max: u32,
    },
    /// A string of more bytes than it may have here.
    #[error("a string of more than {max} bytes")]
    TooLong {
        /// The maximum, inclusive.
        max: u32,
    },
    /// Items that must rise and do not.
    #[error("items out of order")]
    Order,
    /// Nesting deeper than the envelope ever needs.
    #[error("nested too deeply")]
    Depth,
}
