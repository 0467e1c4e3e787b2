//! Serves ranges of block bodies; the owner loads them.

use bytes::Bytes;

use crate::base::Point;

/// What its owner answers to one [`Fact::Requested`]: either `NoBlocks`, or `Start`, any number
/// of `Block`s and `Done`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The range is here and will be streamed.
    Start,
    /// The range is not here.
    NoBlocks,
    /// The next block: the bytes that go inside tag 24, never copied.
    Block(Bytes),
    /// That was the last one.
    Done,
}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer wants these bodies, both ends inclusive, older first. The next request is read
    /// only when this one is answered.
    Requested {
        /// The oldest block wanted.
        from: Point,
        /// The newest block wanted.
        to: Point,
    },
}
