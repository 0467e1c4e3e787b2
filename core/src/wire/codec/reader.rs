//! Reads one message, strictly.

use bytes::Bytes;

use super::DecodeError;
use crate::base::{Hash32, Kind, Point, Spec, State, Tip};

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
/// What it returns as [`Bytes`] are slices of the message, uncopied. After an error it stands
/// anywhere and is of no more use.
#[derive(Debug)]
pub struct Reader<'a> {
    whole: &'a Bytes,
    /// What is not yet read.
    pub(super) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Containers that [`Reader::skip`] keeps open at once, inclusive; definite ones directly
    /// inside definite ones count as one. Far below what may be nested in a stream: items that
    /// are carried opaquely and not as bytes are shallow in every era. Guess, not measured.
    pub const DEPTH_MAX: usize = 64;

    /// At the first byte.
    #[inline]
    pub fn new(whole: &'a Bytes) -> Self {
        let rest = whole.as_ref();
        Self { whole, rest }
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
        let (got, label) = match reader.rest {
            [head @ 0x80..=0x97, label @ 0x00..=0x17, rest @ ..] => {
                reader.rest = rest;
                (u64::from(head ^ ARRAY), u64::from(*label))
            }
            _ => (reader.array_head()?, reader.u64()?),
        };
        for edge in spec.edges {
            if edge.from == state && u64::from(edge.label) == label {
                items(u32::from(edge.items), got)?;
                return Ok((edge.kind, reader));
            }
        }
        Err(DecodeError::Label { label })
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
        self.whole.len().saturating_sub(self.rest.len())
    }

    /// Bytes not yet read.
    #[inline]
    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    /// A number of 8 bits in a head of any width.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        let before = self.rest;
        let value = self.u64()?;
        u8::try_from(value).map_err(|_| self.out_of_range(before))
    }

    /// A number of 16 bits in a head of any width.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        let before = self.rest;
        let value = self.u64()?;
        u16::try_from(value).map_err(|_| self.out_of_range(before))
    }

    /// A number of 32 bits in a head of any width.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        let before = self.rest;
        let value = self.u64()?;
        u32::try_from(value).map_err(|_| self.out_of_range(before))
    }

    /// A number of 64 bits in a head of any width.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.expect(UNSIGNED)
    }

    /// `false` or `true`.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        let (truth, rest) = match self.rest {
            [0xf4, rest @ ..] => (false, rest),
            [0xf5, rest @ ..] => (true, rest),
            _ => return Err(self.unexpected()),
        };
        self.rest = rest;
        Ok(truth)
    }

    /// A definite byte string, shared with the message.
    #[inline]
    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        let len = self.slice()?.len();
        Ok(self.last(len))
    }

    /// A definite byte string, borrowed.
    #[inline]
    pub fn slice(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.expect(BYTES)?;
        self.content(len)
    }

    /// A definite byte string of exactly 32 bytes.
    #[inline]
    pub fn hash(&mut self) -> Result<Hash32, DecodeError> {
        let before = self.rest;
        if let [0x58, 0x20, rest @ ..] = before
            && let Some((hash, rest)) = rest.split_first_chunk()
        {
            self.rest = rest;
            return Ok(Hash32(*hash));
        }
        let hash = self.slice()?.try_into();
        hash.map(Hash32).map_err(|_| self.out_of_range(before))
    }

    /// A definite byte string of exactly `N` bytes.
    pub fn exactly<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let before = self.rest;
        let array = self.slice()?.try_into();
        array.map_err(|_| self.out_of_range(before))
    }

    /// A definite byte string of at most `max` bytes, borrowed.
    pub fn slice_max(&mut self, max: u32) -> Result<&'a [u8], DecodeError> {
        let slice = self.slice()?;
        if u32::try_from(slice.len()).is_ok_and(|len| len <= max) {
            return Ok(slice);
        }
        Err(DecodeError::TooLong { max })
    }

    /// A definite text string in UTF-8.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let before = self.rest;
        let len = self.expect(TEXT)?;
        let text = str::from_utf8(self.content(len)?);
        text.map_err(|_| self.unexpected_at(before))
    }

    /// `24(bytes)`: the content of the definite byte string, shared with the message.
    #[inline]
    pub fn wrapped(&mut self) -> Result<Bytes, DecodeError> {
        let len = self.wrapped_slice()?.len();
        Ok(self.last(len))
    }

    /// `24(bytes)`: the content of the definite byte string, borrowed.
    #[inline]
    pub fn wrapped_slice(&mut self) -> Result<&'a [u8], DecodeError> {
        let before = self.rest;
        if let [0xd8, 0x18, rest @ ..] = before {
            self.rest = rest;
            return self.slice();
        }
        match self.expect(TAG)? {
            24 => self.slice(),
            _ => Err(self.unexpected_at(before)),
        }
    }

    /// One item of any kind exactly as it stands, shared with the message.
    #[inline]
    pub fn raw(&mut self) -> Result<Bytes, DecodeError> {
        let len = self.raw_slice()?.len();
        Ok(self.last(len))
    }

    /// One item of any kind exactly as it stands, borrowed.
    #[inline]
    pub fn raw_slice(&mut self) -> Result<&'a [u8], DecodeError> {
        let before = self.rest;
        self.skip()?;
        let len = before.len().saturating_sub(self.rest.len());
        before.get(..len).ok_or(DecodeError::Short)
    }

    /// An unsigned number, or `None` in place of one item of any other kind, which is skipped.
    pub fn number_or_skip(&mut self) -> Result<Option<u64>, DecodeError> {
        match self.first()? {
            0x00..=0x1f => self.u64().map(Some),
            _ => self.skip().map(|()| None),
        }
    }

    /// Whether an unsigned number is next.
    pub fn is_at_number(&self) -> bool {
        self.rest.first().is_some_and(|first| *first < NEGATIVE)
    }

    /// The head of a definite array of exactly `want` items.
    #[inline]
    pub fn array(&mut self, want: u32) -> Result<(), DecodeError> {
        if let [head @ 0x80..=0x97, rest @ ..] = self.rest
            && u32::from(head ^ ARRAY) == want
        {
            self.rest = rest;
            return Ok(());
        }
        let got = self.array_head()?;
        items(want, got)
    }

    /// The head of a definite array: its items, at most as many as there are bytes left.
    #[inline]
    pub fn array_head(&mut self) -> Result<u64, DecodeError> {
        self.definite(ARRAY)
    }

    /// The head of a definite map: its pairs, at most as many as there are bytes left.
    pub fn map_head(&mut self) -> Result<u64, DecodeError> {
        self.definite(MAP)
    }

    /// The head of a list of at most `max` items.
    #[inline]
    pub fn list(&mut self, form: ListForm, max: u32) -> Result<List, DecodeError> {
        let indefinite = self.rest.first() == Some(&(ARRAY | INDEFINITE));
        let wrong = match form {
            ListForm::Definite => indefinite,
            ListForm::Indefinite => {
                !indefinite
                    && self
                        .rest
                        .first()
                        .is_some_and(|first| first & MAJOR == ARRAY)
            }
            ListForm::Either => false,
        };
        if wrong {
            return Err(self.wrong_form());
        }
        let left = if indefinite {
            self.rest = self.rest.get(1..).unwrap_or_default();
            None
        } else {
            Some(self.array_head()?)
        };
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
        let items = match self.rest {
            [head @ (0x80 | 0x82), rest @ ..] => {
                self.rest = rest;
                u64::from(head ^ ARRAY)
            }
            _ => self.array_head()?,
        };
        match items {
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

    /// Whether a break is next, which is then read.
    #[inline]
    pub(super) fn at_break(&mut self) -> Result<bool, DecodeError> {
        match self.rest {
            [] => Err(DecodeError::Short),
            [BREAK, rest @ ..] => {
                self.rest = rest;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The head of a definite array or map.
    #[inline]
    fn definite(&mut self, want: u8) -> Result<u64, DecodeError> {
        if self.rest.first() == Some(&(want | INDEFINITE)) {
            return Err(self.wrong_form());
        }
        let count = self.expect(want)?;
        self.there(count)
    }

    /// The argument of a head that must be of this major type and definite.
    #[inline]
    pub(super) fn expect(&mut self, want: u8) -> Result<u64, DecodeError> {
        match self.rest {
            [first, rest @ ..] if first ^ want < WIDE => {
                self.rest = rest;
                Ok(u64::from(first ^ want))
            }
            _ => self.expect_wide(want),
        }
    }

    /// [`expect`](Self::expect) for heads of more than one byte.
    #[inline]
    fn expect_wide(&mut self, want: u8) -> Result<u64, DecodeError> {
        let found = match self.rest {
            [first, rest @ ..] => argument(first ^ want, rest),
            [] => None,
        };
        let (value, rest) = found.ok_or_else(|| self.bad_head(want))?;
        self.rest = rest;
        Ok(value)
    }

    /// The content of a string of `len` bytes.
    #[inline]
    pub(super) fn content(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let len = usize::try_from(len).map_err(|_| DecodeError::Short)?;
        let (content, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(content)
    }

    /// The last `len` bytes that were read, shared with the message.
    #[inline]
    fn last(&self, len: usize) -> Bytes {
        let end = self.position();
        self.whole.slice(end.saturating_sub(len)..end)
    }

    /// The next byte, not read.
    #[inline]
    pub(super) fn first(&self) -> Result<u8, DecodeError> {
        self.rest.first().copied().ok_or(DecodeError::Short)
    }

    /// `count`, unless fewer bytes than that are left.
    #[inline]
    pub(super) fn there(&self, count: u64) -> Result<u64, DecodeError> {
        match usize::try_from(count) {
            Ok(items) if items <= self.left() => Ok(count),
            _ => Err(DecodeError::Short),
        }
    }

    /// Offset of what begins `rest`.
    fn offset(&self, rest: &[u8]) -> u32 {
        narrow(self.whole.len().saturating_sub(rest.len()))
    }

    #[cold]
    pub(super) fn unexpected(&self) -> DecodeError {
        self.unexpected_at(self.rest)
    }

    #[cold]
    pub(super) fn unexpected_at(&self, rest: &[u8]) -> DecodeError {
        if rest.is_empty() {
            return DecodeError::Short;
        }
        let at = self.offset(rest);
        DecodeError::Unexpected { at }
    }

    #[cold]
    fn out_of_range(&self, rest: &[u8]) -> DecodeError {
        let at = self.offset(rest);
        DecodeError::Range { at }
    }

    #[cold]
    fn wrong_form(&self) -> DecodeError {
        let at = self.offset(self.rest);
        DecodeError::ListForm { at }
    }

    /// Why there is no head of this major type: another one, or cut off.
    #[cold]
    fn bad_head(&self, want: u8) -> DecodeError {
        match self.rest {
            [first, ..] if matches!(first ^ want, WIDE..=27) => DecodeError::Short,
            _ => self.unexpected(),
        }
    }
}

/// The argument behind the first byte of a head, and what follows it. `info` is that byte without
/// its major type; anything above 27 means that the type was another or that there is none.
#[inline]
fn argument(info: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    let (WIDE..=27, Some(eight)) = (info, rest.first_chunk()) else {
        return last_argument(info, rest);
    };
    // One, two, four or eight of them, without a branch.
    let bytes = 1_u32 << (info & 3);
    let value = u64::from_be_bytes(*eight) >> (64 - 8 * bytes);
    let (_, rest) = rest.split_at_checked(usize::try_from(bytes).ok()?)?;
    Some((value, rest))
}

/// [`argument`] with fewer than eight bytes left.
#[inline]
fn last_argument(info: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    match (info, rest) {
        (24, [byte, rest @ ..]) => Some((u64::from(*byte), rest)),
        (25, [high, low, rest @ ..]) => Some((u64::from(u16::from_be_bytes([*high, *low])), rest)),
        (26, [a, b, c, d, rest @ ..]) => {
            Some((u64::from(u32::from_be_bytes([*a, *b, *c, *d])), rest))
        }
        _ => None,
    }
}

/// The bits of a head's first byte that hold the major type.
pub(super) const MAJOR: u8 = 0xe0;
/// The other bits of a first byte: an argument follows from this value on.
const WIDE: u8 = 24;
/// The other bits of a first byte: no length is given.
pub(super) const INDEFINITE: u8 = 31;
pub(super) const UNSIGNED: u8 = 0x00;
pub(super) const NEGATIVE: u8 = 0x20;
pub(super) const BYTES: u8 = 0x40;
pub(super) const TEXT: u8 = 0x60;
pub(super) const ARRAY: u8 = 0x80;
pub(super) const MAP: u8 = 0xa0;
pub(super) const TAG: u8 = 0xc0;
pub(super) const SIMPLE: u8 = 0xe0;
const BREAK: u8 = 0xff;

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
