//! Messages as bytes. Lists are indefinite on the wire, even when they are empty.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::{
    MSG_DONE, MSG_INIT, REPLY_IDS, REPLY_TXS, REQUEST_IDS_BLOCKING, REQUEST_IDS_NON_BLOCKING,
    REQUEST_TXS, SPEC, TX_IDS_BLOCKING, TxSubmission,
};
use crate::{
    base::{Kind, Spec, State, TxId},
    proto::Protocol,
    wire::codec::{DecodeError, ListForm, Reader, Writer},
};

/// Items of any list, inclusive: as many as a request can ask for.
pub const LIST_MAX: u32 = 65_535;

/// Bytes of one transaction id as it travels, inclusive. Ids of all eras have 36 to 38; the limit
/// keeps a peer from filling the window with something else.
pub const TX_ID_BYTES_MAX: usize = 64;

/// Items that lists usually have.
const LIST_USUAL: usize = 3;

/// All messages of tx-submission2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// `[6]`: the client's hello.
    Init,
    /// `[0, blocking, acked, wanted]`: the server asks for ids.
    RequestTxIds {
        /// Whether the answer waits until there is at least one id.
        blocking: bool,
        /// The oldest announced ids that the server has done with.
        acked: u16,
        /// Ids wanted at most.
        wanted: u16,
    },
    /// `[1, [_ [id, size]]]`: ids and the sizes of their transactions in bytes.
    ReplyTxIds(Vec<(TxId, u32)>),
    /// `[2, [_ id]]`: the server asks for transactions.
    RequestTxs(Vec<TxId>),
    /// `[3, [_ tx]]`: the transactions that are still there.
    ReplyTxs(Vec<Bytes>),
    /// `[4]`: the client ends the protocol.
    Done,
}

impl Protocol for TxSubmission {
    const SPEC: &'static Spec = &SPEC;
    type Message = Message;

    fn kind(message: &Message) -> Kind {
        match message {
            Message::Init => MSG_INIT,
            Message::RequestTxIds { blocking: true, .. } => REQUEST_IDS_BLOCKING,
            Message::RequestTxIds { .. } => REQUEST_IDS_NON_BLOCKING,
            Message::ReplyTxIds(_) => REPLY_IDS,
            Message::RequestTxs(_) => REQUEST_TXS,
            Message::ReplyTxs(_) => REPLY_TXS,
            Message::Done => MSG_DONE,
        }
    }

    fn decode(state: State, bytes: &Bytes) -> Result<Message, DecodeError> {
        let (kind, mut reader) = Reader::message(bytes, &SPEC, state)?;
        let message = match kind {
            MSG_INIT => Message::Init,
            REQUEST_IDS_BLOCKING | REQUEST_IDS_NON_BLOCKING => Message::RequestTxIds {
                blocking: reader.bool()?,
                acked: reader.u16()?,
                wanted: reader.u16()?,
            },
            REPLY_IDS => Message::ReplyTxIds(announced(&mut reader, state)?),
            REQUEST_TXS => Message::RequestTxs(list(&mut reader, tx_id)?),
            REPLY_TXS => Message::ReplyTxs(list(&mut reader, Reader::raw)?),
            _ => Message::Done,
        };
        reader.end()?;
        Ok(message)
    }

    fn encode(message: &Message, out: &mut BytesMut) -> Bytes {
        let mut writer = Writer::message(out, &SPEC, Self::kind(message));
        match message {
            Message::Init | Message::Done => {}
            Message::RequestTxIds {
                blocking,
                acked,
                wanted,
            } => {
                writer.bool(*blocking).u64(*acked).u64(*wanted);
            }
            Message::ReplyTxIds(ids) => {
                writer.open();
                for (id, size) in ids {
                    writer.array(2).raw(&id.0).u64(*size);
                }
                writer.close();
            }
            Message::RequestTxs(ids) => {
                writer.open();
                for id in ids {
                    writer.raw(&id.0);
                }
                writer.close();
            }
            Message::ReplyTxs(txs) => {
                writer.open();
                for tx in txs {
                    writer.raw(tx);
                }
                writer.close();
            }
        }
        Bytes::new()
    }
}

/// Ids and sizes; in the blocking state at least one.
fn announced(reader: &mut Reader<'_>, state: State) -> Result<Vec<(TxId, u32)>, DecodeError> {
    let ids = list(reader, |reader| {
        reader.array(2)?;
        Ok((tx_id(reader)?, reader.u32()?))
    })?;
    if ids.is_empty() && state == TX_IDS_BLOCKING {
        return Err(DecodeError::Empty);
    }
    Ok(ids)
}

fn list<'a, T>(
    reader: &mut Reader<'a>,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut list = reader.list(ListForm::Indefinite, LIST_MAX)?;
    let mut out = Vec::with_capacity(LIST_USUAL);
    while reader.more(&mut list)? {
        out.push(item(reader)?);
    }
    Ok(out)
}

#[inline]
fn tx_id(reader: &mut Reader<'_>) -> Result<TxId, DecodeError> {
    let at = u32::try_from(reader.position()).unwrap_or(u32::MAX);
    let item = reader.raw_slice()?;
    if item.len() > TX_ID_BYTES_MAX {
        return Err(DecodeError::Range { at });
    }
    Ok(TxId(SmallVec::from_slice(item)))
}

/// Ids and transactions of a made-up era, well-formed.
#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for Message {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(match u.int_in_range(0..=5_u8)? {
            0 => Self::Init,
            1 => Self::RequestTxIds {
                blocking: u.arbitrary()?,
                acked: u.arbitrary()?,
                wanted: u.arbitrary()?,
            },
            2 => {
                let ids: Vec<([u8; 32], u32)> = u.arbitrary()?;
                let ids = ids.iter().map(|(id, size)| (made_up_id(id), *size));
                Self::ReplyTxIds(ids.collect())
            }
            3 => {
                let ids: Vec<[u8; 32]> = u.arbitrary()?;
                Self::RequestTxs(ids.iter().map(made_up_id).collect())
            }
            4 => {
                let txs: Vec<Vec<u8>> = u.arbitrary()?;
                Self::ReplyTxs(txs.iter().map(|tx| made_up_tx(tx)).collect())
            }
            _ => Self::Done,
        })
    }
}

/// `[6, id]`.
#[cfg(any(test, feature = "arbitrary"))]
pub(super) fn made_up_id(id: &[u8; 32]) -> TxId {
    let mut out = BytesMut::new();
    Writer::new(&mut out).array(2).u64(6_u8).bytes(id);
    TxId(SmallVec::from_slice(&out))
}

/// `[6, 24(content)]`.
#[cfg(any(test, feature = "arbitrary"))]
pub(super) fn made_up_tx(content: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    writer
        .array(2)
        .u64(6_u8)
        .wrapped_head(content.len())
        .raw(content);
    out.freeze()
}
