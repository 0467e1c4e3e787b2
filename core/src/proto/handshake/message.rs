//! The messages of the handshake.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use bytes::{Bytes, BytesMut};

use super::{
    ACCEPT_VERSION, PROPOSE_VERSIONS, QUERY_REPLY, REFUSE, REPLY_VERSIONS, SPEC, Version,
    VersionTable, version::is_known,
};
use crate::{
    base::{Kind, Spec, State},
    proto::Protocol,
    wire::codec::{DecodeError, ListForm, Reader, Writer},
};

/// The handshake as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handshake;

/// Any message. Tables hold only the versions that are known here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// `[0, {* version => settings}]`: what the client offers.
    ProposeVersions(VersionTable),
    /// The same, met where an answer was expected: both ends dialled. Never sent as such.
    ReplyVersions(VersionTable),
    /// `[1, version, settings]`: the negotiated settings, still encoded.
    AcceptVersion {
        /// The chosen version.
        version: Version,
        /// Its settings, one item.
        data: Bytes,
    },
    /// `[2, reason]`.
    Refuse(Reason),
    /// `[3, {* version => settings}]`: the server's whole table.
    QueryReply(VersionTable),
}

/// Why a server refuses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// `[0, [* version]]`: no common version; these are the server's, known here or not.
    VersionMismatch(Vec<u64>),
    /// `[1, version, text]`: the settings of the chosen version cannot be read.
    DecodeError {
        /// The chosen version.
        version: Version,
        /// For people.
        text: String,
    },
    /// `[2, version, text]`: the settings do not fit.
    Refused {
        /// The chosen version.
        version: Version,
        /// For people.
        text: String,
    },
}

impl Protocol for Handshake {
    const SPEC: &'static Spec = &SPEC;
    type Message = Message;

    fn kind(message: &Message) -> Kind {
        match message {
            Message::ProposeVersions(_) => PROPOSE_VERSIONS,
            Message::ReplyVersions(_) => REPLY_VERSIONS,
            Message::AcceptVersion { .. } => ACCEPT_VERSION,
            Message::Refuse(_) => REFUSE,
            Message::QueryReply(_) => QUERY_REPLY,
        }
    }

    fn decode(state: State, bytes: &Bytes) -> Result<Message, DecodeError> {
        let (kind, mut reader) = Reader::message(bytes, &SPEC, state)?;
        let message = match kind {
            REPLY_VERSIONS => Message::ReplyVersions(table(&mut reader)?),
            ACCEPT_VERSION => Message::AcceptVersion {
                version: known(&mut reader)?,
                data: reader.raw()?,
            },
            REFUSE => Message::Refuse(reason(&mut reader)?),
            QUERY_REPLY => Message::QueryReply(table(&mut reader)?),
            _ => Message::ProposeVersions(table(&mut reader)?),
        };
        reader.end()?;
        Ok(message)
    }

    fn encode(message: &Message, out: &mut BytesMut) -> Bytes {
        let mut writer = Writer::message(out, &SPEC, Self::kind(message));
        match message {
            Message::ProposeVersions(table)
            | Message::ReplyVersions(table)
            | Message::QueryReply(table) => {
                writer.map(table.0.len().try_into().unwrap_or(u64::MAX));
                for (version, data) in &table.0 {
                    writer.u64(*version).raw(data);
                }
            }
            Message::AcceptVersion { version, data } => {
                writer.u64(*version).raw(data);
            }
            Message::Refuse(Reason::VersionMismatch(versions)) => {
                writer.array(2).u64(0_u8);
                writer.array(versions.len().try_into().unwrap_or(u64::MAX));
                for version in versions {
                    writer.u64(*version);
                }
            }
            Message::Refuse(Reason::DecodeError { version, text }) => {
                writer.array(3).u64(1_u8).u64(*version).text(text);
            }
            Message::Refuse(Reason::Refused { version, text }) => {
                writer.array(3).u64(2_u8).u64(*version).text(text);
            }
        }
        Bytes::new()
    }
}

/// A definite map. Keys that are not known here, of any type and in any order, go with their
/// values; known ones must rise. Values stay as they are: only those of the chosen version are
/// ever interpreted.
/// src: ouroboros-network, `decodeVersions` of the handshake codec
fn table(reader: &mut Reader<'_>) -> Result<VersionTable, DecodeError> {
    let mut table = BTreeMap::new();
    for _ in 0..reader.map_head()? {
        let key = reader.number_or_skip()?;
        let version = key.and_then(|key| Version::try_from(key).ok());
        let Some(version) = version.filter(|version| is_known(*version)) else {
            reader.skip()?;
            continue;
        };
        if table
            .last_key_value()
            .is_some_and(|(last, _)| *last >= version)
        {
            return Err(DecodeError::VersionOrder);
        }
        table.insert(version, reader.raw()?);
    }
    Ok(VersionTable(table))
}

/// A version that must be one that is known here.
fn known(reader: &mut Reader<'_>) -> Result<Version, DecodeError> {
    let at = u32::try_from(reader.position()).unwrap_or(u32::MAX);
    let version = reader.u16()?;
    if is_known(version) {
        Ok(version)
    } else {
        Err(DecodeError::Range { at })
    }
}

fn reason(reader: &mut Reader<'_>) -> Result<Reason, DecodeError> {
    let items = reader.array_head()?;
    let label = reader.u8()?;
    let want = if label == 0 { 2 } else { 3 };
    if items != u64::from(want) {
        let got = u32::try_from(items).unwrap_or(u32::MAX);
        return Err(DecodeError::Items { want, got });
    }
    match label {
        0 => versions(reader).map(Reason::VersionMismatch),
        1 => Ok(Reason::DecodeError {
            version: known(reader)?,
            text: reader.text()?.into(),
        }),
        2 => Ok(Reason::Refused {
            version: known(reader)?,
            text: reader.text()?.into(),
        }),
        _ => Err(DecodeError::Label {
            label: label.into(),
        }),
    }
}

fn versions(reader: &mut Reader<'_>) -> Result<Vec<u64>, DecodeError> {
    let mut list = reader.list(ListForm::Definite, VERSIONS_MAX)?;
    let mut versions = Vec::new();
    while reader.more(&mut list)? {
        versions.push(reader.u64()?);
    }
    Ok(versions)
}

/// No more fit into a message of 5,760 bytes.
const VERSIONS_MAX: u32 = 5_760;
