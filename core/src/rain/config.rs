//! The settings of structured gossip, each with its default and where that comes from.

use alloc::vec::Vec;
use core::time::Duration;

use super::audience;
use crate::base::GroupId;

/// Settings of one node; all members of a group should agree on the first four.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Config {
    /// The form of the tree. Default: exact.
    pub shape: Shape,
    /// Whether duties are acknowledged, and by whom silence is noticed. Default: all.
    pub acks: Acks,
    /// Whether clean-up chains run, and which rules they keep.
    pub cleanup: Cleanup,
    /// What is sent beside the tree unless a message says otherwise. Default: the originator asks
    /// everybody in groups of up to [`star_asked_max`](Config::star_asked_max) members.
    pub redundancy: Option<Redundancy>,
    /// Groups of up to so many members are asked one by one by the originator, inclusive.
    /// Default 256: costs two short frames a member.
    pub star_asked_max: u32,
    /// Members asked at once in such a round. Default 16.
    pub star_asks_max: u32,
    /// In groups of up to so many members consensus messages are sent to each directly, inclusive.
    /// Default 32. src: pokt-network/pocket, proposals for consensus over direct sends
    pub star_max: u32,
    /// Sends that a node makes for silent children of one message, in multiples of ⌈log₃ n⌉; past
    /// it their arcs are given on whole. Default 3: measured with 10,000 members of whom half are
    /// dead, the busiest node makes 75 sends instead of 750.
    pub adoption: u32,
    /// Whether unknown members count as connected. For worlds without connections. Default: no.
    pub reach: Reach,
    /// Whether what is delivered waits for the application's verdict. Default: forwarded beside
    /// it.
    pub validation: Validation,
    /// Who may hand messages to groups they are not in, and to which. Default: servicers to
    /// validators; validators to everybody else with a stake, and to archival nodes.
    pub doors: Vec<Door>,
    /// Times.
    pub times: Times,
    /// Maxima.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shape: Shape::Exact,
            acks: Acks::All,
            cleanup: Cleanup::default(),
            redundancy: None,
            star_asked_max: 256,
            star_asks_max: 16,
            star_max: 32,
            adoption: 3,
            reach: Reach::Told,
            validation: Validation::None,
            doors: audience::doors(),
            times: Times::default(),
            limits: Limits::default(),
        }
    }
}

/// A way into a group from outside. All members of both groups must agree on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Door {
    /// Whose members may hand messages in.
    pub from: GroupId,
    /// To which group.
    pub into: GroupId,
    /// At how many of its members, at least 1.
    pub entries: u32,
}

/// The form of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Shape {
    /// n−1 sends, everybody.
    Exact,
    /// Levels, with a watermark per message: a copy of a level acts only on levels below it that
    /// were not acted on.
    Legacy,
    /// Levels, every copy is forwarded again, as the first implementation did.
    LegacyForwardAll,
}

/// Who acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Acks {
    /// Everybody who is given a duty; silent ones are replaced.
    All,
    /// Only the two at the top of the tree.
    Top,
    /// Nobody: tree and clean-up alone.
    Off,
}

/// What is sent beside the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Redundancy {
    /// Nothing.
    None,
    /// The originator sends the payload to everybody.
    OriginatorStar,
    /// Everybody sends it to the members one and two thirds of the ring away.
    Thirds,
    /// The originator asks everybody who is not known to hold it, and sends it to those who want
    /// it.
    AskedStar,
}

/// The clean-up chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, one a rule"
)]
pub struct Cleanup {
    /// Whether they run.
    pub on: bool,
    /// Holders that a chain finds before it ends. Default 2; liars need more, see
    /// [`custodians_byzantine`](Cleanup::custodians_byzantine).
    pub custodians: u8,
    /// The same where a message says that members may lie. Default 4: of 1,000 members of whom a
    /// third lie, 0.15 are missed on average.
    pub custodians_byzantine: u8,
    /// When chains start at one who got a message over the tree. Default: when it should be
    /// through.
    pub start: Start,
    /// Multiples of the time of a hop that a chain waits beyond that. Default 4.
    pub patience: u32,
    /// Whether those who hold it must prove it. Default: no; liars are outnumbered instead.
    pub challenge: bool,
    /// Whether answers that come late are served. Only for the proof that it matters.
    pub serve_late: bool,
    /// Whether those passed over are asked in passing and again. Only for the proof that it
    /// matters.
    pub ask_passed: bool,
    /// Whether a chain goes on when one it counted is lost. Only for the proof that it matters.
    pub rearm: bool,
    /// Whether those it counted are watched while it counts them. Only for the proof that it
    /// matters.
    pub watch: bool,
}

impl Default for Cleanup {
    fn default() -> Self {
        Self {
            on: true,
            custodians: 2,
            custodians_byzantine: 4,
            start: Start::AfterTree,
            patience: 4,
            challenge: false,
            serve_late: true,
            ask_passed: true,
            rearm: true,
            watch: true,
        }
    }
}

/// When chains start at one who got a message over the tree, but for
/// [`patience`](Cleanup::patience).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Start {
    /// When the tree should be through, and not before the own duties are settled. Of a thousand
    /// members with nobody dead, nobody gets it twice.
    AfterTree,
    /// When it came, whatever the tree does. With two hops of patience and 30 of a hundred dead it
    /// takes about a tenth less time until everybody has it, and a seventh more payloads.
    AfterReceipt,
}

/// Whether a member that nothing was said of counts as connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Reach {
    /// Only those that are said to be up; others are dialled.
    Told,
    /// Everybody until said to be down.
    Assumed,
}

/// What the application is asked about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Validation {
    /// Nothing.
    None,
    /// Whether it is good, while it is forwarded.
    Beside,
    /// Whether it is good, before it is forwarded.
    Before,
}

/// All times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Times {
    /// The shortest wait for an acknowledgement. Default 50 ms.
    pub rto_min: Duration,
    /// The longest, the time to send a payload not counted. Default 3 s.
    pub rto_max: Duration,
    /// The round trip of a member not yet measured. Default 300 ms.
    pub rtt: Duration,
    /// Its deviation. Default 150 ms.
    pub rtt_deviation: Duration,
    /// How long a dial may take. Default 1 s.
    pub dial: Duration,
    /// For how long a silent member is taken as silent at once. Default 10 s.
    pub suspicion: Duration,
    /// The longest a chain waits before it starts. Default 10 s.
    pub start_max: Duration,
    /// Questions to one member are collected for so long. Default 20 ms.
    pub clean_tick: Duration,
    /// A member counted by a chain must be heard from so often. Default 5 s: a keep-alive of the
    /// connection would be later than messages are kept.
    pub watch: Duration,
    /// Digests are exchanged so often. Default 5 s.
    pub digest: Duration,
    /// A promise to take a payload holds at least so long. Default 1 s.
    pub promise: Duration,
    /// Messages of a view not yet known are kept so long. Default 2 s.
    pub park: Duration,
    /// A message waits so long for the application's verdict. Default 2 s.
    pub verdict: Duration,
    /// A message is kept so long. Default 60 s: six custodians of one chain may die in turn.
    pub retain: Duration,
    /// Ids are remembered so long at least. Default 120 s.
    pub seen: Duration,
    /// Members of a group without a ledger are asked so often whether they are there. Default 5 s.
    pub ping: Duration,
    /// One that does not answer is reported after so long. Default 10 s.
    pub gone: Duration,
    /// Reports of different members count together within this. Default 30 s.
    pub reports: Duration,
    /// What is known of those who left is kept so long. Default 1 h.
    pub left: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            rto_min: Duration::from_millis(50),
            rto_max: Duration::from_secs(3),
            rtt: Duration::from_millis(300),
            rtt_deviation: Duration::from_millis(150),
            dial: Duration::from_secs(1),
            suspicion: Duration::from_secs(10),
            start_max: Duration::from_secs(10),
            clean_tick: Duration::from_millis(20),
            watch: Duration::from_secs(5),
            digest: Duration::from_secs(5),
            promise: Duration::from_secs(1),
            park: Duration::from_secs(2),
            verdict: Duration::from_secs(2),
            retain: Duration::from_secs(60),
            seen: Duration::from_secs(120),
            ping: Duration::from_secs(5),
            gone: Duration::from_secs(10),
            reports: Duration::from_secs(30),
            left: Duration::from_secs(3_600),
        }
    }
}

/// All maxima, inclusive, and what happens beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limits {
    /// Bytes of a payload; larger ones are refused. Default 4 MiB.
    pub payload: u32,
    /// Messages kept; beyond, the oldest expires. Default 4,096.
    pub messages: usize,
    /// Bytes of payload kept; beyond, the oldest expires. Default 256 MiB.
    pub bytes: u64,
    /// The part of both that one origin may take; beyond, it is told that we are busy. Default an
    /// eighth.
    pub origin_share: u32,
    /// Ids remembered; beyond, the older half is forgotten. Default 2^17.
    pub seen: usize,
    /// Views of a group that are kept; beyond, the oldest is forgotten. Default 3.
    pub views: usize,
    /// Groups; beyond, a view is refused. Default 256.
    pub groups: usize,
    /// Members of whom something is known beside their place; beyond, the one heard from longest
    /// ago who is not up is forgotten. Default 4,096.
    pub peers: usize,
    /// Members taken as silent; beyond, the oldest suspicion is forgotten. Default 4,096.
    pub suspects: usize,
    /// Promises; beyond, a payload is asked for without one. Default 1,024.
    pub promises: usize,
    /// Members that wait for the end of a promise; beyond, they are told to send. Default 16.
    pub waiters: usize,
    /// Messages of views not yet known; beyond, the oldest is dropped. Default 64.
    pub parked: usize,
    /// Their bytes. Default 8 MiB.
    pub parked_bytes: u64,
    /// Origins per group whose messages are numbered; beyond, the one with the oldest message is
    /// forgotten. Default 4,096.
    pub origins: usize,
    /// Dials at once; beyond, members are relayed to or taken as silent. Default 8.
    pub dials: u32,
    /// Questions collected for one member before they are sent. Default 32.
    pub batch: usize,
    /// Passed-over members remembered per message; beyond, none is added. Default 4,096.
    pub passed: usize,
    /// Ids that one member may ask for in a second; beyond, it is told that we are busy.
    /// Default 4,096.
    pub asked_rate: u32,
    /// Payload bytes that a member may send before it is granted more. Default 8 MiB.
    pub credit: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload: 4 << 20,
            messages: 4_096,
            bytes: 256 << 20,
            origin_share: 8,
            seen: 1 << 17,
            views: 3,
            groups: 256,
            peers: 4_096,
            suspects: 4_096,
            promises: 1_024,
            waiters: 16,
            parked: 64,
            parked_bytes: 8 << 20,
            origins: 4_096,
            dials: 8,
            batch: 32,
            passed: 4_096,
            asked_rate: 4_096,
            credit: 8 << 20,
        }
    }
}
