//! The cases.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use samanea_core::node::{Command, Node};

use super::{Driver, PATIENCE, Plan, Running, Script, Seen, pattern};
use crate::{Application, NoApplication, Options};

mod dials;
mod duties;
mod ends;
mod pace;
mod streams;

/// All cases: a name that is a sentence, and the case.
pub const CASES: &[(&str, Case)] = &[
    ("ten megabytes come back byte by byte", streams::echo),
    (
        "many connections at once come back byte by byte",
        streams::many,
    ),
    (
        "a window of one byte never starves",
        streams::one_byte_window,
    ),
    (
        "thousands of pieces in one write arrive in order",
        streams::pieces,
    ),
    (
        "bytes that many threads ask for arrive in order",
        streams::crowd,
    ),
    ("a refused dial is a failed connection", dials::refused),
    ("a dial leaves from the address to bind", dials::bound),
    (
        "a dial beside its own connection is an address in use",
        dials::beside,
    ),
    ("dials that cross connect both nodes", dials::crossed),
    ("a dial that is given up tells nothing", dials::given_up),
    ("a reset by the peer is told", ends::reset_by_peer),
    (
        "an end by the peer is told after its last bytes",
        ends::ended_by_peer,
    ),
    (
        "an end by the peer is answered by a reset",
        ends::answered_by_reset,
    ),
    (
        "an end by the peer leaves what was asked for to be written",
        ends::answered_in_order,
    ),
    ("a reset by the node reaches the peer", ends::reset_by_node),
    (
        "an orderly close writes what is queued first",
        ends::orderly,
    ),
    (
        "an orderly close waits no longer than its time",
        ends::orderly_timeout,
    ),
    (
        "connections are accepted one for each request",
        pace::accepts,
    ),
    ("what is not adopted is reset", pace::not_adopted),
    (
        "a slow reader holds no more than the window",
        pace::slow_reader,
    ),
    ("pausing reads pushes back on the peer", pace::paused),
    ("a tick comes when the deadline has come", pace::deadline),
    (
        "a deadline that moves earlier wakes the clock",
        pace::earlier,
    ),
    ("questions are answered at once or later", duties::questions),
    ("notices arrive in order", duties::notices),
    (
        "the tap sees events and actions in one order",
        duties::tapped,
    ),
    (
        "each name that is asked for is answered once",
        duties::names,
    ),
    (
        "a shutdown sees an orderly close through that has just begun",
        ends::orderly_at_shutdown,
    ),
    ("shutdown leaves nothing behind", ends::shutdown),
    (
        "a killed node says nothing and leaves nothing",
        ends::killed,
    ),
    (
        "shutdown ends a node that does not stop by itself",
        ends::stubborn,
    ),
];

/// Runs the case of this name.
///
/// # Panics
///
/// When the case fails or there is none of this name.
pub fn run(name: &str, driver: &dyn Driver) {
    let case = CASES.iter().find(|(known, _)| *known == name);
    case.expect("a case of this name").1(driver);
}

type Case = fn(&dyn Driver);

/// Nothing new for so long means that nothing more will come.
const QUIET: Duration = Duration::from_millis(100);
const TEN_MB: u64 = 10 << 20;

/// A running node and what its machine sees.
pub(super) struct Stage {
    pub(super) node: Box<dyn Running>,
    seen: Receiver<Seen>,
}

impl Stage {
    pub(super) fn new(driver: &dyn Driver, plan: Plan) -> Self {
        Self::with(driver, plan, Arc::new(NoApplication), listening())
    }

    pub(super) fn with(
        driver: &dyn Driver,
        plan: Plan,
        app: Arc<dyn Application>,
        options: Options,
    ) -> Self {
        let (sender, seen) = channel();
        let node = Node::new(Script::new(plan, sender), 7);
        let node = driver.start(node, app, options).expect("the node starts");
        let stage = Self { node, seen };
        for local in stage.node.listening() {
            assert_eq!(stage.next(), Seen::Listening(local));
        }
        stage
    }

    /// What it sees next.
    pub(super) fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("something is seen")
    }

    /// Waits for this, over anything but signs of an error.
    fn wait_for(&self, wanted: &Seen) {
        loop {
            let seen = self.next();
            if seen == *wanted {
                return;
            }
            assert!(!matches!(seen, Seen::Corrupt | Seen::Late), "{seen:?}");
        }
    }

    fn addr(&self) -> SocketAddr {
        self.node.listening()[0]
    }

    pub(super) fn dial(&self, remote: SocketAddr) {
        self.node.command(Command::AddPeer(remote));
    }

    pub(super) fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr()).expect("the node accepts");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn read<R>(&self, mut look: impl FnMut(&Script) -> R) -> R {
        let mut result = None;
        self.node.with(&mut |script| result = Some(look(script)));
        result.expect("the node is shown")
    }

    /// Ends it and looks for what must never be seen.
    pub(super) fn end(self) {
        self.node.shutdown();
        assert!(self.node.wait(), "all of it ends");
        drop(self.node);
        for seen in self.seen {
            assert!(!matches!(seen, Seen::Corrupt | Seen::Late), "{seen:?}");
        }
    }
}

pub(super) fn listening() -> Options {
    Options {
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..Options::default()
    }
}

fn expected(bytes: u64) -> Vec<u8> {
    (0..bytes).map(pattern).collect()
}

/// The command that makes a script ask, say and wait.
fn poke() -> Command {
    Command::AskPeers { amount: 0 }
}
