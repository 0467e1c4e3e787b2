//! Reads one message, strictly.

use bytes::Bytes;
use minicbor::{
    Decoder,
    data::{Tag, Type},
    decode,
};
use smallvec::SmallVec;

use super::DecodeError;
use crate::{
    base::{Hash32, Kind, Point, Spec, State, Tip},
    wire::scan::DEPTH_MAX,
};

/// Which heads a list may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListForm {
    /// Only a definite length.
    Definite,
    /// Only an indefinite length, even when empty.
    Indefinite,
    /// Both.
    Either,
}

/// A list that is being read; ask [`Reader::more`] before each item.
#[derive(Debug)]
#[must_use = "a list is read to its end with Reader::more"]
pub struct List {
    /// Items to come, `None` = until a break.
    left: Option<u64>,
    /// Items that may still come.
    room: u32,
    max: u32,
}

/// Reads one message from its first to its last byte.
///
/// What it returns as [`Bytes`] are slices of the message, uncopied.
#[derive(Debug)]
pub struct Reader<'a> {
    whole: &'a Bytes,
    tokens: Decoder<'a>,
}

impl<'a> Reader<'a> {
    /// At the first byte.
    #[inline]
    pub fn new(whole: &'a Bytes) -> Self {
        Self {
            whole,
            tokens: Decoder::new(whole),
        }
    }

    /// Reads head and label of a message and finds its edge out of `state`: the first edge with
    /// that label. What follows are the items behind the label.
    #[inline]
    pub fn message(
        whole: &'a Bytes,
        spec: &Spec,
        state: State,
    ) -> Result<(Kind, Self), DecodeError> {
        let mut reader = Self::new(whole);
        let got = reader.array_head()?;
        let label = reader.u64()?;
        let edge = spec
            .edges
            .iter()
            .find(|edge| edge.from == state && u64::from(edge.label) == label)
            .ok_or(DecodeError::Label { label })?;
        items(u32::from(edge.items), got)?;
        Ok((edge.kind, reader))
    }

    /// Ends the message: nothing may be left.
    #[inline]
    pub fn end(self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left: narrow(left) }),
        }
    }

    /// Offset of the next byte.
    #[inline]
    pub fn position(&self) -> usize {
        self.tokens.position()
    }

    /// Bytes not yet read.
    #[inline]
    pub fn left(&self) -> usize {
        self.whole.len().saturating_sub(self.position())
    }

    /// A number of 8 bits in a head of any width.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        let at = self.at();
        u8::try_from(self.u64()?).map_err(|_| DecodeError::Range { at })
    }

    /// A number of 16 bits in a head of any width.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        let at = self.at();
        u16::try_from(self.u64()?).map_err(|_| DecodeError::Range { at })
    }

    /// A number of 32 bits in a head of any width.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        let at = self.at();
        u32::try_from(self.u64()?).map_err(|_| DecodeError::Range { at })
    }

    /// A number of 64 bits in a head of any width.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.token(Decoder::u64)
    }

    /// `false` or `true`.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        self.token(Decoder::bool)
    }

    /// A definite byte string, shared with the message.
    #[inline]
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let len = self.slice()?.len();
        let end = self.position();
        Ok(self.whole.slice(end.saturating_sub(len)..end))
    }

    /// A definite byte string, borrowed.
    #[inline]
    pub fn slice(&mut self) -> Result<&'a [u8], DecodeError> {
        self.token(Decoder::bytes)
    }

    /// A definite byte string of exactly 32 bytes.
    #[inline]
    pub fn hash(&mut self) -> Result<Hash32, DecodeError> {
        let at = self.at();
        let slice = self.slice()?;
        let hash = slice.try_into().map_err(|_| DecodeError::Range { at })?;
        Ok(Hash32(hash))
    }

    /// A definite text string in UTF-8.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        self.token(Decoder::str)
    }

    /// `24(bytes)`: the content of the definite byte string, shared with the message.
    #[inline]
    pub fn wrapped(&mut self) -> Result<Bytes, DecodeError> {
        let at = self.at();
        match self.token(Decoder::tag)?.as_u64() {
            24 => self.bytes(),
            _ => Err(DecodeError::Unexpected { at }),
        }
    }

    /// One item of any kind exactly as it stands, shared with the message.
    #[inline]
    pub fn raw(&mut self) -> Result<Bytes, DecodeError> {
        let from = self.position();
        self.skip()?;
        Ok(self.whole.slice(from..self.position()))
    }

    /// One item of any kind exactly as it stands, borrowed.
    #[inline]
    pub fn raw_slice(&mut self) -> Result<&'a [u8], DecodeError> {
        let from = self.position();
        self.skip()?;
        let slice = self.whole.get(from..self.position());
        slice.ok_or(DecodeError::Short)
    }

    /// An unsigned number, or `None` in place of one item of any other kind, which is skipped.
    pub fn number_or_skip(&mut self) -> Result<Option<u64>, DecodeError> {
        match self.whole.get(self.position()) {
            None => Err(DecodeError::Short),
            Some(0x00..=0x1f) => self.u64().map(Some),
            Some(_) => self.skip().map(|()| None),
        }
    }

    /// The head of a definite array of exactly `want` items.
    #[inline]
    pub fn array(&mut self, want: u32) -> Result<(), DecodeError> {
        let got = self.array_head()?;
        items(want, got)
    }

    /// The head of a definite array: its items, at most as many as there are bytes left.
    #[inline]
    pub fn array_head(&mut self) -> Result<u64, DecodeError> {
        let at = self.at();
        match self.token(Decoder::array)? {
            Some(count) => self.there(count),
            None => Err(DecodeError::ListForm { at }),
        }
    }

    /// The head of a definite map: its pairs, at most as many as there are bytes left.
    pub fn map_head(&mut self) -> Result<u64, DecodeError> {
        let at = self.at();
        match self.token(Decoder::map)? {
            Some(count) => self.there(count),
            None => Err(DecodeError::ListForm { at }),
        }
    }

    /// The head of a list of at most `max` items.
    #[inline]
    pub fn list(&mut self, form: ListForm, max: u32) -> Result<List, DecodeError> {
        let at = self.at();
        let left = self.token(Decoder::array)?;
        match (form, left) {
            (ListForm::Definite, None) | (ListForm::Indefinite, Some(_)) => {
                return Err(DecodeError::ListForm { at });
            }
            (_, Some(count)) => {
                self.there(count)?;
            }
            (_, None) => {}
        }
        Ok(List {
            left,
            room: max,
            max,
        })
    }

    /// Whether another item of `list` follows; reads the break at the end of an indefinite one.
    #[inline]
    pub fn more(&mut self, list: &mut List) -> Result<bool, DecodeError> {
        let more = match &mut list.left {
            Some(0) => false,
            Some(left) => {
                *left = left.saturating_sub(1);
                true
            }
            None => !self.at_break()?,
        };
        if more {
            list.room = list
                .room
                .checked_sub(1)
                .ok_or(DecodeError::TooMany { max: list.max })?;
        }
        Ok(more)
    }

    /// `[]` or `[slot, hash]`.
    #[inline]
    pub fn point(&mut self) -> Result<Point, DecodeError> {
        match self.array_head()? {
            0 => Ok(Point::Origin),
            2 => Ok(Point::Block {
                slot: self.u64()?,
                hash: self.hash()?,
            }),
            got => Err(DecodeError::Items {
                want: 2,
                got: narrow64(got),
            }),
        }
    }

    /// `[point, block number]`; the number means nothing at the origin and is read as 0.
    #[inline]
    pub fn tip(&mut self) -> Result<Tip, DecodeError> {
        self.array(2)?;
        let point = self.point()?;
        let block_no = self.u64()?;
        Ok(match point {
            Point::Origin => Tip::ORIGIN,
            Point::Block { .. } => Tip { point, block_no },
        })
    }

    /// Passes over one well-formed item of any kind. Definite containers directly inside definite
    /// ones count as one; of all others at most [`DEPTH_MAX`] may be open.
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        let mut open: SmallVec<[Open; 8]> = SmallVec::new();
        open.push(Open::Definite(1));
        while let Some(top) = open.last_mut() {
            match top {
                Open::Definite(0) => {
                    open.pop();
                    continue;
                }
                Open::Definite(left) => *left = left.saturating_sub(1),
                Open::Array if self.at_break()? => {
                    open.pop();
                    continue;
                }
                Open::Pairs { odd } => {
                    let at = narrow(self.tokens.position());
                    if self.at_break()? {
                        if *odd {
                            return Err(DecodeError::Unexpected { at });
                        }
                        open.pop();
                        continue;
                    }
                    *odd = !*odd;
                }
                Open::Array => {}
            }
            match self.item()? {
                Open::Definite(0) => {}
                Open::Definite(count) => match open.last_mut() {
                    Some(Open::Definite(left)) => *left = left.saturating_add(count),
                    _ => open.push(Open::Definite(count)),
                },
                inner => open.push(inner),
            }
            if open.len() > DEPTH_MAX {
                return Err(DecodeError::Depth);
            }
        }
        Ok(())
    }

    /// Reads one head, and its content unless that is items: says how many follow.
    fn item(&mut self) -> Result<Open, DecodeError> {
        let at = self.at();
        match self.token(|tokens| tokens.datatype())? {
            Type::Array => self.array_head().map(Open::Definite),
            Type::Map => {
                let pairs = self.map_head()?;
                self.there(pairs.saturating_mul(2)).map(Open::Definite)
            }
            Type::Tag => self.token(Decoder::tag).map(|_: Tag| Open::Definite(1)),
            Type::ArrayIndef => self.token(Decoder::array).map(|_| Open::Array),
            Type::MapIndef => {
                let odd = false;
                self.token(Decoder::map).map(|_| Open::Pairs { odd })
            }
            Type::Bytes => self.slice().map(|_| Open::Definite(0)),
            Type::String => self.text().map(|_| Open::Definite(0)),
            Type::BytesIndef => self
                .token(|tokens| tokens.bytes_iter()?.try_for_each(|chunk| chunk.map(drop)))
                .map(|()| Open::Definite(0)),
            Type::StringIndef => self
                .token(|tokens| tokens.str_iter()?.try_for_each(|chunk| chunk.map(drop)))
                .map(|()| Open::Definite(0)),
            Type::Break | Type::Unknown(_) => Err(DecodeError::Unexpected { at }),
            _ => self.token(Decoder::skip).map(|()| Open::Definite(0)),
        }
    }

    /// Whether a break is next, which is then read.
    #[inline]
    fn at_break(&mut self) -> Result<bool, DecodeError> {
        let at = self.position();
        match self.whole.get(at) {
            None => Err(DecodeError::Short),
            Some(0xff) => {
                self.tokens.set_position(at.saturating_add(1));
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }

    /// `count`, unless fewer bytes than that are left.
    #[inline]
    fn there(&self, count: u64) -> Result<u64, DecodeError> {
        match usize::try_from(count) {
            Ok(items) if items <= self.left() => Ok(count),
            _ => Err(DecodeError::Short),
        }
    }

    #[inline]
    fn at(&self) -> u32 {
        narrow(self.position())
    }

    #[inline]
    fn token<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'a>) -> Result<T, decode::Error>,
    ) -> Result<T, DecodeError> {
        let at = self.tokens.position();
        read(&mut self.tokens).map_err(|error| fault(&error, at))
    }
}

/// A container that [`Reader::skip`] is in.
enum Open {
    /// So many items to come, of one container or of several.
    Definite(u64),
    /// Items until a break.
    Array,
    /// Pairs until a break.
    Pairs { odd: bool },
}

#[cold]
fn fault(error: &decode::Error, at: usize) -> DecodeError {
    if error.is_end_of_input() {
        DecodeError::Short
    } else {
        DecodeError::Unexpected { at: narrow(at) }
    }
}

#[inline]
fn items(want: u32, got: u64) -> Result<(), DecodeError> {
    if got == u64::from(want) {
        return Ok(());
    }
    Err(DecodeError::Items {
        want,
        got: narrow64(got),
    })
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn narrow64(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
