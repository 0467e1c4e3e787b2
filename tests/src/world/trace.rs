//! A rolling hash of all that happens: equal runs have equal hashes on every platform.

use core::fmt::{self, Write as _};

use bytes::Bytes;
use samanea_core::{
    base::Instant,
    chain::{Answer, Question},
    node::{Action, Event},
};

/// FNV-1a over a canonical rendering of events and actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl fmt::Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

impl Trace {
    /// The hash so far.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Takes in an event of a host.
    pub fn event(&mut self, now: Instant, host: usize, event: &Event) {
        let _ = write!(self, "{now:?} {host} ");
        match event {
            Event::Received { conn, bytes } => {
                let _ = write!(self, "received {conn}");
                self.content(bytes);
            }
            Event::Answered {
                ticket,
                answer: Answer::Loaded(bodies),
            } => {
                let _ = write!(self, "loaded {ticket}");
                for body in bodies {
                    self.content(body);
                }
            }
            other => {
                let _ = write!(self, "{other:?}");
            }
        }
    }

    /// Takes in an action of a host.
    pub fn action(&mut self, action: &Action) {
        match action {
            Action::Write { conn, batch } => {
                let _ = write!(self, "write {conn}");
                batch.iter().for_each(|bytes| self.content(bytes));
            }
            Action::Ask {
                ticket,
                question: Question::Judge { view, block },
            } => {
                let _ = write!(self, "judge {ticket} {view:?}");
                self.content(block);
            }
            other => {
                let _ = write!(self, "{other:?}");
            }
        }
    }

    /// Length and content; eight bytes at a time, because there are many.
    fn content(&mut self, bytes: &Bytes) {
        let _ = write!(self, " {}:", bytes.len());
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let word = word.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            self.word(word);
        }
        let rest = words.remainder();
        self.bytes(rest);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.word(u64::from(*byte));
        }
    }

    const fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01b3);
    }
}
