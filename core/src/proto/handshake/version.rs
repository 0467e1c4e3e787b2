//! What we offer, and the settings beside a version as they travel.

use bytes::{Bytes, BytesMut};

use super::{Mode, OURS, V14, V15, V16, Version, VersionData, VersionTable};
use crate::wire::codec::{DecodeError, Reader, Writer};

/// From what our offer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, as in the configuration of a node"
)]
pub struct Config {
    /// The network's magic number.
    pub magic: u32,
    /// Whether responders run for those who dial us and on duplex connections.
    pub mode: Mode,
    /// Whether we share addresses. Never offered by a node that only dials: nobody could ask it.
    pub peer_sharing: bool,
    /// Whether we only want to see the other's table.
    pub query: bool,
    /// Whether our own versions are offered beside the standard ones.
    pub own_versions: bool,
    /// Whether the experimental version 16 is offered, with Peras. Some decoders of others read
    /// its fifth field only when it is the last of the table, so this is for trials among peers
    /// that know it.
    pub experimental: bool,
}

impl Config {
    /// A duplex node of the network with this magic number that shares addresses and offers our
    /// own versions.
    pub const fn new(magic: u32) -> Self {
        Self {
            magic,
            mode: Mode::InitiatorAndResponder,
            peer_sharing: true,
            query: false,
            own_versions: true,
            experimental: false,
        }
    }

    /// The offer: standard versions rising, then one of ours with exactly the fields of the
    /// standard version it stands for.
    pub fn table(&self) -> VersionTable {
        let experimental = self.experimental.then_some(V16);
        let own = self.own_versions.then_some(OURS | V15);
        let versions = [V14, V15].into_iter().chain(experimental).chain(own);
        VersionTable(
            versions
                .map(|version| (version, self.data(version).encode(version)))
                .collect(),
        )
    }

    /// Our settings beside `version`.
    pub const fn data(&self, version: Version) -> VersionData {
        VersionData {
            magic: self.magic,
            mode: self.mode,
            peer_sharing: self.peer_sharing && matches!(self.mode, Mode::InitiatorAndResponder),
            query: self.query,
            peras: version == V16,
        }
    }
}

/// Whether we know how the settings of this version travel. Others are passed over in tables.
pub(super) const fn is_known(version: Version) -> bool {
    matches!(version & !OURS, V14 | V15) || version == V16
}

impl VersionData {
    /// The settings as they travel beside `version`.
    pub fn encode(&self, version: Version) -> Bytes {
        let mut out = BytesMut::with_capacity(16);
        let mut writer = Writer::new(&mut out);
        writer
            .array(fields(version).into())
            .u64(self.magic)
            .bool(self.mode == Mode::InitiatorOnly)
            .u64(u8::from(self.peer_sharing))
            .bool(self.query);
        if version == V16 {
            writer.bool(self.peras);
        }
        out.freeze()
    }

    /// Reads the settings of `version`: `[magic, initiator only, peer sharing 0 or 1, query]`
    /// and from 16 on a fifth field. `bytes` is one whole item.
    pub fn decode(version: Version, bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.array(fields(version))?;
        let data = Self {
            magic: reader.u32()?,
            mode: if reader.bool()? {
                Mode::InitiatorOnly
            } else {
                Mode::InitiatorAndResponder
            },
            peer_sharing: flag(&mut reader)?,
            query: reader.bool()?,
            peras: version == V16 && reader.bool()?,
        };
        reader.end()?;
        Ok(data)
    }
}

const fn fields(version: Version) -> u32 {
    if version == V16 { 5 } else { 4 }
}

/// A flag that travels as 0 or 1.
fn flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    let at = u32::try_from(reader.position()).unwrap_or(u32::MAX);
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::Range { at }),
    }
}
