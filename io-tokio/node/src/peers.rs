//! Peers as operators see them: one row each, joined from what the selection holds of a peer and
//! from its connections, and one of them explained in words.

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr, time::Duration};

use samanea_core::{
    base::Instant,
    governor::{self, Next, Source, Status},
    manager::{self, Provenance, State},
    node,
    proto::handshake::Mode,
};
use serde::{Deserialize, Serialize};

/// A word that is known here; on the other side of the control socket, any.
pub type Word = Cow<'static, str>;

/// One peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its address.
    pub peer: SocketAddr,
    /// Where it is known from: `command`, `local`, `bootstrap`, `public`, `ledger`, `big`,
    /// `member` or `other`; `None` when only its connection is known.
    pub source: Option<Word>,
    /// `cold`, `cooling`, `warm` or `hot`; `None` when only its connection is known.
    pub temperature: Option<Word>,
    /// What goes on with it.
    pub status: Word,
    /// Who was first, and how often: headers and bodies near the tip, bytes far from it.
    pub score: f64,
    /// Round trip in microseconds, smoothed.
    pub rtt_us: Option<u64>,
    /// Hops to the producers of blocks, estimated.
    pub hops: Option<u32>,
    /// Its connections: `in`, `out`, `duplex` (used both ways), or several of them.
    pub direction: Option<Word>,
    /// Their numbers, which the node never gives twice.
    #[serde(default)]
    pub connections: Vec<u64>,
    /// For how long its status is what it is, in milliseconds.
    pub since_ms: u64,
    /// When it became so, in whole seconds of the node's own clock: the same in every answer for
    /// as long as it stays so.
    #[serde(default)]
    pub since_s: u64,
    /// What comes next.
    pub next: Word,
    /// In how many milliseconds, when that is known.
    pub next_ms: Option<u64>,
    /// Who told us of it.
    pub told_by: Option<SocketAddr>,
    /// Failures that count.
    pub failures: u8,
    /// What the topology says of it, if it is a local root and not kept by command.
    #[serde(default)]
    pub root: Option<Root>,
}

/// A local root of the topology, and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four flags of the topology file"
)]
pub struct Root {
    /// Its group, from 0.
    pub group: usize,
    /// Members of that group that must be hot.
    pub hot: u32,
    /// Members of that group that must be warm or hot.
    pub warm: u32,
    /// `advertise`: whether it may be told to others.
    pub advertise: bool,
    /// `trustable`: whether it is used while the chain is old.
    pub trustable: bool,
    /// `behindFirewall`: whether it is never dialled.
    pub behind_firewall: bool,
    /// `diffusionMode`: whether a new connection to it is only used by us.
    pub initiator_only: bool,
}

/// One peer, explained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// In numbers and words.
    pub row: Row,
    /// Why it is what it is.
    pub why: Word,
    /// What would promote it.
    pub promotion: Word,
    /// What is waited for.
    pub waits: Word,
    /// What else is held of it, a fact each.
    pub facts: Vec<String>,
    /// What the connection layer says, a line each.
    pub connections: Vec<String>,
}

/// A row for each peer that is known or connected, by address.
pub fn rows(
    now: Instant,
    known: impl IntoIterator<Item = governor::Explanation>,
    conns: impl IntoIterator<Item = manager::Explanation>,
) -> Vec<Row> {
    let mut by: BTreeMap<SocketAddr, (Option<governor::Explanation>, Vec<_>)> = BTreeMap::new();
    for known in known {
        let entry = by.entry(known.peer).or_default();
        entry.0 = Some(known);
    }
    for conn in conns {
        by.entry(conn.remote).or_default().1.push(conn);
    }
    let row =
        |(peer, (known, conns)): (_, (Option<_>, Vec<_>))| row(now, peer, known.as_ref(), &conns);
    by.into_iter().map(row).collect()
}

/// One peer; nothing when it is neither known nor connected.
pub fn explained(now: Instant, node: &node::Explanation) -> Option<Explained> {
    if node.is_empty() {
        return None;
    }
    let known = node.selected.as_ref();
    let row = row(now, node.remote, known, &node.conns);
    let (why, promotion, waits) = match known {
        Some(known) => (
            why(known.status).into(),
            promotion(known),
            waits(now, known.next),
        ),
        None => (
            "it has connected to us, and the selection does not know it".into(),
            "being learned: when its connection is mature and a place among the known is free"
                .into(),
            "nothing".into(),
        ),
    };
    Some(Explained {
        why,
        promotion,
        waits,
        facts: known.map(facts).unwrap_or_default(),
        connections: node.to_string().lines().map(String::from).collect(),
        row,
    })
}

fn row(
    now: Instant,
    peer: SocketAddr,
    known: Option<&governor::Explanation>,
    conns: &[manager::Explanation],
) -> Row {
    let Some(known) = known else {
        let since = conns.iter().map(|conn| conn.since).min().unwrap_or(now);
        return Row {
            peer,
            source: None,
            temperature: None,
            status: "not selected".into(),
            score: 0.0,
            rtt_us: None,
            hops: None,
            direction: direction(conns),
            connections: live(conns).map(|conn| conn.conn.0).collect(),
            since_ms: millis(now.since(since)),
            since_s: whole_seconds(since),
            next: "nothing".into(),
            next_ms: None,
            told_by: None,
            failures: 0,
            root: None,
        };
    };
    let (next, at) = next(known.next);
    Row {
        peer,
        source: Some(
            if known.kept {
                "command"
            } else {
                source(known.source)
            }
            .into(),
        ),
        temperature: Some(temperature(known.status).into()),
        status: status(known.status).into(),
        score: score(known.score),
        rtt_us: known.round_trip.map(micros),
        hops: known.hops,
        direction: direction(conns),
        connections: live(conns).map(|conn| conn.conn.0).collect(),
        since_ms: millis(now.since(known.since)),
        since_s: whole_seconds(known.since),
        next,
        next_ms: at.map(|at| millis(at.since(now))),
        told_by: known.told_by,
        failures: known.failures,
        root: root(known),
    }
}

fn root(known: &governor::Explanation) -> Option<Root> {
    let (hot, warm) = known.valencies?;
    let traits = known.traits?;
    Some(Root {
        group: known.group?,
        hot,
        warm,
        advertise: traits.advertise,
        trustable: traits.trustable,
        behind_firewall: traits.behind_firewall,
        initiator_only: traits.mode == Mode::InitiatorOnly,
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

const fn whole_seconds(at: Instant) -> u64 {
    at.as_micros() / 1_000_000
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "scores are shown to a few digits"
)]
fn score(score: governor::Score) -> f64 {
    score.0 as f64 / 65_536.0
}

/// A source in a word.
pub const fn source(source: Source) -> &'static str {
    match source {
        Source::Local => "local",
        Source::Config => "public",
        Source::Bootstrap => "bootstrap",
        Source::Ledger => "ledger",
        Source::Big => "big",
        Source::NonRoot => "other",
        Source::Member => "member",
    }
}

/// The temperature of a status.
pub const fn temperature(status: Status) -> &'static str {
    match status {
        Status::Cold | Status::ColdWaiting | Status::Connecting => "cold",
        Status::Warm | Status::WarmWaiting | Status::Activating | Status::Closing => "warm",
        Status::Hot | Status::Deactivating => "hot",
        Status::Cooling => "cooling",
    }
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Cold => "cold",
        Status::ColdWaiting => "cold, left alone",
        Status::Connecting => "cold to warm",
        Status::Warm => "warm",
        Status::WarmWaiting => "warm, left alone",
        Status::Activating => "warm to hot",
        Status::Closing => "warm to cold",
        Status::Hot => "hot",
        Status::Deactivating => "hot to warm",
        Status::Cooling => "cooling",
    }
}

/// Its connections but those that are over.
fn live(conns: &[manager::Explanation]) -> impl Iterator<Item = &manager::Explanation> {
    let over = |state| matches!(state, State::Terminating | State::Terminated);
    conns.iter().filter(move |conn| !over(conn.state))
}

/// How its connections are used.
fn direction(conns: &[manager::Explanation]) -> Option<Word> {
    let mut words: Vec<_> = live(conns)
        .map(|conn| match (conn.state, conn.provenance) {
            (State::Duplex, _) => "duplex",
            (_, Provenance::Inbound) => "in",
            (_, Provenance::Outbound) => "out",
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    match words.as_slice() {
        [] => None,
        [word] => Some((*word).into()),
        words => Some(words.join(", ").into()),
    }
}

/// What comes next, and when if that is known.
fn next(next: Next) -> (Word, Option<Instant>) {
    match next {
        Next::Retry(at) => ("made warm again".into(), Some(at)),
        Next::Reactivate(at) => ("made hot again".into(), Some(at)),
        Next::EstablishedFull { have, want } => (
            format!("a place among the warm ({have}/{want})").into(),
            None,
        ),
        Next::ActiveFull { have, want } => (
            format!("a place among the hot ({have}/{want})").into(),
            None,
        ),
        Next::Diversity => ("a place in its network".into(), None),
        Next::Untrusted => ("a young chain".into(), None),
        Next::Answer => ("what was begun".into(), None),
        Next::Churn(at) => ("churn".into(), at),
        Next::Stays | Next::Nothing => ("nothing".into(), None),
    }
}

const fn why(status: Status) -> &'static str {
    match status {
        Status::Cold => "it is known, and there is no connection that we use",
        Status::ColdWaiting => "it failed, and is left alone for a while",
        Status::Connecting => "we are connecting to it",
        Status::Warm => {
            "it is connected and its round trips and tips are measured; no more is asked of it"
        }
        Status::WarmWaiting => {
            "it is connected; a hot protocol ended by itself, and it is left alone for a while"
        }
        Status::Activating => "its hot protocols are being started",
        Status::Closing => "too many are connected or it was its turn: we are letting it go",
        Status::Hot => "it is in use: we follow its chain and fetch from it",
        Status::Deactivating => {
            "too many are in use or it was its turn: its hot protocols are being ended"
        }
        Status::Cooling => {
            "its connection has ended, or is ending, without our having asked for it"
        }
    }
}

fn promotion(known: &governor::Explanation) -> Word {
    match (known.status, known.next) {
        (Status::Hot, _) => "nothing: it is as high as peers get".into(),
        (_, Next::Nothing) => "nothing: the node stops".into(),
        (_, Next::Diversity) => "fewer established peers of its network or operator".into(),
        (_, Next::Untrusted) => {
            "a young chain: until then only trusted peers are used, and it is none".into()
        }
        (Status::Cold | Status::ColdWaiting | Status::Connecting | Status::Cooling, _) => {
            "being picked when fewer peers than wanted are established".into()
        }
        (
            Status::Warm
            | Status::WarmWaiting
            | Status::Activating
            | Status::Closing
            | Status::Deactivating,
            _,
        ) => "being picked when fewer peers than wanted are active".into(),
    }
}

fn waits(now: Instant, next: Next) -> Word {
    let span = |at: Instant| Duration::from_millis(millis(at.since(now)));
    match next {
        Next::Retry(at) => format!("the end of its pause, in {:?}", span(at)).into(),
        Next::Reactivate(at) => {
            format!("the end of its pause among the warm, in {:?}", span(at)).into()
        }
        Next::EstablishedFull { have, want } => format!(
            "a place among the established: {have} are there or on their way, {want} are wanted"
        )
        .into(),
        Next::ActiveFull { have, want } => {
            format!("a place among the active: {have} are there or on their way, {want} are wanted")
                .into()
        }
        Next::Diversity => "others of its network or operator to go".into(),
        Next::Untrusted => "the application to say that the chain is young".into(),
        Next::Answer => "what was begun with its connection to come to an end".into(),
        Next::Churn(Some(at)) => format!("the next churn, in {:?}", span(at)).into(),
        Next::Churn(None) => "the next churn, whose time is not drawn yet".into(),
        Next::Stays => "nothing: it stays as it is".into(),
        Next::Nothing => "nothing".into(),
    }
}

fn facts(known: &governor::Explanation) -> Vec<String> {
    let mut facts = Vec::new();
    let mut say = |fact: String| facts.push(fact);
    match (known.kept, known.group) {
        (true, _) => say("kept by command".into()),
        (false, Some(group)) => say(match known.valencies {
            Some((hot, warm)) => {
                format!("group {group} of the local roots, of which {hot} hot and {warm} warm")
            }
            None => format!("group {group} of the local roots"),
        }),
        (false, None) => say(format!("source: {}", source(known.source))),
    }
    if let Some(traits) = known.traits {
        let unusual = [
            (traits.trustable, "trustable"),
            (traits.behind_firewall, "behind a firewall: never dialled"),
            (traits.mode == Mode::InitiatorOnly, "InitiatorOnly"),
        ];
        for (_, what) in unusual.iter().filter(|(on, _)| *on) {
            say((*what).into());
        }
    }
    if let Some(by) = known.told_by {
        say(format!("told by {by}"));
    }
    say(match known.failures {
        0 => "no failure counts".into(),
        n => format!("failures that count: {n}"),
    });
    say(if known.reached {
        "was connected before".into()
    } else {
        "was never connected".into()
    });
    if known.tepid {
        say("was hot since it was last cold".into());
    }
    say(if known.advertise {
        "may be told to others".into()
    } else {
        "is not told to others".into()
    });
    match known.sharing {
        Some(true) => say("shares peers".into()),
        Some(false) => say("does not share peers".into()),
        None => {}
    }
    say(format!("score {:.3}", score(known.score)));
    if let Some(took) = known.round_trip {
        say(format!("round trip {took:?}"));
    }
    if let Some(hops) = known.hops {
        say(format!("{hops} hops to the producers of blocks"));
    }
    facts
}

#[cfg(test)]
mod tests;
