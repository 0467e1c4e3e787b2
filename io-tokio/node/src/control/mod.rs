//! The control socket: a running node answers questions of the same user.
//!
//! ```text
//!  samanea peers ─┐  {"ask":"peers"}\n                  ┌─▶ Source (the engine, looked at)
//!  samanea        ├─────────── PATH, mode 0600 ─────────┤
//!    explain ADDR ┘  {"peers":{"rows":[…],…}}\n         └── one line for each line
//! ```
//! A Unix domain socket; one line of JSON is a question, one line of JSON its answer, in order.
//! Questions change nothing, but for the one that publishes.
//!
//! Limits: [`REQUEST_BYTES_MAX`] a question, [`ROWS_MAX`] rows an answer, [`CONNECTIONS_MAX`]
//! connections at a time, [`PATIENCE`] for each question and each answer. Who exceeds one is told,
//! or disconnected.

mod ask;
mod serve;

use std::{net::SocketAddr, time::Duration};

use samanea_core::{
    base::MessageId,
    governor::{Counters, Targets},
    rain::Audience,
};
use serde::{Deserialize, Serialize};

use crate::{
    groups::{self, GroupRow},
    peers::{Explained, Row},
};

pub use ask::{Refused, ask};
pub use serve::{Error, Server};

/// The longest question, in bytes, inclusive: one that publishes as much as it may.
pub const REQUEST_BYTES_MAX: u64 = 1 << 20;
/// The largest payload that is published here, in bytes, inclusive.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 10;
/// Rows of one answer at most, inclusive; what is connected comes first.
pub const ROWS_MAX: usize = 100_000;
/// Connections at a time at most, inclusive; others wait.
pub const CONNECTIONS_MAX: usize = 8;
/// How long a question may take to come and an answer to go.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The name of the socket in a state directory.
pub const NAME: &str = "samanea.socket";

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// All peers.
    Peers,
    /// One peer, in words.
    Explain {
        /// Which.
        peer: SocketAddr,
    },
    /// What is aimed at, and what is there.
    Targets,
    /// All groups of structured gossip.
    Groups,
    /// Broadcast.
    Publish {
        /// To whom: an [audience](crate::groups::audience) in words.
        to: String,
        /// What, in hexadecimal digits, at most [`PAYLOAD_BYTES_MAX`] bytes.
        payload: String,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// To [`Request::Peers`].
    Peers(Table),
    /// To [`Request::Explain`].
    Explained(Box<Explained>),
    /// To [`Request::Targets`].
    Targets(Box<Goals>),
    /// To [`Request::Groups`].
    Groups(Vec<GroupRow>),
    /// To [`Request::Publish`]: the id of the message.
    Published(String),
    /// The question is not understood, or there is no such peer, or it is not published.
    Error(String),
}

/// Peers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// By address, at most [`ROWS_MAX`].
    pub rows: Vec<Row>,
    /// So many more are known.
    pub left_out: u64,
}

/// What is aimed at, and what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goals {
    /// The targets in force.
    pub targets: Targets,
    /// The numbers of peers.
    pub counters: Counters,
}

/// Whoever knows the answers. Asked on a thread that may wait.
pub trait Source: Send + Sync + 'static {
    /// All peers.
    fn peers(&self) -> Table;
    /// One peer, if there is anything to say.
    fn explain(&self, peer: SocketAddr) -> Option<Explained>;
    /// What is aimed at.
    fn goals(&self) -> Goals;
    /// All groups, in order.
    fn groups(&self) -> Vec<GroupRow>;
    /// Broadcasts: the id of the message, or why not.
    fn publish(&self, audience: Audience, payload: Vec<u8>) -> Result<MessageId, String>;
}

/// The answer to a line, whatever it says.
pub fn answer(source: &dyn Source, line: &[u8]) -> Answer {
    match serde_json::from_slice(line) {
        Ok(Request::Peers) => Answer::Peers(source.peers()),
        Ok(Request::Explain { peer }) => match source.explain(peer) {
            Some(explained) => Answer::Explained(Box::new(explained)),
            None => Answer::Error(format!("{peer}: not known and not connected")),
        },
        Ok(Request::Targets) => Answer::Targets(Box::new(source.goals())),
        Ok(Request::Groups) => Answer::Groups(source.groups()),
        Ok(Request::Publish { to, payload }) => match publish(source, &to, &payload) {
            Ok(id) => Answer::Published(id.to_string()),
            Err(why) => Answer::Error(why),
        },
        Err(error) => Answer::Error(format!("not a question: {error}")),
    }
}

fn publish(source: &dyn Source, to: &str, payload: &str) -> Result<MessageId, String> {
    let audience = groups::audience(to).ok_or_else(|| format!("{to}: no audience"))?;
    let payload = groups::bytes_from_hex(payload).ok_or("payload: not hexadecimal")?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(format!("payload: more than {PAYLOAD_BYTES_MAX} bytes"));
    }
    source.publish(audience, payload)
}

#[cfg(all(test, unix))]
mod tests;
