//! Finds the end of one CBOR item, resumable and linear.
//!
//! ```text
//!  piece ─feed─▶ heads walked, strings jumped over ─▶ Some(n): the item ends n bytes into the piece
//!                                                └──▶ None: more bytes are due, at least `least()`
//! ```
//!
//! Only heads are looked at: every width of argument, definite and indefinite forms, tags. What
//! is well-formed here is well-formed by RFC 8949 (text is not checked to be UTF-8). Each byte is
//! seen once however the item is cut.
//!
//! Limits: nesting of [`DEPTH_MAX`] containers; memory is 8 bytes a level.

use smallvec::SmallVec;

use super::codec::DecodeError;

/// Containers that may be open at once, inclusive. Envelopes need four; transactions of the first
/// era travel as nested structures. Guess, not measured.
pub const DEPTH_MAX: usize = 1_024;

/// Where a walk over one item stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Scan {
    /// Items that have not begun yet in the innermost open container, or one of the marks below.
    due: u64,
    /// The same of the containers around it, outermost first. The first is the item itself.
    around: SmallVec<[u64; 4]>,
    /// Bytes of the string at hand that are still to be jumped over.
    jump: u64,
    /// A head whose argument is not whole.
    head: Head,
    /// A tag was read and its content is due.
    tagged: bool,
    /// Bytes of the item seen so far.
    seen: u64,
}

/// A head whose argument is not whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Head {
    /// The initial byte.
    first: u8,
    /// Bytes of the argument that are still due; 0 = there is no such head.
    missing: u8,
    /// The argument's bytes so far.
    value: u64,
}

/// An open container without a count; counts that high cannot be met.
const LIST: u64 = u64::MAX;
/// An open map without a count, a key is due.
const MAP_KEY: u64 = u64::MAX - 1;
/// An open map without a count, a value is due.
const MAP_VALUE: u64 = u64::MAX - 2;
/// An open byte string without a length.
const CHUNKS_BYTES: u64 = u64::MAX - 3;
/// An open text string without a length.
const CHUNKS_TEXT: u64 = u64::MAX - 4;
/// The byte that ends a container without a count.
const STOP: u8 = 0xff;
/// The highest plain count.
const COUNT_MAX: u64 = u64::MAX - 5;

impl Default for Scan {
    fn default() -> Self {
        Self {
            due: 1,
            around: SmallVec::new(),
            jump: 0,
            head: Head::default(),
            tagged: false,
            seen: 0,
        }
    }
}

impl Scan {
    /// Before the first byte of an item.
    pub fn new() -> Self {
        Self::default()
    }

    /// Walks on through `piece`, which follows the pieces fed before.
    ///
    /// `Some(n)`: the item ends with the first `n` bytes of the piece (`n >= 1`), and the scan is
    /// before the first byte of the next. `None`: the whole piece belongs to the item, which goes
    /// on. After an error the bytes are no CBOR and the scan is of no use until
    /// [`reset`](Self::reset).
    pub fn feed(&mut self, piece: &[u8]) -> Result<Option<usize>, DecodeError> {
        let mut rest = piece;
        loop {
            if self.jump > 0 {
                let len = usize::try_from(self.jump).map_or(rest.len(), |len| len.min(rest.len()));
                self.jump = self.jump.saturating_sub(wide(len));
                rest = rest.get(len..).unwrap_or_default();
                if self.jump > 0 {
                    break;
                }
                if self.end() {
                    return Ok(Some(self.ended(piece, rest)));
                }
            }
            if self.head.missing == 0 && !self.tagged {
                let (behind, ended) = self.stride(rest);
                rest = behind;
                if ended {
                    return Ok(Some(self.ended(piece, rest)));
                }
            }
            let head = match self.head(&mut rest) {
                Ok(Some(head)) => head,
                Ok(None) => break,
                Err(fault) => return Err(self.place(fault, piece, rest, 1)),
            };
            match self.item(head.0, head.1) {
                Ok(Next::More) => {}
                Ok(Next::Ended) => return Ok(Some(self.ended(piece, rest))),
                Err(fault) => return Err(self.place(fault, piece, rest, head_bytes(head.0))),
            }
        }
        self.seen = self.seen.saturating_add(wide(piece.len()));
        Ok(None)
    }

    /// Bytes of the item seen so far.
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Bytes that the item has at least, as far as its heads tell: what was seen, what the string
    /// at hand still needs, and one more when something must follow.
    pub fn least(&self) -> u64 {
        let more = self.jump == 0 || self.due > 0 || self.around.iter().any(|due| *due > 0);
        let known = self.seen.saturating_add(self.jump);
        known.saturating_add(u64::from(more))
    }

    /// Forgets what was seen.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Walks on over plain items: whole heads and strings in lists and counted containers. Stops
    /// before whatever else comes, and says what it has not walked over and whether the outermost
    /// item ended.
    fn stride<'a>(&mut self, mut rest: &'a [u8]) -> (&'a [u8], bool) {
        let mut due = self.due;
        let ended = loop {
            if due > COUNT_MAX && due != LIST {
                break false;
            }
            let Some((first, value, tail)) = whole_head(rest) else {
                break false;
            };
            rest = match first >> 5 {
                major @ (4 | 5) if value > 0 => {
                    let count = value.saturating_mul(u64::from(major) - 3);
                    if count > COUNT_MAX || self.around.len() >= DEPTH_MAX {
                        break false;
                    }
                    let left = due.saturating_sub(u64::from(due != LIST));
                    self.around.push(left);
                    due = count;
                    rest = tail;
                    continue;
                }
                0 | 1 | 4 | 5 => tail,
                2 | 3 => match usize::try_from(value).ok().and_then(|len| tail.get(len..)) {
                    Some(behind) => behind,
                    None => break false,
                },
                6 if tail.first().is_some_and(|next| *next != STOP) => {
                    rest = tail;
                    continue;
                }
                7 if first & 0x1f < 24 => tail,
                _ => break false,
            };
            if due != LIST {
                due = due.saturating_sub(1);
                while due == 0
                    && let Some(outer) = self.around.pop()
                {
                    due = outer;
                }
                if due == 0 {
                    break true;
                }
            }
        };
        self.due = due;
        (rest, ended)
    }

    /// Reads one head off the front; `None` when the bytes end before it does.
    fn head(&mut self, rest: &mut &[u8]) -> Result<Option<(u8, u64)>, Flaw> {
        if self.head.missing > 0 {
            return Ok(self.late_head(rest));
        }
        if let Some((first, value, tail)) = whole_head(rest) {
            *rest = tail;
            return Ok(Some((first, value)));
        }
        let Some((&first, tail)) = rest.split_first() else {
            return Ok(None);
        };
        *rest = tail;
        match first & 0x1f {
            31 => return Ok(Some((first, 0))),
            28..31 => return Err(Flaw::Malformed),
            _ => {}
        }
        self.head = Head {
            first,
            missing: head_bytes(first).saturating_sub(1),
            value: 0,
        };
        Ok(self.late_head(rest))
    }

    fn late_head(&mut self, rest: &mut &[u8]) -> Option<(u8, u64)> {
        while self.head.missing > 0 {
            let (&byte, tail) = rest.split_first()?;
            *rest = tail;
            self.head.value = self.head.value << 8 | u64::from(byte);
            self.head.missing = self.head.missing.saturating_sub(1);
        }
        let Head { first, value, .. } = core::mem::take(&mut self.head);
        Some((first, value))
    }

    /// Takes in one whole head.
    fn item(&mut self, first: u8, value: u64) -> Result<Next, Flaw> {
        let major = first >> 5;
        let endless = first & 0x1f == 31;
        match major {
            6 if endless || self.due == CHUNKS_BYTES || self.due == CHUNKS_TEXT => {
                return Err(Flaw::Malformed);
            }
            6 => {
                self.tagged = true;
                return Ok(Next::More);
            }
            7 if endless => return self.stop(),
            7 if first & 0x1f == 24 && value < 32 => return Err(Flaw::Malformed),
            0 | 1 if endless => return Err(Flaw::Malformed),
            _ => {}
        }
        self.begin(major, endless)?;
        match (major, endless) {
            (2, true) => return self.open(CHUNKS_BYTES),
            (3, true) => return self.open(CHUNKS_TEXT),
            (4, true) => return self.open(LIST),
            (5, true) => return self.open(MAP_KEY),
            (2 | 3, false) if value > 0 => {
                self.jump = value;
                return Ok(Next::More);
            }
            (4, false) if value > 0 => return self.open(value.min(COUNT_MAX)),
            (5, false) if value > 0 => {
                return self.open(value.saturating_mul(2).min(COUNT_MAX));
            }
            _ => {}
        }
        Ok(if self.end() { Next::Ended } else { Next::More })
    }

    /// Counts an item that begins in the innermost container.
    fn begin(&mut self, major: u8, endless: bool) -> Result<(), Flaw> {
        self.tagged = false;
        match self.due {
            LIST => {}
            MAP_KEY => self.due = MAP_VALUE,
            MAP_VALUE => self.due = MAP_KEY,
            CHUNKS_BYTES if major == 2 && !endless => {}
            CHUNKS_TEXT if major == 3 && !endless => {}
            CHUNKS_BYTES | CHUNKS_TEXT => return Err(Flaw::Malformed),
            count => self.due = count.saturating_sub(1),
        }
        Ok(())
    }

    /// Closes the containers that end with the item that just ended; whether the outermost did.
    fn end(&mut self) -> bool {
        while self.due == 0 {
            match self.around.pop() {
                Some(due) => self.due = due,
                None => return true,
            }
        }
        false
    }

    /// Goes into a container.
    fn open(&mut self, due: u64) -> Result<Next, Flaw> {
        if self.around.len() >= DEPTH_MAX {
            return Err(Flaw::Depth);
        }
        self.around.push(self.due);
        self.due = due;
        Ok(Next::More)
    }

    /// The mark at the end of a container without a count.
    fn stop(&mut self) -> Result<Next, Flaw> {
        match self.due {
            LIST | MAP_KEY | CHUNKS_BYTES | CHUNKS_TEXT if !self.tagged => self.due = 0,
            _ => return Err(Flaw::Malformed),
        }
        Ok(if self.end() { Next::Ended } else { Next::More })
    }

    /// Before the next item; the length of this one in `piece`.
    fn ended(&mut self, piece: &[u8], rest: &[u8]) -> usize {
        self.due = 1;
        self.seen = 0;
        piece.len().saturating_sub(rest.len())
    }

    /// A flaw in the head of `back` bytes that ends before `rest`.
    fn place(&self, flaw: Flaw, piece: &[u8], rest: &[u8], back: u8) -> DecodeError {
        let behind = wide(piece.len().saturating_sub(rest.len())).saturating_add(self.seen);
        let at = behind.saturating_sub(u64::from(back));
        match flaw {
            Flaw::Malformed => DecodeError::Unexpected {
                at: u32::try_from(at).unwrap_or(u32::MAX),
            },
            Flaw::Depth => DecodeError::Depth,
        }
    }
}

/// What follows a head.
enum Next {
    /// Something of the same item.
    More,
    /// The next item.
    Ended,
}

/// What is wrong with a head.
#[derive(Clone, Copy)]
enum Flaw {
    Malformed,
    Depth,
}

/// Bytes of a head with this initial byte.
const fn head_bytes(first: u8) -> u8 {
    match first & 0x1f {
        24 => 2,
        25 => 3,
        26 => 5,
        27 => 9,
        _ => 1,
    }
}

/// A head that is here whole: its initial byte, its argument, what follows it. `None` for those
/// without an argument, too.
fn whole_head(bytes: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (&first, tail) = bytes.split_first()?;
    let low = first & 0x1f;
    if low < 24 {
        return Some((first, u64::from(low), tail));
    }
    let (value, tail) = match low {
        24 => split(tail, |b: [u8; 1]| u64::from(u8::from_be_bytes(b)))?,
        25 => split(tail, |b| u64::from(u16::from_be_bytes(b)))?,
        26 => split(tail, |b| u64::from(u32::from_be_bytes(b)))?,
        27 => split(tail, u64::from_be_bytes)?,
        _ => return None,
    };
    Some((first, value, tail))
}

fn split<const N: usize>(bytes: &[u8], value: fn([u8; N]) -> u64) -> Option<(u64, &[u8])> {
    let (chunk, tail) = bytes.split_first_chunk()?;
    Some((value(*chunk), tail))
}

fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
