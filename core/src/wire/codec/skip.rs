//! Passes over items of any kind.

use smallvec::SmallVec;

use super::{
    DecodeError, Reader,
    reader::{ARRAY, BYTES, INDEFINITE, MAJOR, MAP, NEGATIVE, SIMPLE, TAG, TEXT, UNSIGNED},
};

impl Reader<'_> {
    /// Passes over one well-formed item of any kind, nested [`Reader::DEPTH_MAX`] deep at most.
    /// Text is not checked to be UTF-8.
    #[inline]
    pub fn skip(&mut self) -> Result<(), DecodeError> {
        let before = self.rest;
        let mut due = 1_u64;
        while let Some(left) = due.checked_sub(1) {
            let first = self.first()?;
            let major = first & MAJOR;
            if major == SIMPLE || first & !MAJOR == INDEFINITE {
                self.rest = before;
                return self.skip_open();
            }
            let value = self.expect(major)?;
            due = match major {
                BYTES | TEXT => {
                    self.content(value)?;
                    left
                }
                ARRAY => left.saturating_add(self.there(value)?),
                MAP => left.saturating_add(self.there(value.saturating_mul(2))?),
                TAG => due,
                _ => left,
            };
        }
        Ok(())
    }

    /// [`skip`](Self::skip) for items that may be indefinite.
    fn skip_open(&mut self) -> Result<(), DecodeError> {
        let mut open: SmallVec<[Open; 8]> = SmallVec::new();
        open.push(Open::Definite(1));
        while let Some(top) = open.last_mut() {
            match top {
                Open::Definite(0) => {
                    open.pop();
                    continue;
                }
                Open::Definite(left) => *left = left.saturating_sub(1),
                Open::Array | Open::Chunks(_) | Open::Pairs { odd: false }
                    if self.at_break()? =>
                {
                    open.pop();
                    continue;
                }
                Open::Pairs { odd } => *odd = !*odd,
                Open::Chunks(major) if self.first()? & MAJOR != *major => {
                    return Err(self.unexpected());
                }
                Open::Array => {}
                Open::Chunks(major) => {
                    let len = self.expect(*major)?;
                    self.content(len)?;
                    continue;
                }
            }
            match self.item()? {
                Open::Definite(0) => {}
                Open::Definite(count) => match open.last_mut() {
                    Some(Open::Definite(left)) => *left = left.saturating_add(count),
                    _ => open.push(Open::Definite(count)),
                },
                inner => open.push(inner),
            }
            if open.len() > Self::DEPTH_MAX {
                return Err(DecodeError::Depth);
            }
        }
        Ok(())
    }

    /// Reads one head, and its content unless that is items: says how many follow.
    fn item(&mut self) -> Result<Open, DecodeError> {
        let before = self.rest;
        let (major, value) = self.head()?;
        Ok(match (major, value) {
            (BYTES | TEXT, Some(len)) => {
                self.content(len)?;
                Open::Definite(0)
            }
            (BYTES | TEXT, None) => Open::Chunks(major),
            (ARRAY, Some(items)) => Open::Definite(self.there(items)?),
            (ARRAY, None) => Open::Array,
            (MAP, Some(pairs)) => Open::Definite(self.there(pairs.saturating_mul(2))?),
            (MAP, None) => Open::Pairs { odd: false },
            (TAG, _) => Open::Definite(1),
            (_, Some(_)) => Open::Definite(0),
            (_, None) => return Err(self.unexpected_at(before)),
        })
    }

    /// Reads a head of any width: the major type and the argument, `None` in place of the
    /// argument of what is indefinite and of a break.
    #[inline]
    fn head(&mut self) -> Result<(u8, Option<u64>), DecodeError> {
        let first = self.first()?;
        let major = first & MAJOR;
        if first & !MAJOR == INDEFINITE && !matches!(major, UNSIGNED | NEGATIVE | TAG) {
            self.rest = self.rest.get(1..).unwrap_or_default();
            return Ok((major, None));
        }
        // A simple value in two bytes must need them.
        if let [0xf8, 0..32, ..] = self.rest {
            return Err(self.unexpected());
        }
        self.expect(major).map(|value| (major, Some(value)))
    }
}

/// A container that [`Reader::skip`] is in.
enum Open {
    /// So many items to come, of one container or of several.
    Definite(u64),
    /// Items until a break.
    Array,
    /// Pairs until a break; `odd` when a value is due.
    Pairs { odd: bool },
    /// Definite strings of this major type until a break.
    Chunks(u8),
}
