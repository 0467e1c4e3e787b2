//! Nodes under our drivers.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Instant,
};

use bytes::Bytes;
use samanea_core::{
    base::{self, Machine, Rules, Ticket},
    chain::{Answer, Notice as ChainNotice, Question, Verdict},
    node::{Action, Command, Event, Node, Notice},
};
use samanea_std::{Application, Options};

use super::pipe::PlainRules;

/// Our drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// Each node on a thread and a current-thread runtime of its own.
    Tokio,
    /// Threads.
    Std,
}

/// What a bench wants to know of a node, and when it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Up,
    Over,
    Tip(u64),
    Down,
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
            Notice::Down { .. } => News::Down,
            Notice::Chain(ChainNotice::TipChanged { tip, .. }) => News::Tip(tip.block_no),
            _ => return,
        };
        let _ = self.news.send((Instant::now(), news));
    }
}

/// A node that runs.
pub(crate) struct Running {
    pub(crate) news: mpsc::Receiver<(Instant, News)>,
    addr: Option<SocketAddr>,
    command: Box<dyn Fn(Command) + Send>,
    stop: Box<dyn FnOnce() + Send>,
    thread: Option<JoinHandle<()>>,
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
        options.shutdown_timeout = std::time::Duration::ZERO;
        if serves {
            options.listen.push(SocketAddr::from(([127, 0, 0, 1], 0)));
        }
        let node = Node::new(machine, 1);
        match driver {
            Driver::Tokio => {
                let (told, handle) = mpsc::channel();
                let thread = thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async move {
                        let handle = samanea_tokio::start(node, app, options).await.unwrap();
                        told.send(handle.clone()).unwrap();
                        handle.wait().await;
                    });
                });
                let handle = handle.recv().unwrap();
                let commands = handle.clone();
                Self {
                    news,
                    addr: handle.listening().first().copied(),
                    command: Box::new(move |command| commands.command(command)),
                    stop: Box::new(move || handle.shutdown()),
                    thread: Some(thread),
                }
            }
            Driver::Std => todo!(),
        }
    }

    pub(crate) fn command(&self, command: Command) {
        (self.command)(command);
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr.unwrap()
    }

    /// When this happened.
    pub(crate) fn wait_for(&self, wanted: News) -> Instant {
        loop {
            let (at, news) = self.news.recv().unwrap();
            assert_ne!(news, News::Down);
            if news == wanted {
                return at;
            }
        }
    }

    pub(crate) fn stop(self) {
        (self.stop)();
        if let Some(thread) = self.thread {
            thread.join().unwrap();
        }
    }
}
