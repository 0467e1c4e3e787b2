//! Groups of structured gossip as operators see them, and messages that they publish.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use samanea_core::{
    base::MessageId,
    node::GroupLook,
    rain::{Audience, Options, Refusal},
};
use samanea_std::topology::groups::{from_name, to_name};
use serde::{Deserialize, Serialize};

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Which, in words.
    pub group: String,
    /// The epoch of its newest view.
    pub epoch: u64,
    /// How many are in it.
    pub members: u32,
    /// Whether the node is.
    pub member: bool,
    /// Members that can be reached now.
    pub linked: u32,
    /// Members that the group wants connections to.
    pub wanted: u32,
    /// Messages of it that are held.
    pub held: u32,
}

impl GroupRow {
    /// In words.
    pub fn new(look: &GroupLook) -> Self {
        Self {
            group: to_name(&look.group),
            epoch: look.epoch,
            members: look.members,
            member: look.is_member,
            linked: look.linked,
            wanted: look.wanted,
            held: look.held,
        }
    }
}

/// The names of audiences that are no groups, beside `consensus`.
pub const AUDIENCES: [(&str, Audience); 5] = [
    ("transactions", Audience::Transactions),
    ("transactions-to-all", Audience::TransactionsToAll),
    ("block", Audience::Block),
    ("block-to-archive", Audience::BlockToArchive),
    ("announcement", Audience::Announcement),
];

/// How long a round of consensus takes when it is not said.
const ROUND: Duration = Duration::from_secs(20);

/// Reads an audience: `transactions`, `transactions-to-all`, `block`, `block-to-archive`,
/// `announcement`, `consensus` or `consensus:MILLISECONDS`, else the name of a group.
pub fn audience(text: &str) -> Option<Audience> {
    if let Some((_, audience)) = AUDIENCES.iter().find(|(name, _)| *name == text) {
        return Some(audience.clone());
    }
    if text == "consensus" {
        return Some(Audience::Consensus { round: ROUND });
    }
    if let Some(millis) = text.strip_prefix("consensus:") {
        let millis: u32 = millis.parse().ok()?;
        let round = Duration::from_millis(millis.into());
        return (millis > 0).then_some(Audience::Consensus { round });
    }
    let options = Options::default();
    from_name(text).map(|group| Audience::Group { group, options })
}

/// Bytes of hexadecimal digits, two for each.
pub fn bytes_from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    pairs.iter().map(byte).collect()
}

/// Hexadecimal digits of bytes.
pub fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(half.into(), 16));
        }
        text
    })
}

/// What comes of broadcasts, for those who wait for it.
#[derive(Debug, Default)]
pub struct Outbox(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    by: BTreeMap<u64, mpsc::Sender<Result<MessageId, Refusal>>>,
}

/// How long a node may take to say what came of a broadcast.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a broadcast was not begun, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unpublished {
    /// The node refused.
    Refused(Refusal),
    /// The node said nothing in time.
    Silence,
}

impl fmt::Display for Unpublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => why.fmt(f),
            Self::Silence => f.write_str("the node does not say whether it is published"),
        }
    }
}

impl Outbox {
    /// From now on what comes of a broadcast with this tag is waited for.
    pub fn begin(&self) -> Awaited<'_> {
        let (told, news) = mpsc::channel();
        let mut waiting = self.waiting();
        waiting.next = waiting.next.wrapping_add(1);
        let tag = waiting.next;
        waiting.by.insert(tag, told);
        Awaited {
            outbox: self,
            tag,
            news,
        }
    }

    /// What came of the broadcast with this tag.
    pub fn tell(&self, tag: u64, what: Result<MessageId, Refusal>) {
        if let Some(told) = self.waiting().by.remove(&tag) {
            // Whoever waited may be gone.
            let _ = told.send(what);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A broadcast that is waited for.
#[derive(Debug)]
pub struct Awaited<'a> {
    outbox: &'a Outbox,
    tag: u64,
    news: mpsc::Receiver<Result<MessageId, Refusal>>,
}

impl Awaited<'_> {
    /// Its tag.
    pub const fn tag(&self) -> u64 {
        self.tag
    }

    /// Waits for what comes of it.
    pub fn wait(self) -> Result<MessageId, Unpublished> {
        match self.news.recv_timeout(PATIENCE) {
            Ok(what) => what.map_err(Unpublished::Refused),
            Err(_) => Err(Unpublished::Silence),
        }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.outbox.waiting().by.remove(&self.tag);
    }
}

#[cfg(test)]
mod tests {
    use samanea_core::{base::GroupId, rain::audience as meant};

    use super::*;

    #[test]
    fn audiences_are_read_from_their_names() {
        for (name, expected) in AUDIENCES {
            assert_eq!(audience(name), Some(expected));
        }
        let round = Duration::from_millis(500);
        assert_eq!(
            audience("consensus:500"),
            Some(Audience::Consensus { round })
        );
        let options = Options::default();
        let group = meant::others();
        let named = audience("minus(all-staked,validator)");
        assert_eq!(named, Some(Audience::Group { group, options }));
        let group = GroupId::AllStaked;
        assert_eq!(
            audience("all-staked"),
            Some(Audience::Group { group, options })
        );
        for wrong in ["", "consensus:", "consensus:0", "blocks"] {
            assert_eq!(audience(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bytes_come_back_from_their_digits() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(bytes_from_hex(&hex_of(&bytes)), Some(bytes));
        assert_eq!(bytes_from_hex(""), Some(Vec::new()));
        assert_eq!((bytes_from_hex("abc"), bytes_from_hex("0x")), (None, None));
    }

    #[test]
    fn whoever_waits_is_told_once_and_others_are_not() {
        let outbox = Outbox::default();
        let (one, two) = (outbox.begin(), outbox.begin());
        let why = Refusal::NotMember;
        outbox.tell(two.tag(), Err(why));
        outbox.tell(one.tag(), Ok(MessageId::default()));
        outbox.tell(one.tag(), Err(why));
        assert_eq!(one.wait(), Ok(MessageId::default()));
        assert_eq!(two.wait(), Err(Unpublished::Refused(why)));
        drop(outbox.begin());
        assert!(outbox.waiting().by.is_empty());
    }
}
