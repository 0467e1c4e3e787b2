//! What is done for the application: questions, notices, names, tapes.

use std::{
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use samanea_core::{
    base::{Instant, ListenerId, NoRules, Rules, Ticket, TxId},
    chain::{Answer, Question},
    governor::{self, NotFound},
    node::{Action, Command, Event, Notice, Tap},
};

use super::{
    super::{Driver, PATIENCE, Plan, Seen},
    Stage, expected, listening, poke,
};
use crate::{Application, NoApplication, Options, Reply, Resolver};

/// Answers every second question at once, and keeps the notices.
struct Careful {
    kept: Mutex<Sender<Ticket>>,
    notices: Mutex<Sender<Notice>>,
}

impl Application for Careful {
    fn rules(&self) -> &dyn Rules {
        &NoRules
    }

    fn ask(&self, ticket: Ticket, _: Question) -> Option<Answer> {
        if ticket.0.is_multiple_of(2) {
            return Some(Answer::Taken(true));
        }
        assert!(ticket.0 != 9, "this panic is part of the case");
        self.kept.lock().unwrap().send(ticket).unwrap();
        None
    }

    fn notice(&self, _: Instant, notice: &Notice) {
        // The case may have ended.
        let _ = self.notices.lock().unwrap().send(notice.clone());
    }
}

fn careful(driver: &dyn Driver) -> (Stage, Receiver<Ticket>, Receiver<Notice>) {
    let (kept, tickets) = channel();
    let (notices, told) = channel();
    let app = Careful {
        kept: Mutex::new(kept),
        notices: Mutex::new(notices),
    };
    let stage = Stage::with(driver, Plan::default(), Arc::new(app), listening());
    (stage, tickets, told)
}

pub(super) fn questions(driver: &dyn Driver) {
    let (node, tickets, _told) = careful(driver);
    node.node.command(poke());
    node.wait_for(&Seen::Answered(Ticket(2), Answer::Taken(true)));
    for expected in [Ticket(1), Ticket(3)] {
        let ticket = tickets.recv_timeout(PATIENCE).unwrap();
        assert_eq!(ticket, expected);
        node.node.answer(ticket, Answer::Taken(false));
        node.wait_for(&Seen::Answered(ticket, Answer::Taken(false)));
    }
    // Another round of tickets, 7 to 9 at the end, and the last one makes it panic.
    node.node.command(poke());
    node.node.command(poke());
    node.wait_for(&Seen::Answered(Ticket(9), Answer::Loaded(Vec::new())));
    node.end();
}

pub(super) fn notices(driver: &dyn Driver) {
    const POKES: u32 = 200;
    let (node, _tickets, told) = careful(driver);
    for _ in 0..POKES {
        node.node.command(poke());
    }
    for nth in 0..3 * POKES {
        let notice = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(notice, Notice::ListenerLost(ListenerId(nth % 3)));
    }
    node.end();
}

/// Counts, and demands that actions follow each event.
struct Count {
    events: Arc<AtomicU64>,
    is_open: bool,
    last: Instant,
}

impl Tap for Count {
    fn event(&mut self, now: Instant, _: &Event) {
        assert!(!self.is_open && now >= self.last);
        self.is_open = true;
        self.last = now;
        self.events.fetch_add(1, Ordering::SeqCst);
    }

    fn actions(&mut self, _: &[Action]) {
        assert!(self.is_open);
        self.is_open = false;
    }
}

pub(super) fn tapped(driver: &dyn Driver) {
    let events = Arc::<AtomicU64>::default();
    let tap = Count {
        events: Arc::clone(&events),
        is_open: false,
        last: Instant::ZERO,
    };
    let options = Options {
        tap: Some(Box::new(tap)),
        ..listening()
    };
    let plan = Plan {
        accepts: 1,
        echoes: true,
        ..Plan::default()
    };
    let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
    let mut raw = server.raw();
    raw.write_all(&expected(10)).unwrap();
    raw.read_exact(&mut [0; 10]).unwrap();
    // Listening, Offered and Received, each with its turn.
    assert!(events.load(Ordering::SeqCst) >= 6);
    assert_eq!(server.read(|script| script.received), 10);
    server.end();
}

/// Answers at once, but for the last few.
struct Moody {
    kept: Mutex<Sender<Reply>>,
}

const NAMES: u64 = 3_000;

impl Resolver for Moody {
    fn resolve(&self, question: governor::Question, reply: Reply) {
        let governor::Question::Services { name } = &question else {
            return;
        };
        match name.strip_prefix('n').and_then(|n| n.parse().ok()) {
            Some(1..=NAMES) => reply.answer(Err(NotFound::NoRecord { ttl: None })),
            Some(n) if n == NAMES + 1 => {
                std::thread::spawn(move || reply.answer(Err(NotFound::NoResolver)));
            }
            Some(n) if n == NAMES + 2 => panic!("this panic is part of the case"),
            Some(_) | None => self.kept.lock().unwrap().send(reply).unwrap(),
        }
    }
}

pub(super) fn names(driver: &dyn Driver) {
    let (kept, late) = channel();
    let kept = Mutex::new(kept);
    let options = Options {
        resolver: Some(Arc::new(Moody { kept })),
        ..listening()
    };
    let app = Arc::new(NoApplication);
    let shared = Arc::clone(&app) as Arc<dyn Application>;
    let node = Stage::with(driver, Plan::default(), shared, options);
    node.node.command(Command::Submit {
        id: TxId([].into_iter().collect()),
        bytes: u32::try_from(NAMES).unwrap() + 3,
    });
    let expect = |ticket, failure| {
        assert_eq!(node.next(), Seen::Resolved(Ticket(ticket), Err(failure)));
    };
    (1..=NAMES).for_each(|ticket| expect(ticket, NotFound::NoRecord { ttl: None }));
    expect(NAMES + 1, NotFound::NoResolver);
    expect(NAMES + 2, NotFound::NoAnswer);
    // One that is on its way holds nothing of a node that stops.
    let reply = late.recv_timeout(PATIENCE).unwrap();
    node.end();
    // The thread that brought an answer may be on its way out.
    let free = (0..10_000_000).any(|_| {
        std::thread::yield_now();
        Arc::strong_count(&app) == 1
    });
    assert!(free, "nobody holds the application");
    reply.answer(Err(NotFound::NoAnswer));
}
