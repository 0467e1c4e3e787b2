//! JSON with the place of everything: what is refused is named by file, line and path.
//!
//! Nothing is copied before it is asked for: a [`Value`] is a piece of the text. Repeated keys are
//! seen and refused; numbers keep their digits. Depth costs nothing, because only what a reader
//! asks for is entered.

use std::{
    cell::{Cell, RefCell},
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use serde::de::{self, Deserializer as _};
use serde_json::value::RawValue;

/// Why a file cannot be used. The operator's; nothing has changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be opened or read.
    #[error("{}: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is too long to be what it should be.
    #[error("{}: found more than {max} bytes, allowed are {max}", file.display())]
    TooLong {
        /// The file.
        file: PathBuf,
        /// The limit in bytes, inclusive.
        max: u64,
    },
    /// It is not text in UTF-8.
    #[error("{}: found bytes that are not UTF-8 behind byte {behind}", file.display())]
    Encoding {
        /// The file.
        file: PathBuf,
        /// How many bytes are.
        behind: usize,
    },
    /// It is not JSON.
    #[error("{}: {what}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// Something in it is not as it must be.
    #[error(transparent)]
    Refused(Box<Refused>),
}

/// What is not as it must be, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: found {found}, allowed is {allowed}")]
pub struct Refused {
    /// Where.
    pub place: Place,
    /// What was found there.
    pub found: String,
    /// What is allowed there.
    pub allowed: String,
}

/// What is probably not meant, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What is odd, and what follows from it.
    pub what: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// A place in a file: `topology.json:14: localRoots[1].accessPoints[0].port`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file as it was named.
    pub file: PathBuf,
    /// The line, from 1 on; `None` for what is not in one place.
    pub line: Option<usize>,
    /// Keys and indices from the top; empty at the top.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        Ok(())
    }
}

/// Reads a file of at most `max` bytes.
pub(super) fn load(file: &Path, max: u64) -> Result<Vec<u8>, Error> {
    let unreadable = |error| Error::Unreadable {
        file: file.to_owned(),
        error,
    };
    let mut bytes = Vec::new();
    let open = fs::File::open(file).map_err(unreadable)?;
    // One byte more tells a file that is too long from one that just fits.
    let mut open = open.take(max.saturating_add(1));
    open.read_to_end(&mut bytes).map_err(unreadable)?;
    fits(file, &bytes, max)?;
    Ok(bytes)
}

/// Refuses more than `max` bytes.
pub(super) fn fits(file: &Path, bytes: &[u8], max: u64) -> Result<(), Error> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) <= max {
        return Ok(());
    }
    Err(Error::TooLong {
        file: file.to_owned(),
        max,
    })
}

/// A text, and what was odd in it.
pub(super) struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    warnings: RefCell<Vec<Warning>>,
    more: Cell<usize>,
}

impl<'a> Document<'a> {
    /// Takes bytes that must be text.
    pub(super) fn new(file: &'a Path, bytes: &'a [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|error| Error::Encoding {
            file: file.to_owned(),
            behind: error.valid_up_to(),
        })?;
        Ok(Self {
            file,
            // Some editors put a byte order mark before everything.
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
            warnings: RefCell::default(),
            more: Cell::default(),
        })
    }

    /// The whole, checked to be JSON.
    pub(super) fn top(&self) -> Result<Value<'_>, Error> {
        let raw: &RawValue =
            serde_json::from_str(self.text).map_err(|error| self.syntax(&error))?;
        Ok(Value {
            document: self,
            text: raw.get(),
            path: String::new(),
        })
    }

    /// What was odd, in order; at most [`WARNINGS_MAX`], then how many more.
    pub(super) fn into_warnings(self) -> Vec<Warning> {
        let mut warnings = self.warnings.into_inner();
        let more = self.more.get();
        if more > 0 {
            warnings.push(Warning {
                place: Place {
                    file: self.file.to_owned(),
                    ..Place::default()
                },
                what: format!("and {more} more warnings"),
            });
        }
        warnings
    }

    fn syntax(&self, error: &serde_json::Error) -> Error {
        Error::Syntax {
            file: self.file.to_owned(),
            what: format!("not JSON: {error}"),
        }
    }
}

/// Warnings kept of one file, at most.
pub const WARNINGS_MAX: usize = 50;

/// A value somewhere in a text.
#[derive(Clone)]
pub(super) struct Value<'a> {
    document: &'a Document<'a>,
    text: &'a str,
    path: String,
}

impl<'a> Value<'a> {
    /// Where it is.
    pub(super) fn place(&self) -> Place {
        let document = self.document;
        // Both are pieces of one text.
        let offset = self.text.as_ptr().addr();
        let offset = offset.saturating_sub(document.text.as_ptr().addr());
        let before = document.text.as_bytes().get(..offset).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        Place {
            file: document.file.to_owned(),
            line: Some(line),
            path: self.path.clone(),
        }
    }

    /// Says that it is not as it must be.
    pub(super) fn refuse(&self, found: impl fmt::Display, allowed: impl fmt::Display) -> Error {
        Error::Refused(Box::new(Refused {
            place: self.place(),
            found: found.to_string(),
            allowed: allowed.to_string(),
        }))
    }

    /// Says that it is of another kind than it must be, or out of range.
    pub(super) fn refuse_it(&self, allowed: impl fmt::Display) -> Error {
        self.refuse(self.sketch(), allowed)
    }

    /// Says that it is odd.
    pub(super) fn warn(&self, what: impl Into<String>) {
        let document = self.document;
        let mut warnings = document.warnings.borrow_mut();
        if warnings.len() >= WARNINGS_MAX {
            document.more.set(document.more.get().saturating_add(1));
            return;
        }
        warnings.push(Warning {
            place: self.place(),
            what: what.into(),
        });
    }

    /// What is there, in a few words.
    pub(super) fn sketch(&self) -> String {
        match self.text.as_bytes().first() {
            Some(b'{') => "an object".into(),
            Some(b'[') => "a list".into(),
            _ if self.text.chars().nth(SKETCH_MAX).is_some() => {
                let start: String = self.text.chars().take(SKETCH_MAX).collect();
                format!("{start}…")
            }
            _ => self.text.into(),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.text == "null"
    }

    pub(super) fn is_object(&self) -> bool {
        self.text.starts_with('{')
    }

    pub(super) fn is_text(&self) -> bool {
        self.text.starts_with('"')
    }

    /// The digits of a number.
    pub(super) fn number(&self) -> Option<&'a str> {
        let first = self.text.as_bytes().first()?;
        (first.is_ascii_digit() || *first == b'-').then_some(self.text)
    }

    /// The members of an object; `known` are the keys that mean something.
    pub(super) fn object(&self, known: &'static [&'static str]) -> Result<Object<'a>, Error> {
        let pairs = serde_json::Deserializer::from_str(self.text).deserialize_map(Pairs);
        let pairs = pairs.map_err(|_| self.refuse_it("an object, { … }"))?;
        let mut members: Vec<(String, Value<'a>)> = Vec::with_capacity(pairs.len());
        for (key, raw) in pairs {
            let path = match self.path.as_str() {
                "" => key.clone(),
                path => format!("{path}.{key}"),
            };
            let value = Value {
                document: self.document,
                text: raw.get(),
                path,
            };
            if members.len() >= KEYS_MAX {
                return Err(self.refuse("more keys", format_args!("at most {KEYS_MAX} keys")));
            }
            if members.iter().any(|(other, _)| *other == key) {
                return Err(value.refuse("the key a second time", "each key once"));
            }
            members.push((key, value));
        }
        Ok(Object {
            whole: self.clone(),
            known,
            members,
        })
    }

    /// The members of a list.
    pub(super) fn list(&self) -> Result<Vec<Self>, Error> {
        let items: Vec<&'a RawValue> =
            serde_json::from_str(self.text).map_err(|_| self.refuse_it("a list, [ … ]"))?;
        let values = items.into_iter().enumerate().map(|(at, raw)| Value {
            document: self.document,
            text: raw.get(),
            path: format!("{}[{at}]", self.path),
        });
        Ok(values.collect())
    }

    pub(super) fn boolean(&self) -> Result<bool, Error> {
        match self.text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.refuse_it("true or false")),
        }
    }

    /// A text, its escapes undone.
    pub(super) fn text(&self, allowed: &str) -> Result<String, Error> {
        serde_json::from_str(self.text).map_err(|_| self.refuse_it(allowed))
    }

    /// A whole number from `min` to `max`, both inclusive.
    pub(super) fn whole<N>(&self, min: N, max: N) -> Result<N, Error>
    where
        N: Copy + PartialOrd + std::str::FromStr + fmt::Display,
    {
        let refuse = || self.refuse_it(format_args!("a whole number from {min} to {max}"));
        let number = self.number().ok_or_else(refuse)?;
        let number: N = number.parse().map_err(|_| refuse())?;
        let fits = min <= number && number <= max;
        fits.then_some(number).ok_or_else(refuse)
    }
}

const SKETCH_MAX: usize = 60;
/// Keys of one object, at most; a node's configuration has two hundred.
const KEYS_MAX: usize = 2_000;

/// An object with its members in order.
pub(super) struct Object<'a> {
    whole: Value<'a>,
    known: &'static [&'static str],
    members: Vec<(String, Value<'a>)>,
}

impl<'a> Object<'a> {
    /// A member that may be absent.
    pub(super) fn find(&self, key: &str) -> Option<&Value<'a>> {
        let found = self.members.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }

    /// A member that may be absent or null, which is the same.
    pub(super) fn some(&self, key: &str) -> Option<&Value<'a>> {
        self.find(key).filter(|value| !value.is_null())
    }

    /// A member that must be there.
    pub(super) fn need(&self, key: &str) -> Result<&Value<'a>, Error> {
        self.find(key).ok_or_else(|| {
            let near = self.members.iter().map(|(name, _)| name.as_str());
            let near = similar(key, near.filter(|name| !self.known.contains(name)));
            let found = match near {
                Some(near) => format!("no key `{key}` (but `{near}`)"),
                None => format!("no key `{key}`"),
            };
            let allowed = format!("an object with `{key}`");
            self.whole.refuse(found, allowed)
        })
    }

    /// A flag that is `false` when absent.
    pub(super) fn flag(&self, key: &str) -> Result<bool, Error> {
        self.some(key).map_or(Ok(false), Value::boolean)
    }

    /// The object itself.
    pub(super) fn whole(&self) -> &Value<'a> {
        &self.whole
    }

    /// All members.
    pub(super) fn members(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.members
            .iter()
            .map(|(key, value)| (key.as_str(), value))
    }

    /// Warns of keys that mean nothing.
    pub(super) fn warn_of_others(&self) {
        for (key, value) in &self.members {
            if !self.known.contains(&key.as_str()) {
                value.warn(match similar(key, self.known.iter().copied()) {
                    Some(near) => format!("unknown key, ignored; is `{near}` meant?"),
                    None => "unknown key, ignored".into(),
                });
            }
        }
    }
}

/// What was probably meant.
pub(super) fn similar<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = key.to_lowercase();
    let near = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&lower, &known.to_lowercase()), known));
    let best = near.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 > SIMILAR).then_some(best.1)
}

const SIMILAR: f64 = 0.9;

/// An object as its keys and the pieces of text behind them, repeated keys included.
struct Pairs;

impl<'de> de::Visitor<'de> for Pairs {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}
