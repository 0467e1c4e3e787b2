//! Snapshots as nodes tell them to their clients.
//!
//! ```text
//!  snapshot = [1, [[0] | [1, slot], bigPools]]                    without hash and network
//!           | [2, [[0] | [1, slot, hash], magic, bigPools]]
//!           | [3, [[0] | [1, slot, hash], magic, allPools]]
//!  bigPool  = [accumulated, [relative, relays]] or the three in one list
//!  allPool  = [relative, relays]              stakes are [numerator, denominator]
//!  relay    = [0, port, name] | [1, port, 4 bytes] | [2, port, 8 words] | [3, service]
//! ```
//!
//! Lists may be of either length form. Relays that cannot be reached are left out, as from files.
//!
//! src: ouroboros-network, `LedgerPeerSnapshot`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use minicbor::{
    Decoder, Encoder,
    data::{Tag, Type},
};
use samanea_core::{
    base::{Hash32, Point},
    governor::{Ledger, POOLS_MAX, Pool, RELAYS_MAX, Relay, Snapshot},
};

use super::{BYTES_MAX, FIRST_WITH_HASH, File, access};

/// Why bytes are no snapshot; whoever told them is broken or lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no snapshot: found something else than {expected} at byte {at}")]
pub struct Malformed {
    /// What should have been there.
    pub expected: &'static str,
    /// Where.
    pub at: usize,
}

/// Reads a snapshot in CBOR.
pub fn from_cbor(bytes: &[u8]) -> Result<File, Malformed> {
    let mut reader = Reader(Decoder::new(bytes));
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > BYTES_MAX {
        return Err(reader.malformed("at most 64 MiB"));
    }
    let file = snapshot(&mut reader)?;
    if reader.0.position() != bytes.len() {
        return Err(reader.malformed("the end"));
    }
    Ok(file)
}

fn snapshot(reader: &mut Reader<'_>) -> Result<File, Malformed> {
    let outer = reader.open("a list of two", 2)?;
    let version = reader.whole("the version 1, 2 or 3")?;
    let (big_only, members) = match version {
        1 => (true, 2),
        2 => (true, 3),
        3 => (false, 3),
        _ => return Err(reader.malformed("the version 1, 2 or 3")),
    };
    let inner = reader.open("a list of point, network and pools", members)?;
    let point = reader.point(version > 1)?;
    let magic = match version {
        1 => None,
        _ => Some(reader.whole("a network magic")?),
    };
    let magic = magic.map(u32::try_from).transpose();
    let magic = magic.map_err(|_| reader.malformed("a network magic of 32 bits"))?;
    let pools = reader.pools(big_only)?;
    reader.close(inner)?;
    reader.close(outer)?;
    Ok(File {
        // What the file of the same contents says.
        version: if version == 1 { 2 } else { FIRST_WITH_HASH },
        magic,
        snapshot: Snapshot {
            point,
            big_only,
            pools: if big_only {
                Ledger::new(pools).all_big()
            } else {
                Ledger::new(pools)
            },
        },
        warnings: Vec::new(),
    })
}

/// A list that was opened: whether it ends with a break.
#[derive(Clone, Copy)]
struct Open {
    is_indefinite: bool,
}

struct Reader<'b>(Decoder<'b>);

impl Reader<'_> {
    const fn malformed_at(expected: &'static str, at: usize) -> Malformed {
        Malformed { expected, at }
    }

    fn malformed(&self, expected: &'static str) -> Malformed {
        Self::malformed_at(expected, self.0.position())
    }

    /// Opens a list of so many members, of either form.
    fn open(&mut self, expected: &'static str, members: u64) -> Result<Open, Malformed> {
        let at = self.0.position();
        match self.0.array() {
            Ok(None) => Ok(Open {
                is_indefinite: true,
            }),
            Ok(Some(len)) if len == members => Ok(Open {
                is_indefinite: false,
            }),
            _ => Err(Self::malformed_at(expected, at)),
        }
    }

    fn close(&mut self, open: Open) -> Result<(), Malformed> {
        if open.is_indefinite && !self.ends() {
            return Err(self.malformed("the end of a list"));
        }
        Ok(())
    }

    fn is_next(&self, kind: Type) -> bool {
        self.0.datatype().is_ok_and(|next| next == kind)
    }

    /// Reads a tag.
    fn is_tag(&mut self, number: u64) -> bool {
        self.0.tag().is_ok_and(|tag| tag == Tag::new(number))
    }

    /// Reads the end of a list, if it is here.
    fn ends(&mut self) -> bool {
        let is_break = self.is_next(Type::Break);
        if is_break {
            self.0.set_position(self.0.position().saturating_add(1));
        }
        is_break
    }

    /// Reads a list of any length up to `max`, of either form.
    fn each<T>(
        &mut self,
        expected: &'static str,
        max: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let at = self.0.position();
        let len = self
            .0
            .array()
            .map_err(|_| Self::malformed_at(expected, at))?;
        let mut items = Vec::new();
        let mut left = len;
        loop {
            match &mut left {
                Some(0) => return Ok(items),
                Some(left) => *left -= 1,
                None if self.ends() => return Ok(items),
                None => {}
            }
            if items.len() >= max {
                return Err(self.malformed("the end of a list that is long enough"));
            }
            items.push(read(self)?);
        }
    }

    fn whole(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        let at = self.0.position();
        self.0.u64().map_err(|_| Self::malformed_at(expected, at))
    }

    fn point(&mut self, has_hash: bool) -> Result<Point, Malformed> {
        let expected = "a point";
        let at = self.0.position();
        let refuse = || Self::malformed_at(expected, at);
        let members: u64 = if has_hash { 3 } else { 2 };
        let len = self.0.array().map_err(|_| refuse())?;
        let is_origin = self.whole(expected)? == 0;
        if len.is_some_and(|len| len != if is_origin { 1 } else { members }) {
            return Err(refuse());
        }
        let point = if is_origin {
            Point::Origin
        } else {
            let slot = self.whole("a slot")?;
            let mut hash = Hash32::default();
            if has_hash {
                let bytes = self.0.bytes().map_err(|_| refuse())?;
                hash = Hash32(bytes.try_into().map_err(|_| refuse())?);
            }
            Point::Block { slot, hash }
        };
        self.close(Open {
            is_indefinite: len.is_none(),
        })?;
        Ok(point)
    }

    fn pools(&mut self, big_only: bool) -> Result<Vec<Pool>, Malformed> {
        let pools = self.each("a list of pools", POOLS_MAX, |reader| reader.pool(big_only))?;
        let has_relay = |pool: &Pool| !pool.relays.is_empty();
        Ok(pools.into_iter().filter(has_relay).collect())
    }

    fn pool(&mut self, big_only: bool) -> Result<Pool, Malformed> {
        let at = self.0.position();
        let refuse = || Self::malformed_at("a pool", at);
        let len = self.0.array().map_err(|_| refuse())?;
        let outer = Open {
            is_indefinite: len.is_none(),
        };
        if !big_only {
            if len.is_some_and(|len| len != 2) {
                return Err(refuse());
            }
            let pool = self.stake_and_relays()?;
            self.close(outer)?;
            return Ok(pool);
        }
        self.stake()?;
        // [accumulated, [relative, relays]] begins with a list whose first member is a list too.
        let mut ahead = Decoder::new(self.0.input());
        ahead.set_position(self.0.position());
        let is_pair = ahead.array().is_ok()
            && matches!(
                ahead.datatype(),
                Ok(Type::Array | Type::ArrayIndef | Type::Tag)
            );
        let pool = if is_pair && len.is_none_or(|len| len == 2) {
            let inner = self.open("a stake and relays", 2)?;
            let pool = self.stake_and_relays()?;
            self.close(inner)?;
            pool
        } else if len.is_none_or(|len| len == 3) {
            self.stake_and_relays()?
        } else {
            return Err(refuse());
        };
        self.close(outer)?;
        Ok(pool)
    }

    fn stake_and_relays(&mut self) -> Result<Pool, Malformed> {
        let stake = self.stake()?;
        let relays = self.each("a list of relays", RELAYS_MAX, Self::relay)?;
        Ok(Pool {
            stake,
            relays: relays.into_iter().flatten().collect(),
        })
    }

    /// Reads a rational from 0 to 1 as parts of 2^64, rounded down.
    fn stake(&mut self) -> Result<u64, Malformed> {
        let expected = "a rational from 0 to 1";
        let at = self.0.position();
        if self.is_next(Type::Tag) && !self.is_tag(RATIONAL) {
            return Err(Self::malformed_at(expected, at));
        }
        let open = self.open(expected, 2)?;
        let (numerator, denominator) = (self.large(expected)?, self.large(expected)?);
        self.close(open)?;
        if numerator > denominator || denominator == 0 {
            return Err(Self::malformed_at(expected, at));
        }
        if numerator == denominator {
            return Ok(u64::MAX);
        }
        let mut rest = numerator;
        Ok((0..u64::BITS).fold(0, |bits, _| {
            // Both are below 2^127.
            rest <<= 1;
            let bit = rest >= denominator;
            if bit {
                rest -= denominator;
            }
            bits << 1 | u64::from(bit)
        }))
    }

    /// Reads a number below 2^127, which may be a bignum.
    fn large(&mut self, expected: &'static str) -> Result<u128, Malformed> {
        let at = self.0.position();
        let refuse = || Self::malformed_at(expected, at);
        if !self.is_next(Type::Tag) {
            return self.0.u64().map(u128::from).map_err(|_| refuse());
        }
        if !self.is_tag(BIGNUM) {
            return Err(refuse());
        }
        let bytes = self.0.bytes().map_err(|_| refuse())?;
        if bytes.len() > size_of::<u128>() {
            return Err(refuse());
        }
        let number = bytes
            .iter()
            .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        (number >> 127 == 0).then_some(number).ok_or_else(refuse)
    }

    /// Reads a relay; `None` if it cannot be reached.
    fn relay(&mut self) -> Result<Option<Relay>, Malformed> {
        let at = self.0.position();
        let refuse = || Self::malformed_at("a relay", at);
        let len = self.0.array().map_err(|_| refuse())?;
        let kind = self.whole("a kind of relay")?;
        if len.is_some_and(|len| len != if kind == 3 { 2 } else { 3 }) {
            return Err(refuse());
        }
        let port = match kind {
            3 => None,
            _ => Some(u16::try_from(self.whole("a port")?).map_err(|_| refuse())?),
        };
        let relay = match kind {
            0 | 3 => {
                let name = self.0.bytes().map_err(|_| refuse())?;
                let name = std::str::from_utf8(name).ok();
                name.and_then(|name| access::from_parts(name, port))
            }
            1 => {
                let bytes = self.each("four bytes", 4, Self::part::<u8>)?;
                let ip: [u8; 4] = bytes.try_into().map_err(|_| refuse())?;
                access::from_ip(IpAddr::from(Ipv4Addr::from(ip)), port)
            }
            2 => {
                let words = self.each("eight words", 8, Self::part::<u16>)?;
                let ip: [u16; 8] = words.try_into().map_err(|_| refuse())?;
                access::from_ip(IpAddr::from(Ipv6Addr::from(ip)), port)
            }
            _ => return Err(refuse()),
        };
        self.close(Open {
            is_indefinite: len.is_none(),
        })?;
        Ok(relay)
    }

    fn part<N: TryFrom<u64>>(&mut self) -> Result<N, Malformed> {
        let at = self.0.position();
        let expected = "a part of an address";
        N::try_from(self.whole(expected)?).map_err(|_| Self::malformed_at(expected, at))
    }
}

/// src: RFC 8949 §3.4.3
const BIGNUM: u64 = 2;
/// src: the registry of CBOR tags, rational number
const RATIONAL: u64 = 30;

/// Writes a snapshot in CBOR: version 1 if the block or the network is not named, else 2 or 3.
/// What [`from_cbor`] has read is written so that it reads the same.
pub fn to_cbor(file: &File) -> Vec<u8> {
    let mut out = Vec::new();
    // A vector takes all that is written.
    let _ = write(&mut Encoder::new(&mut out), file);
    out
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn write(out: &mut Encoder<&mut Vec<u8>>, file: &File) -> Written {
    let snapshot = &file.snapshot;
    let magic = file.magic.filter(|_| file.version >= FIRST_WITH_HASH);
    let kind = match (magic, snapshot.big_only) {
        (None, _) => 1,
        (Some(_), true) => 2,
        (Some(_), false) => 3,
    };
    out.array(2)?.u8(kind)?;
    out.array(if magic.is_some() { 3 } else { 2 })?;
    match (snapshot.point, magic) {
        (Point::Origin, _) => out.array(1)?.u8(0)?,
        (Point::Block { slot, .. }, None) => out.array(2)?.u8(1)?.u64(slot)?,
        (Point::Block { slot, hash }, Some(_)) => out.array(3)?.u8(1)?.u64(slot)?.bytes(&hash.0)?,
    };
    if let Some(magic) = magic {
        out.u32(magic)?;
    }
    out.begin_array()?;
    let mut sum = 0_u64;
    for pool in snapshot.pools.pools() {
        if kind == 3 {
            out.array(2)?;
            rational(out, pool.stake)?;
        } else {
            sum = sum.saturating_add(pool.stake);
            out.begin_array()?;
            rational(out, sum)?;
            rational(out, pool.stake)?;
        }
        out.begin_array()?;
        for at in &pool.relays {
            relay(out, at)?;
        }
        out.end()?;
        if kind != 3 {
            out.end()?;
        }
    }
    out.end()?;
    Ok(())
}

fn rational(out: &mut Encoder<&mut Vec<u8>>, parts: u64) -> Written {
    out.array(2)?;
    if parts == u64::MAX {
        out.u8(1)?.u8(1)?;
    } else {
        // 2^64
        let whole = [1, 0, 0, 0, 0, 0, 0, 0, 0];
        out.u64(parts)?.tag(Tag::new(BIGNUM))?.bytes(&whole)?;
    }
    Ok(())
}

fn relay(out: &mut Encoder<&mut Vec<u8>>, relay: &Relay) -> Written {
    match relay {
        Relay::Host { name, port } => {
            out.array(3)?.u8(0)?.u16(*port)?.bytes(name.as_bytes())?;
        }
        Relay::Addr(addr) => {
            out.array(3)?;
            match addr.ip() {
                IpAddr::V4(ip) => {
                    out.u8(1)?.u16(addr.port())?.begin_array()?;
                    ip.octets()
                        .iter()
                        .try_for_each(|byte| out.u8(*byte).map(drop))?;
                }
                IpAddr::V6(ip) => {
                    out.u8(2)?.u16(addr.port())?.begin_array()?;
                    ip.segments()
                        .iter()
                        .try_for_each(|word| out.u16(*word).map(drop))?;
                }
            }
            out.end()?;
        }
        Relay::Service { name } => {
            out.array(2)?.u8(3)?.bytes(name.as_bytes())?;
        }
    }
    Ok(())
}
