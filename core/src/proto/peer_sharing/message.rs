//! Messages and addresses as bytes.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Bytes, BytesMut};

use super::{BYTES_MAX, MSG_DONE, PeerSharing, SHARE_PEERS, SHARE_REQUEST, SPEC};
use crate::{
    base::{Kind, Spec, State},
    proto::Protocol,
    wire::codec::{DecodeError, ListForm, Reader, Writer},
};

/// All messages of peer-sharing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Message {
    /// `[0, amount]`: the client asks for up to so many addresses.
    ShareRequest(u8),
    /// `[1, [* address]]`: the server's answer.
    SharePeers(Vec<SocketAddr>),
    /// `[2]`: the client ends the protocol.
    Done,
}

impl Protocol for PeerSharing {
    const SPEC: &'static Spec = &SPEC;
    type Message = Message;

    fn kind(message: &Message) -> Kind {
        match message {
            Message::ShareRequest(_) => SHARE_REQUEST,
            Message::SharePeers(_) => SHARE_PEERS,
            Message::Done => MSG_DONE,
        }
    }

    fn decode(state: State, bytes: &Bytes) -> Result<Message, DecodeError> {
        let (kind, mut reader) = Reader::message(bytes, &SPEC, state)?;
        let message = match kind {
            SHARE_REQUEST => Message::ShareRequest(reader.u8()?),
            SHARE_PEERS => Message::SharePeers(addresses(&mut reader)?),
            _ => Message::Done,
        };
        reader.end()?;
        Ok(message)
    }

    fn encode(message: &Message, out: &mut BytesMut) -> Bytes {
        let mut writer = Writer::message(out, &SPEC, Self::kind(message));
        match message {
            Message::ShareRequest(amount) => {
                writer.u64(*amount);
            }
            Message::SharePeers(addresses) if addresses.is_empty() => {
                writer.array(0);
            }
            Message::SharePeers(addresses) => {
                writer.open();
                for address in addresses {
                    put_address(&mut writer, address);
                }
                writer.close();
            }
            Message::Done => {}
        }
        Bytes::new()
    }
}

/// A list in either form; the byte limit of the message bounds it.
fn addresses(reader: &mut Reader<'_>) -> Result<Vec<SocketAddr>, DecodeError> {
    let max = u32::try_from(BYTES_MAX / ADDRESS_BYTES_MIN).unwrap_or(0);
    let mut list = reader.list(ListForm::Either, max)?;
    let mut out = Vec::new();
    while reader.more(&mut list)? {
        out.push(address(reader)?);
    }
    Ok(out)
}

/// `[0, word, port]` or `[1, word, word, word, word, port]`. The `IPv4` word holds the octets in
/// little-endian order, each `IPv6` word four octets in big-endian order.
fn address(reader: &mut Reader<'_>) -> Result<SocketAddr, DecodeError> {
    let got = reader.array_head()?;
    let label = reader.u64()?;
    let want = match label {
        0 => 3,
        1 => 6,
        _ => return Err(DecodeError::Label { label }),
    };
    if got != u64::from(want) {
        let got = u32::try_from(got).unwrap_or(u32::MAX);
        return Err(DecodeError::Items { want, got });
    }
    let ip = if label == 0 {
        Ipv4Addr::from(reader.u32()?.to_le_bytes()).into()
    } else {
        let mut bits = 0_u128;
        for _ in 0..4 {
            bits = bits << 32 | u128::from(reader.u32()?);
        }
        Ipv6Addr::from_bits(bits).into()
    };
    Ok(SocketAddr::new(ip, reader.u16()?))
}

fn put_address(writer: &mut Writer<'_>, address: &SocketAddr) {
    match address {
        SocketAddr::V4(v4) => {
            let word = u32::from_le_bytes(v4.ip().octets());
            writer.array(3).u64(0_u8).u64(word).u64(v4.port());
        }
        SocketAddr::V6(v6) => {
            writer.array(6).u64(1_u8);
            let bits = v6.ip().to_bits();
            for shift in [96, 64, 32, 0] {
                let word = bits >> shift & u128::from(u32::MAX);
                writer.u64(u32::try_from(word).unwrap_or(u32::MAX));
            }
            writer.u64(v6.port());
        }
    }
}

/// `[0, 0, 0]` takes four bytes.
const ADDRESS_BYTES_MIN: usize = 4;
