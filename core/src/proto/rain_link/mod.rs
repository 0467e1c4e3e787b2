//! The link between two members of structured gossip: our own mini-protocol.

mod frame;

pub use frame::{
    ADDRESS_BYTES_MAX, Data, Duty, ENTRIES_MAX, Entry, Flags, Frame, HOLES_MAX, IDS_MAX, Ids, Igyw,
    Joined, Left, Limit, PAYLOAD_BYTES_MAX, RECORDS_MAX, Record, Why, write_group,
};
