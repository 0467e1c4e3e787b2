//! What a running node shows of itself: its engine, looked at for metrics, for the control socket
//! and for what is saved.
//!
//! Looks are short: what is needed is copied under the node's lock and made into words outside.

use std::{net::SocketAddr, sync::Arc};

use samanea_core::{
    base::MessageId,
    governor::Saved,
    node::{Command, Engine},
    rain::Audience,
};

use crate::{
    control::{Goals, ROWS_MAX, Source, Table},
    driver::Handle,
    groups::{GroupRow, Outbox},
    metrics::{Figures, Measures, Rain},
    peers::{self, Explained},
};

/// The numbers of this moment.
pub fn figures(handle: &Handle, measures: &Measures) -> Figures {
    let mut figures = handle.with(|node| {
        let engine = node.machine();
        Figures {
            peers: *engine.governor().counters(),
            conns: engine.manager().counters(),
            tip: engine.chain().tip(),
            served: engine.chain().served(),
            rain: rain(engine),
            ..Figures::default()
        }
    });
    figures.measured = measures.now();
    figures
}

fn rain(engine: &Engine) -> Option<Rain> {
    let rain = engine.rain()?;
    let wanted = engine.members_wanted();
    let linked = wanted.iter().filter(|(_, conn)| conn.is_some());
    Some(Rain {
        stats: *rain.stats(),
        groups: rain.groups().count() as u64,
        held: rain.held().count() as u64,
        linked: linked.count() as u64,
        wanted: wanted.len() as u64,
    })
}

/// What is to be kept over a restart.
pub fn saved(handle: &Handle) -> Saved {
    let now = handle.now();
    handle.with(|node| node.machine().governor().saved(now))
}

/// Answers the questions of the control socket.
#[derive(Clone)]
pub struct Desk {
    handle: Handle,
    outbox: Arc<Outbox>,
}

impl Desk {
    /// About this node, whose application has this outbox.
    pub fn new(handle: &Handle, outbox: &Arc<Outbox>) -> Arc<Self> {
        Arc::new(Self {
            handle: handle.clone(),
            outbox: Arc::clone(outbox),
        })
    }
}

impl Source for Desk {
    fn peers(&self) -> Table {
        let now = self.handle.now();
        let (known, conns) = self.handle.with(|node| {
            let engine = node.machine();
            let known: Vec<_> = engine.governor().explain_all().collect();
            (known, engine.manager().explain_all())
        });
        let all = peers::rows(now, known, conns);
        limited(all, ROWS_MAX)
    }

    fn explain(&self, peer: SocketAddr) -> Option<Explained> {
        let now = self.handle.now();
        let node = self.handle.with(|node| node.machine().explain(peer));
        peers::explained(now, &node)
    }

    fn goals(&self) -> Goals {
        self.handle.with(|node| {
            let governor = node.machine().governor();
            Goals {
                targets: governor.targets(),
                counters: *governor.counters(),
            }
        })
    }

    fn groups(&self) -> Vec<GroupRow> {
        let looks = self.handle.with(|node| node.machine().groups());
        looks.iter().map(GroupRow::new).collect()
    }

    fn publish(&self, audience: Audience, payload: Vec<u8>) -> Result<MessageId, String> {
        if self.handle.with(|node| node.machine().rain().is_none()) {
            return Err("this node has no part in structured gossip: --gossip-key".into());
        }
        let awaited = self.outbox.begin();
        self.handle.command(Command::PublishTo {
            tag: awaited.tag(),
            audience,
            payload: payload.into(),
        });
        awaited.wait().map_err(|why| why.to_string())
    }
}

/// At most `max` rows: the connected first when there are more, then by address.
fn limited(mut rows: Vec<peers::Row>, max: usize) -> Table {
    let all = rows.len();
    if all > max {
        rows.sort_by_key(|row| row.temperature.as_deref() == Some("cold"));
        rows.truncate(max);
        rows.sort_by_key(|row| row.peer);
    }
    Table {
        left_out: (all - rows.len()) as u64,
        rows,
    }
}

#[cfg(test)]
mod tests {
    use samanea_core::{
        base::Instant,
        governor::{self, Next, Score, Status},
    };

    use super::*;

    fn known(n: u8, status: Status) -> governor::Explanation {
        governor::Explanation {
            peer: ([192, 0, 2, n], 1).into(),
            source: governor::Source::NonRoot,
            status,
            since: Instant::ZERO,
            group: None,
            valencies: None,
            traits: None,
            kept: false,
            told_by: None,
            failures: 0,
            reached: false,
            tepid: false,
            advertise: true,
            sharing: None,
            score: Score::default(),
            round_trip: None,
            hops: None,
            next: Next::Nothing,
        }
    }

    #[test]
    fn of_too_many_rows_the_connected_stay() {
        let statuses = [
            Status::Cold,
            Status::Cold,
            Status::Hot,
            Status::Cold,
            Status::Warm,
        ];
        let known = (1..).zip(statuses).map(|(n, status)| known(n, status));
        let table = limited(peers::rows(Instant::ZERO, known, []), 3);
        let last = |row: &peers::Row| row.peer.ip().to_string().pop();
        let shown: String = table.rows.iter().filter_map(last).collect();
        assert_eq!((shown.as_str(), table.left_out), ("135", 2));
    }
}
