//! Nodes with the real engine over real sockets, under either of our drivers.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use samanea_core::{
    base::{Instant, NoRules, Rules, Ticket},
    chain::{Answer, Question},
    node::{Action, Command, Config, Engine, Event, Node, Notice, Tap},
};
use samanea_std::{Application, NoApplication, Options};
use tokio::runtime::Runtime;

/// The network of all nodes here.
pub(crate) const MAGIC: u32 = 42;
/// The longest wait; reached only when a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Our drivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    Tokio,
    Std,
}

pub(crate) const DRIVERS: [Driver; 2] = [Driver::Tokio, Driver::Std];

/// A node that runs.
pub(crate) struct Live {
    running: Running,
    /// What it tells.
    pub(crate) told: Arc<Told>,
    /// What it was offered and what it dialled.
    pub(crate) sockets: Arc<Sockets>,
}

enum Running {
    Tokio(samanea_tokio::Handle<Engine>, Runtime),
    Std(samanea_std::Handle<Engine>),
}

impl Live {
    pub(crate) fn start(driver: Driver, config: Config, listen: &[SocketAddr]) -> Self {
        let mut options = Options::default();
        options.listen = listen.to_vec();
        Self::with(driver, config, options)
    }

    pub(crate) fn with(driver: Driver, config: Config, mut options: Options) -> Self {
        let told = Arc::<Told>::default();
        let sockets = Arc::<Sockets>::default();
        options.tap = Some(Box::new(Counting(Arc::clone(&sockets))));
        let node = Node::new(Engine::new(config), 7);
        let app = Arc::clone(&told) as Arc<dyn Application>;
        let running = match driver {
            Driver::Tokio => {
                let runtime = Runtime::new().unwrap();
                let start = samanea_tokio::start(node, app, options);
                let handle = runtime.block_on(start).unwrap();
                Running::Tokio(handle, runtime)
            }
            Driver::Std => Running::Std(samanea_std::start(node, app, options).unwrap()),
        };
        Self {
            running,
            told,
            sockets,
        }
    }

    pub(crate) fn listening(&self) -> &[SocketAddr] {
        match &self.running {
            Running::Tokio(handle, _) => handle.listening(),
            Running::Std(handle) => handle.listening(),
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listening()[0]
    }

    pub(crate) fn command(&self, command: Command) {
        match &self.running {
            Running::Tokio(handle, _) => handle.command(command),
            Running::Std(handle) => handle.command(command),
        }
    }

    pub(crate) fn with_engine<R>(&self, look: impl FnOnce(&Engine) -> R) -> R {
        match &self.running {
            Running::Tokio(handle, _) => handle.with(|node| look(node.machine())),
            Running::Std(handle) => handle.with(|node| look(node.machine())),
        }
    }

    /// Ends it and waits until nothing is left.
    pub(crate) fn stop(self) {
        match self.running {
            Running::Tokio(handle, runtime) => {
                handle.shutdown();
                runtime.block_on(handle.wait());
            }
            Running::Std(handle) => {
                handle.shutdown();
                handle.wait();
            }
        }
    }
}

/// An application that keeps all that it is told.
#[derive(Default)]
pub(crate) struct Told {
    notices: Mutex<Vec<Notice>>,
    changed: Condvar,
}

impl Told {
    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<Notice>> {
        self.notices.lock().unwrap()
    }

    /// Waits until so much has been told.
    pub(crate) fn wait_until(&self, what: &str, is_there: impl Fn(&[Notice]) -> bool) {
        let waited = self
            .changed
            .wait_timeout_while(self.all(), PATIENCE, |all| !is_there(all));
        let (all, waited) = waited.unwrap();
        assert!(
            !waited.timed_out(),
            "{what}: {:?}",
            all.iter().rev().take(20).collect::<Vec<_>>()
        );
    }

    /// Waits until one like this has been told.
    pub(crate) fn wait_for(&self, what: &str, is_it: impl Fn(&Notice) -> bool) {
        self.wait_until(what, |all| all.iter().any(&is_it));
    }
}

impl Application for Told {
    fn rules(&self) -> &dyn Rules {
        &NoRules
    }

    fn ask(&self, ticket: Ticket, question: Question) -> Option<Answer> {
        NoApplication.ask(ticket, question)
    }

    fn notice(&self, _: Instant, notice: &Notice) {
        self.all().push(notice.clone());
        self.changed.notify_all();
    }
}

/// How many sockets a node was offered, and how many it asked for.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    offered: AtomicU32,
    dialled: AtomicU32,
}

impl Sockets {
    pub(crate) fn offered(&self) -> u32 {
        self.offered.load(Ordering::SeqCst)
    }

    pub(crate) fn dialled(&self) -> u32 {
        self.dialled.load(Ordering::SeqCst)
    }
}

struct Counting(Arc<Sockets>);

impl Tap for Counting {
    fn event(&mut self, _: Instant, event: &Event) {
        if let Event::Offered { .. } = event {
            self.0.offered.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn actions(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Dial { .. } = action {
                self.0.dialled.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}

/// A connection of a stranger.
pub(crate) fn raw(addr: SocketAddr) -> TcpStream {
    let raw = TcpStream::connect(addr).unwrap();
    raw.set_read_timeout(Some(PATIENCE)).unwrap();
    raw
}

/// One whose handshake is done and that has shown once that it is there.
pub(crate) fn idle(addr: SocketAddr) -> TcpStream {
    let mut raw = raw(addr);
    // [0, {14: [42, false, 0, false]}]
    let propose = [0x82, 0x00, 0xa1, 0x0e, 0x84, 0x18, 0x2a, 0xf4, 0x00, 0xf4];
    let accept = ask(&mut raw, 0, &propose);
    assert_eq!(accept[..3], [0x83, 0x01, 0x0e], "{accept:02x?}");
    probe(&mut raw);
    raw
}

/// A question of keep-alive and its answer: [0, 513], [1, 513].
pub(crate) fn probe(raw: &mut TcpStream) {
    let answer = ask(raw, 8, &[0x82, 0x00, 0x19, 0x02, 0x01]);
    assert_eq!(answer, [0x82, 0x01, 0x19, 0x02, 0x01]);
}

/// Sends one segment of an initiator and takes the one that answers.
fn ask(raw: &mut TcpStream, protocol: u8, message: &[u8]) -> Vec<u8> {
    let bytes = u8::try_from(message.len()).unwrap();
    let mut segment = vec![0, 0, 0, 0, 0, protocol, 0, bytes];
    segment.extend_from_slice(message);
    raw.write_all(&segment).unwrap();
    let mut head = [0; 8];
    raw.read_exact(&mut head).unwrap();
    assert_eq!(head[4..6], [0x80, protocol], "{head:02x?}");
    let mut answer = vec![0; usize::from(u16::from_be_bytes([head[6], head[7]]))];
    raw.read_exact(&mut answer).unwrap();
    answer
}
