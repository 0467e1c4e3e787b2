//! Nodes of a bench, and what they tell it.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use bytes::Bytes;
use samanea_core::{
    base::{self, Machine, Rules, Ticket},
    chain::{Answer, Notice as ChainNotice, Question, Verdict},
    conn::Fault,
    node::{Action, Command, Event, Node, Notice},
};
use samanea_std::{Application, Options};

use super::{
    hosted::{Driver, Hosted},
    pipe::PlainRules,
    support::now,
};

/// What a bench wants to know of a node, and when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Up,
    Over,
    Tip(u64),
    Down(Fault),
}

/// An application whose blocks are all alike.
struct Plain {
    body: Bytes,
    news: mpsc::Sender<(Instant, News)>,
}

impl Application for Plain {
    fn rules(&self) -> &dyn Rules {
        &PlainRules
    }

    fn ask(&self, _: Ticket, question: Question) -> Option<Answer> {
        Some(match question {
            Question::Load(points) => {
                Answer::Loaded(points.iter().map(|_| self.body.clone()).collect())
            }
            Question::Judge { .. } => Answer::Verdict(Verdict::Kept),
            Question::Offer { .. } => Answer::Taken(false),
            Question::Take(_) => Answer::Txs(Vec::new()),
        })
    }

    fn notice(&self, _: base::Instant, notice: &Notice) {
        let news = match notice {
            Notice::Up { .. } => News::Up,
            Notice::RoundTrip { .. } => News::Over,
            Notice::Down { fault, .. } => News::Down(*fault),
            Notice::Chain(ChainNotice::TipChanged { tip, .. }) => News::Tip(tip.block_no),
            _ => return,
        };
        // Nobody listens any more once the run is over.
        let _ = self.news.send((now(), news));
    }
}

/// A node that runs.
pub(crate) struct Running {
    news: mpsc::Receiver<(Instant, News)>,
    hosted: Hosted,
}

impl Running {
    /// Starts a node whose blocks are all `body`, listening on loopback when it serves.
    pub(crate) fn start<M>(driver: Driver, machine: M, body: Bytes, serves: bool) -> Self
    where
        M: Machine<Event = Event, Action = Action> + Send + 'static,
    {
        let (told, news) = mpsc::channel();
        let app = Arc::new(Plain { body, news: told });
        let mut options = Options::default();
        options.shutdown_timeout = Duration::ZERO;
        options.notices_max = 1 << 20;
        if serves {
            options.listen.push(SocketAddr::from(([127, 0, 0, 1], 0)));
        }
        let hosted = Hosted::start(driver, Node::new(machine, 1), app, options);
        Self { news, hosted }
    }

    pub(crate) fn command(&self, command: Command) {
        self.hosted.command(command);
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.hosted.addr()
    }

    /// When this happened.
    pub(crate) fn wait_for(&self, wanted: News) -> Instant {
        loop {
            let (at, news) = self.news.recv().unwrap();
            if news == wanted {
                return at;
            }
            assert!(!matches!(news, News::Down(_)), "{news:?}");
        }
    }
}
