//! Looking names up: the interface, and the system's resolver on a few threads.
//!
//! ```text
//!  hub ──question, Reply──▶ Resolver: a queue ─▶ up to n threads, gone when nothing waits
//!      ◀──────answer, once, from any thread──────────┘
//! ```

use std::{
    collections::VecDeque,
    io, mem,
    net::{IpAddr, ToSocketAddrs},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use samanea_core::governor::{ANSWERS_MAX, Answer, NotFound, Question};

/// Looks names up for a node. One may serve several nodes.
pub trait Resolver: Send + Sync + 'static {
    /// Begins to look a name up and returns without waiting; the answer is given to `reply`, at
    /// once or later, from any thread.
    fn resolve(&self, question: Question, reply: Reply);
}

/// Takes the answer to one question. Dropped without one, it answers [`NotFound::NoAnswer`].
pub struct Reply(Option<Box<Tell>>);

type Tell = dyn FnOnce(Result<Answer, NotFound>) + Send;

impl Reply {
    /// Gives the answer to `tell`, exactly once.
    pub fn new(tell: impl FnOnce(Result<Answer, NotFound>) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// Answers.
    pub fn answer(mut self, answer: Result<Answer, NotFound>) {
        self.give(answer);
    }

    fn give(&mut self, answer: Result<Answer, NotFound>) {
        if let Some(tell) = self.0.take() {
            tell(answer);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.give(Err(NotFound::NoAnswer));
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// A resolver made of a function that blocks, called on a bounded number of threads.
///
/// Threads begin when there is a question and end when none waits. Nobody waits for them: one
/// that hangs in the function after the node has stopped holds nothing of the node, and its
/// answer is dropped.
pub struct OnThreads<F>(Arc<Desk<F>>);

struct Desk<F> {
    lookup: F,
    threads_max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<(Question, Reply)>,
    threads: usize,
}

impl<F> OnThreads<F>
where
    F: Fn(&Question) -> Result<Answer, NotFound> + Send + Sync + 'static,
{
    /// Calls `lookup` on up to `threads_max` threads at a time, at least one.
    pub fn new(threads_max: usize, lookup: F) -> Self {
        Self(Arc::new(Desk {
            lookup,
            threads_max: threads_max.max(1),
            waiting: Mutex::default(),
        }))
    }
}

impl<F> Resolver for OnThreads<F>
where
    F: Fn(&Question) -> Result<Answer, NotFound> + Send + Sync + 'static,
{
    fn resolve(&self, question: Question, reply: Reply) {
        let desk = &self.0;
        let mut waiting = desk.waiting();
        if waiting.queue.len() >= WAITING_MAX {
            drop(waiting);
            return reply.answer(Err(NotFound::NoAnswer));
        }
        waiting.queue.push_back((question, reply));
        if waiting.threads >= desk.threads_max {
            return;
        }
        waiting.threads += 1;
        drop(waiting);
        let worker = Arc::clone(desk);
        let spawned = thread::Builder::new()
            .name("samanea-names".into())
            .stack_size(STACK_BYTES)
            .spawn(move || worker.work());
        if spawned.is_err() {
            desk.fail();
        }
    }
}

impl<F> Desk<F> {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread could not be started: what waits is left to the others, or has no resolver.
    fn fail(&self) {
        let mut waiting = self.waiting();
        waiting.threads -= 1;
        if waiting.threads == 0 {
            let queue = mem::take(&mut waiting.queue);
            drop(waiting);
            for (_, reply) in queue {
                reply.answer(Err(NotFound::NoResolver));
            }
        }
    }
}

impl<F: Fn(&Question) -> Result<Answer, NotFound>> Desk<F> {
    fn work(&self) {
        loop {
            let mut waiting = self.waiting();
            let Some((question, reply)) = waiting.queue.pop_front() else {
                waiting.threads -= 1;
                return;
            };
            drop(waiting);
            // The hook has told of a panic; there is no answer then.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                reply.answer((self.lookup)(&question));
            }));
        }
    }
}

/// The resolver of the operating system, on up to eight threads: addresses only, no services.
///
/// It does not say how long an answer holds: a minute is assumed, the least that counts.
pub struct System(OnThreads<Lookup>);

type Lookup = fn(&Question) -> Result<Answer, NotFound>;

impl System {
    /// Begins with no thread.
    pub fn new() -> Self {
        Self(OnThreads::new(THREADS_MAX, system))
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolver for System {
    fn resolve(&self, question: Question, reply: Reply) {
        self.0.resolve(question, reply);
    }
}

fn system(question: &Question) -> Result<Answer, NotFound> {
    let Question::Addresses { name, v4, v6 } = question else {
        return Err(NotFound::NoResolver);
    };
    let all = (&**name, 0).to_socket_addrs().map_err(|e| failure(&e))?;
    let mut addrs: Vec<IpAddr> = all.map(|addr| addr.ip()).collect();
    addrs.retain(|ip| if ip.is_ipv4() { *v4 } else { *v6 });
    // Stable: the system's own order stays within each family.
    addrs.sort_by_key(IpAddr::is_ipv4);
    addrs.dedup();
    addrs.truncate(ANSWERS_MAX);
    if addrs.is_empty() {
        return Err(NotFound::NoRecord { ttl: None });
    }
    let ttl = TTL;
    Ok(Answer::Addresses { addrs, ttl })
}

/// The standard library does not tell a name that does not exist from a server that is silent.
fn failure(error: &io::Error) -> NotFound {
    match error.kind() {
        // No name at all, such as one with a zero byte in it.
        io::ErrorKind::InvalidInput => NotFound::NoRecord { ttl: None },
        _ => NotFound::NoAnswer,
    }
}

/// Questions that wait for a thread, at most; a node asks ten at a time.
const WAITING_MAX: usize = 1_024;
const THREADS_MAX: usize = 8;
/// Enough for the system's resolver, which reads files and may load code.
const STACK_BYTES: usize = 512 << 10;
const TTL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn question(name: &str) -> Question {
        Question::Addresses {
            name: name.into(),
            v4: true,
            v6: true,
        }
    }

    /// What comes of these questions, in the order of the answers.
    fn ask(resolver: &dyn Resolver, names: &[&str]) -> Vec<(String, Result<Answer, NotFound>)> {
        let (tx, rx) = mpsc::channel();
        for name in names {
            let (tx, of) = (tx.clone(), String::from(*name));
            let reply = Reply::new(move |answer| tx.send((of, answer)).unwrap());
            resolver.resolve(question(name), reply);
        }
        let next = |_: &&str| rx.recv_timeout(PATIENCE).unwrap();
        names.iter().map(next).collect()
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "compared with what may be an error"
    )]
    fn loopback() -> Result<Answer, NotFound> {
        let addrs = vec![[127, 0, 0, 1].into()];
        Ok(Answer::Addresses { addrs, ttl: TTL })
    }

    #[test]
    fn the_system_knows_an_address_when_it_sees_one() {
        let all = ask(&System::default(), &["127.0.0.1", "::1", "with\0zero"]);
        for (name, answer) in all {
            match &*name {
                "127.0.0.1" => assert_eq!(answer, loopback()),
                "::1" => assert!(
                    matches!(answer, Ok(Answer::Addresses { addrs, .. }) if addrs.len() == 1)
                ),
                _ => assert_eq!(answer, Err(NotFound::NoRecord { ttl: None })),
            }
        }
    }

    #[test]
    fn the_system_has_no_addresses_of_the_other_family_and_no_services() {
        let name = || "127.0.0.1".into();
        let (v4, v6) = (false, true);
        let other = Question::Addresses {
            name: name(),
            v4,
            v6,
        };
        assert_eq!(system(&other), Err(NotFound::NoRecord { ttl: None }));
        let services = Question::Services { name: name() };
        assert_eq!(system(&services), Err(NotFound::NoResolver));
    }

    #[test]
    fn no_more_threads_work_than_the_maximum_and_all_questions_are_answered() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        // Two meet in the function, so there are two; a third would be seen.
        let both = Barrier::new(2);
        let (counted, highest) = (Arc::clone(&now), Arc::clone(&most));
        let resolver = OnThreads::new(2, move |_: &Question| {
            let inside = counted.fetch_add(1, Ordering::SeqCst) + 1;
            highest.fetch_max(inside, Ordering::SeqCst);
            both.wait();
            counted.fetch_sub(1, Ordering::SeqCst);
            loopback()
        });
        let names: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let answers = ask(&resolver, &names);
        assert!(answers.iter().all(|(_, answer)| *answer == loopback()));
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_lookup_that_panics_is_no_answer_and_the_next_one_is_looked_up() {
        let resolver = OnThreads::new(1, |question: &Question| {
            let Question::Addresses { name, .. } = question else {
                return Err(NotFound::NoResolver);
            };
            assert_ne!(&**name, "bad", "this panic is wanted");
            loopback()
        });
        let answers = ask(&resolver, &["bad", "good"]);
        let expected = [
            ("bad".into(), Err(NotFound::NoAnswer)),
            ("good".into(), loopback()),
        ];
        assert_eq!(answers, expected);
    }

    #[test]
    fn what_finds_no_room_is_answered_at_once() {
        let (open, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let resolver = OnThreads::new(1, move |_: &Question| {
            // Ends when the other side is dropped.
            let _ = gate.lock().unwrap().recv();
            loopback()
        });
        let (tx, rx) = mpsc::channel();
        let ask = |n: usize| {
            let tx = tx.clone();
            let reply = Reply::new(move |answer| tx.send((n, answer)).unwrap());
            resolver.resolve(question("a"), reply);
        };
        // One may be with the thread.
        (0..WAITING_MAX + 2).for_each(ask);
        let (n, answer) = rx.recv_timeout(PATIENCE).unwrap();
        assert!(n >= WAITING_MAX);
        assert_eq!(answer, Err(NotFound::NoAnswer));
        drop(open);
        // Of the others, one may have come before the thread took its first.
        let others = (0..=WAITING_MAX).map(|_| rx.recv_timeout(PATIENCE).unwrap());
        let answered = others.filter(|(_, answer)| *answer == loopback()).count();
        assert!(answered >= WAITING_MAX, "{answered}");
    }

    #[test]
    fn a_reply_that_is_dropped_answers_and_one_that_has_answered_does_not_again() {
        let (tx, rx) = mpsc::channel();
        let of = |tx: &mpsc::Sender<_>| {
            let tx = tx.clone();
            Reply::new(move |answer| tx.send(answer).unwrap())
        };
        drop(of(&tx));
        of(&tx).answer(loopback());
        drop(tx);
        let all: Vec<_> = rx.iter().collect();
        assert_eq!(all, [Err(NotFound::NoAnswer), loopback()]);
    }
}
