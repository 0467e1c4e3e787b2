//! Fetches ranges of block bodies, many requests in flight.

use bytes::Bytes;

use crate::base::Point;

/// What its owner can ask of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask for the bodies from `from` to `to`, both inclusive, older first. At most 100 are in
    /// flight; more wait in the client's queue of the same size, then are refused as
    /// [`Fact::Refused`].
    Request {
        /// The oldest block wanted.
        from: Point,
        /// The newest block wanted.
        to: Point,
    },
}

/// What the client tells; answers come in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer begins to stream the oldest unanswered range.
    Started,
    /// The next block of the range: the bytes inside tag 24, uncopied.
    Block(Bytes),
    /// The range is complete, as the peer sees it.
    Done,
    /// The peer has not got the oldest unanswered range.
    NoBlocks,
    /// The request found no room and was not sent.
    Refused {
        /// As in the order.
        from: Point,
        /// As in the order.
        to: Point,
    },
}
