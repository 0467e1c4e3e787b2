//! Messages of keep-alive and their bytes.

use bytes::{Bytes, BytesMut};

use super::{KEEP_ALIVE, MSG_DONE, RESPONSE, SPEC};
use crate::{
    base::{Kind, Spec, State},
    proto::Protocol,
    wire::codec::{self, DecodeError, Reader},
};

/// The protocol as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Message {
    /// `[0, cookie]`: are you there?
    KeepAlive(u16),
    /// `[1, cookie]`: yes, with the same cookie.
    Response(u16),
    /// `[2]`: goodbye.
    Done,
}
