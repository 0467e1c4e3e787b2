//! Lookups against a name server that is a table.

use alloc::{boxed::Box, collections::BTreeMap, format, string::String, vec};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    slice,
};

use proptest::prelude::*;

use super::{walk::TRIES_MAX, *};
use crate::{base::Seeded, governor::Service};

const NO_RECORD: NotFound = NotFound::NoRecord { ttl: None };

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn host(name: &str, port: u16) -> Relay {
    let name = name.into();
    Relay::Host { name, port }
}

fn service(name: &str) -> Relay {
    Relay::Service { name: name.into() }
}

fn ip(n: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, n).into()
}

fn addr(n: u8, port: u16) -> SocketAddr {
    (ip(n), port).into()
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what was answered")]
fn found(ips: &[IpAddr], ttl: u64) -> Result<Answer, NotFound> {
    let (addrs, ttl) = (ips.to_vec(), secs(ttl));
    Ok(Answer::Addresses { addrs, ttl })
}

fn record(priority: u16, weight: u16, port: u16, target: &str) -> Service {
    Service {
        priority,
        weight,
        port,
        target: target.into(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what was answered")]
fn servers(services: Vec<Service>, ttl: u64) -> Result<Answer, NotFound> {
    let ttl = secs(ttl);
    Ok(Answer::Services { services, ttl })
}

fn name_of(question: &Question) -> &str {
    match question {
        Question::Addresses { name, .. } | Question::Services { name } => name,
    }
}

/// Lookups, the time, and the questions that nobody has answered.
struct Rig {
    lookups: Lookups,
    now: Instant,
    choice: Seeded,
    out: Vec<Out>,
    asked: Vec<(Ticket, Question)>,
    changes: usize,
    done: Vec<Out>,
}

impl Rig {
    fn new(config: Names) -> Self {
        Self {
            lookups: Lookups::new(config),
            now: Instant::from_secs(1),
            choice: Seeded::new(7),
            out: Vec::new(),
            asked: Vec::new(),
            changes: 0,
            done: Vec::new(),
        }
    }

    fn settle(&mut self) {
        self.lookups.check_invariants().unwrap();
        for out in self.out.drain(..) {
            match out {
                Out::Resolve { ticket, question } => self.asked.push((ticket, question)),
                Out::LocalChanged => self.changes += 1,
                Out::BatchDone { .. } => self.done.push(out),
            }
        }
    }

    fn watch(&mut self, names: &[Relay]) {
        let names = names.iter().cloned().collect();
        self.lookups.watch(self.now, names, &mut self.out);
        self.settle();
    }

    fn batch(&mut self, relays: &[(Relay, bool)]) -> u64 {
        let relays = relays.to_vec();
        let id = self.lookups.batch(self.now, relays, &mut self.out);
        self.settle();
        id
    }

    /// Answers the oldest question about this name.
    fn answer(&mut self, name: &str, answer: Result<Answer, NotFound>) {
        let at = self.asked.iter().position(|(_, q)| name_of(q) == name);
        let (ticket, _) = self.asked.remove(at.expect("the name was asked for"));
        assert!(self.tell(ticket, answer));
    }

    fn tell(&mut self, ticket: Ticket, answer: Result<Answer, NotFound>) -> bool {
        let (now, choice) = (self.now, &mut self.choice);
        let is_open = self
            .lookups
            .resolved(now, choice, ticket, answer, &mut self.out);
        self.settle();
        is_open
    }

    /// Goes to the next deadline and says how far that was.
    fn sleep(&mut self) -> Duration {
        let at = self.lookups.next_deadline().expect("something is due");
        let before = self.lookups.clone();
        if let Some(early) = at.as_micros().checked_sub(1) {
            let early = Instant::from_micros(early);
            self.lookups.tick(early, &mut self.out);
            assert_eq!((&self.lookups, self.out.len()), (&before, 0));
        }
        let slept = at.since(self.now);
        self.now = at;
        self.lookups.tick(at, &mut self.out);
        assert!(self.lookups.next_deadline().is_none_or(|next| next > at));
        self.settle();
        slept
    }

    fn names(&self) -> Vec<&str> {
        self.asked.iter().map(|(_, q)| name_of(q)).collect()
    }
}

fn rig() -> Rig {
    Rig::new(Names::default())
}

#[test]
fn a_local_name_that_fails_is_tried_ever_later_and_recovers() {
    let mut rig = rig();
    let relay = host("a", 3001);
    rig.watch(slice::from_ref(&relay));
    let mut delays = Vec::new();
    for _ in 0..6 {
        rig.answer("a", Err(NotFound::NoAnswer));
        delays.push(rig.sleep());
    }
    assert_eq!(delays, [60, 125, 255, 515, 900, 900].map(secs));
    rig.answer("a", found(&[ip(1)], 100));
    assert_eq!(rig.lookups.local(&relay), [addr(1, 3001)]);
    assert_eq!(rig.sleep(), secs(100));
    // Success forgets the failures, and failure keeps the addresses.
    for _ in 0..2 {
        rig.answer("a", Err(NotFound::NoResolver));
        rig.asked.clear();
        assert_eq!(rig.lookups.local(&relay), [addr(1, 3001)]);
        delays.push(rig.sleep());
    }
    assert_eq!(delays.split_off(6), [60, 125].map(secs));
    assert_eq!(rig.changes, 1);
}

#[test]
fn a_name_that_does_not_exist_is_asked_for_when_the_zone_says() {
    let rows = [
        (None, 900),
        (Some(5), 60),
        (Some(300), 300),
        (Some(5_000), 900),
    ];
    for (ttl, expected) in rows {
        let mut rig = rig();
        rig.watch(&[host("a", 1)]);
        let ttl = ttl.map(secs);
        rig.answer("a", Err(NotFound::NoRecord { ttl }));
        assert_eq!(rig.sleep(), secs(expected));
        assert_eq!(rig.names(), ["a"]);
    }
}

#[test]
fn a_time_to_live_is_cut_to_the_limits() {
    for (ttl, expected) in [(0, 60), (60, 60), (61, 61), (900, 900), (86_400, 900)] {
        let mut rig = rig();
        rig.watch(&[host("a", 1)]);
        rig.answer("a", found(&[ip(1)], ttl));
        assert_eq!(rig.sleep(), secs(expected));
    }
}

#[test]
fn names_that_stay_keep_addresses_and_timers_and_names_that_go_stop() {
    let mut rig = rig();
    let (a, b, c) = (host("a", 1), host("b", 1), host("c", 1));
    rig.watch(&[a.clone(), b.clone()]);
    rig.answer("a", found(&[ip(1)], 100));
    rig.answer("b", found(&[ip(2)], 200));
    rig.now = rig.now.after(secs(50));
    rig.watch(&[b.clone(), c.clone()]);
    assert_eq!(rig.names(), ["c"]);
    assert_eq!(rig.lookups.local(&a), []);
    assert_eq!(rig.lookups.local(&b), [addr(2, 1)]);
    // The answer to a name that is gone is stale; its place is free.
    let (ticket, _) = rig.asked.remove(0);
    rig.watch(&[b]);
    assert!(!rig.tell(ticket, found(&[ip(3)], 100)));
    assert_eq!(rig.lookups.local(&c), []);
    // Only b is left; its timer was not moved. The patience for c went with it.
    assert_eq!(rig.sleep(), secs(150));
    assert_eq!(rig.names(), ["b"]);
}

#[test]
fn the_same_addresses_in_another_order_are_no_change() {
    let mut rig = rig();
    let relay = host("a", 1);
    rig.watch(slice::from_ref(&relay));
    for ips in [[1, 2, 3], [3, 1, 2], [2, 3, 1]] {
        rig.answer("a", found(&ips.map(ip), 60));
        rig.sleep();
    }
    assert_eq!(rig.changes, 1);
    rig.answer("a", found(&[1, 2].map(ip), 60));
    assert_eq!(rig.changes, 2);
    assert_eq!(rig.lookups.local(&relay), [addr(1, 1), addr(2, 1)]);
}

#[test]
fn two_local_names_and_eight_others_are_looked_up_at_a_time() {
    let mut rig = rig();
    let names: Vec<Relay> = (0..5).map(|n| host(&format!("l{n}"), 1)).collect();
    rig.watch(&names);
    assert_eq!(rig.names(), ["l0", "l1"]);
    let others: Vec<_> = (0..20).map(|n| (host(&format!("o{n}"), 1), true)).collect();
    rig.batch(&others);
    assert_eq!(rig.asked.len(), 2 + 8);
    rig.answer("l1", found(&[ip(1)], 60));
    rig.answer("o3", Err(NO_RECORD));
    let (local, others): (Vec<_>, Vec<_>) =
        rig.names().into_iter().partition(|n| n.starts_with('l'));
    assert_eq!(local, ["l0", "l2"]);
    assert_eq!(others, ["o0", "o1", "o2", "o4", "o5", "o6", "o7", "o8"]);
}

#[test]
fn a_service_is_asked_for_as_written_and_that_of_the_ledger_under_its_prefix() {
    let mut rig = rig();
    rig.watch(&[service("_x._tcp.a")]);
    rig.batch(&[(service("pool"), true), (service("_y._tcp.b"), false)]);
    let asked: Vec<&Question> = rig.asked.iter().map(|(_, question)| question).collect();
    let expected = ["_x._tcp.a", "_cardano._tcp.pool", "_y._tcp.b"]
        .map(|name| Question::Services { name: name.into() });
    assert!(asked.into_iter().eq(&expected));
}

#[test]
fn servers_are_tried_by_priority_until_one_has_addresses() {
    let mut rig = rig();
    let relay = service("s");
    rig.watch(slice::from_ref(&relay));
    let all = vec![
        record(20, 0, 4, "last"),
        record(10, 5, 0, "no-port"),
        record(5, 0, 1, "first"),
        record(5, 0, 9, ""),
        record(5, 0, 9, "."),
        record(10, 5, 2, "second"),
        record(10, 5, 3, "second"),
    ];
    rig.answer("s", servers(all, 300));
    assert_eq!(rig.names(), ["first"]);
    rig.answer("first", Err(NotFound::NoAnswer));
    assert_eq!(rig.names(), ["second"]);
    rig.answer("second", Err(NO_RECORD));
    assert_eq!(rig.names(), ["second"]);
    rig.answer("second", found(&[], 70));
    assert_eq!(rig.names(), ["last"]);
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    rig.answer("last", found(&[v6, ip(9)], 250));
    assert_eq!(rig.lookups.local(&relay), [addr(9, 4), (v6, 4).into()]);
    assert_eq!(rig.sleep(), secs(250));
}

#[test]
fn a_service_without_servers_or_with_none_that_answers_is_not_found() {
    let closed = vec![record(0, 0, 1, "")];
    let silent = vec![record(0, 0, 1, "x"), record(1, 0, 1, "y")];
    let mut rig = rig();
    rig.watch(&[service("s")]);
    // Not offered: that holds as long as the record does.
    rig.answer("s", servers(closed, 400));
    assert_eq!(rig.sleep(), secs(400));
    // One of them may be back soon.
    rig.answer("s", servers(silent.clone(), 400));
    rig.answer("x", Err(NotFound::NoAnswer));
    rig.answer("y", Err(NO_RECORD));
    assert_eq!(rig.sleep(), secs(60));
    // None exists: the soonest of all that may change.
    rig.answer("s", servers(silent, 400));
    rig.answer("x", Err(NO_RECORD));
    let ttl = Some(secs(200));
    rig.answer("y", Err(NotFound::NoRecord { ttl }));
    assert_eq!(rig.sleep(), secs(200));
    assert_eq!(rig.changes, 0);
}

#[test]
fn equal_servers_are_drawn_by_weight_and_the_one_in_use_stays() {
    let all = vec![
        record(1, 60, 1, "x"),
        record(1, 30, 1, "y"),
        record(1, 10, 1, "z"),
        record(2, 1_000, 1, "never"),
    ];
    let mut first: BTreeMap<String, i32> = BTreeMap::new();
    let mut rig = rig();
    for n in 0..1_000 {
        let name = format!("s{n}");
        rig.batch(&[(service(&name), false)]);
        rig.answer(&name, servers(all.clone(), 60));
        let target: Box<str> = rig.names()[0].into();
        *first.entry(String::from(&*target)).or_default() += 1;
        rig.answer(&target, found(&[ip(1)], 60));
    }
    let seen = |name: &str| first.get(name).copied().unwrap_or_default();
    // Six standard deviations of a binomial at most.
    assert!((seen("x") - 600).abs() < 95, "{first:?}");
    assert!((seen("y") - 300).abs() < 90, "{first:?}");
    assert_eq!(seen("x") + seen("y") + seen("z"), 1_000);

    rig.watch(&[service("s")]);
    rig.answer("s", servers(all.clone(), 60));
    let target: Box<str> = rig.names()[0].into();
    rig.answer(&target, found(&[ip(1)], 60));
    for _ in 0..50 {
        rig.sleep();
        rig.answer("s", servers(all.clone(), 60));
        assert_eq!(rig.names(), [&*target]);
        rig.answer(&target, found(&[ip(1)], 60));
    }
    // One of a lower number goes first all the same.
    rig.sleep();
    let better = [all, vec![record(0, 0, 1, "better")]].concat();
    rig.answer("s", servers(better, 60));
    assert_eq!(rig.names(), ["better"]);
}

#[test]
fn servers_without_any_weight_have_equal_chances() {
    let all = vec![record(1, 0, 1, "x"), record(1, 0, 1, "y")];
    let mut rig = rig();
    let mut seen = 0_u32;
    for n in 0..400 {
        let name = format!("s{n}");
        rig.batch(&[(service(&name), false)]);
        rig.answer(&name, servers(all.clone(), 60));
        let target: Box<str> = rig.names()[0].into();
        seen += u32::from(&*target == "x");
        rig.answer(&target, found(&[ip(1)], 60));
    }
    assert!((140..260).contains(&seen), "{seen}");
}

#[test]
fn a_long_list_of_servers_is_tried_to_a_limit() {
    let all = (0..200).map(|n| record(n, 0, 1, &format!("t{n}")));
    let mut rig = rig();
    rig.batch(&[(service("s"), false)]);
    rig.answer("s", servers(all.collect(), 60));
    let mut tries = 0;
    while let [name] = rig.names()[..] {
        let name: Box<str> = name.into();
        rig.answer(&name, Err(NotFound::NoAnswer));
        tries += 1;
    }
    assert_eq!((tries, rig.done.len()), (TRIES_MAX, 1));
}

#[test]
fn an_answer_that_comes_too_late_is_not_waited_for() {
    let mut rig = rig();
    let relay = host("a", 1);
    rig.watch(slice::from_ref(&relay));
    let batch = rig.batch(&[(host("b", 1), false)]);
    assert_eq!(rig.sleep(), secs(30));
    let done = Out::BatchDone {
        batch,
        found: vec![(host("b", 1), vec![])],
        ttl: None,
        failed: false,
    };
    assert_eq!(rig.done, [done]);
    for (ticket, _) in core::mem::take(&mut rig.asked) {
        assert!(!rig.tell(ticket, found(&[ip(1)], 60)));
    }
    assert_eq!(rig.sleep(), secs(60));
    rig.answer("a", found(&[ip(2)], 60));
    assert_eq!(rig.lookups.local(&relay), [addr(2, 1)]);
}

#[test]
fn a_batch_gives_each_relay_once_with_the_least_time_to_live() {
    let mut rig = rig();
    let fixed = Relay::Addr(addr(8, 8));
    let relays = [
        (host("a", 1), true),
        (fixed.clone(), true),
        (service("s"), true),
        (host("a", 1), true),
        (host("a", 2), true),
    ];
    let batch = rig.batch(&relays);
    rig.answer("_cardano._tcp.s", servers(vec![record(1, 1, 7, "t")], 200));
    rig.answer("t", found(&[ip(3)], 700));
    rig.answer("a", found(&[ip(2), ip(1), ip(2)], 300));
    assert_eq!(rig.done, []);
    rig.answer("a", Err(NO_RECORD));
    let found = vec![
        (host("a", 1), vec![addr(2, 1), addr(1, 1)]),
        (fixed.clone(), vec![addr(8, 8)]),
        (service("s"), vec![addr(3, 7)]),
        (host("a", 2), vec![]),
    ];
    let ttl = Some(secs(200));
    let done = |batch, found, ttl, failed| Out::BatchDone {
        batch,
        found,
        ttl,
        failed,
    };
    assert_eq!(rig.done, [done(batch, found, ttl, false)]);
    // Without names there is nothing to wait for.
    rig.done.clear();
    let empty = rig.batch(&[]);
    let addrs = rig.batch(&[(fixed.clone(), false)]);
    let itself = vec![(fixed, vec![addr(8, 8)])];
    let both = [
        done(empty, vec![], None, false),
        done(addrs, itself, None, false),
    ];
    assert_eq!(rig.done, both);
}

#[test]
fn a_batch_fails_when_there_is_no_resolver_for_any_of_its_names() {
    for (second, expected) in [(NotFound::NoResolver, true), (NotFound::NoAnswer, false)] {
        let mut rig = rig();
        rig.batch(&[(host("a", 1), false), (host("b", 1), false)]);
        rig.answer("a", Err(NotFound::NoResolver));
        rig.answer("b", Err(second));
        assert!(matches!(rig.done[..], [Out::BatchDone { failed, .. }] if failed == expected));
    }
}

#[test]
fn only_addresses_of_use_are_taken() {
    let config = Names {
        v6: false,
        ..Names::default()
    };
    let mut rig = Rig::new(config);
    let relay = host("a", 1);
    rig.watch(slice::from_ref(&relay));
    let (_, question) = &rig.asked[0];
    let expected = Question::Addresses {
        name: "a".into(),
        v4: true,
        v6: false,
    };
    assert_eq!(question, &expected);
    let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into();
    let ips = [
        Ipv6Addr::LOCALHOST.into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv4Addr::BROADCAST.into(),
        Ipv4Addr::new(224, 0, 0, 1).into(),
        mapped,
        ip(1),
        ip(2),
    ];
    rig.answer("a", found(&ips, 60));
    assert_eq!(rig.lookups.local(&relay), [addr(1, 1), addr(2, 1)]);
}

#[test]
fn an_answer_to_another_question_is_none() {
    let mut rig = rig();
    rig.watch(&[host("a", 1), service("s")]);
    rig.answer("a", servers(vec![record(1, 1, 1, "x")], 300));
    rig.answer("s", found(&[ip(1)], 300));
    assert_eq!((rig.sleep(), rig.changes), (secs(60), 0));
}

#[test]
fn what_finds_no_room_is_left_out() {
    let config = Names {
        waiting_max: 3,
        ..Names::default()
    };
    let mut rig = Rig::new(config);
    let names: Vec<Relay> = (0..5).map(|n| host(&format!("l{n}"), 1)).collect();
    rig.watch(&names);
    assert_eq!((rig.lookups.left_out(), rig.lookups.monitors.len()), (2, 3));
    let others: Vec<_> = (0..14).map(|n| (host(&format!("o{n}"), 1), true)).collect();
    rig.batch(&others);
    assert_eq!(rig.lookups.left_out(), 2 + 3);
    // Those without room are done at once, with nothing.
    rig.batch(&others[..1]);
    let done = Out::BatchDone {
        batch: 5,
        found: vec![(host("o0", 1), vec![])],
        ttl: None,
        failed: false,
    };
    assert_eq!(rig.done, [done]);
}

#[test]
fn so_many_batches_are_under_way_and_no_more() {
    let mut rig = rig();
    for _ in 0..BATCHES_MAX + 5 {
        rig.batch(&[(host("a", 1), false)]);
    }
    assert_eq!(
        (rig.lookups.batches.len(), rig.done.len()),
        (BATCHES_MAX, 5)
    );
}

#[test]
fn what_breaks_an_invariant_is_told_by_its_number() {
    let mut rig = rig();
    let names: Vec<Relay> = (0..4).map(|n| host(&format!("l{n}"), 1)).collect();
    rig.watch(&names);
    rig.batch(&[(host("o", 1), false)]);
    let number = |change: fn(&mut Lookups)| {
        let mut lookups = rig.lookups.clone();
        change(&mut lookups);
        lookups.check_invariants().unwrap_err().number
    };
    assert_eq!(number(|l| _ = l.open.pop_first()), 1);
    assert_eq!(number(|l| l.local.open = 1), 2);
    assert_eq!(number(|l| _ = l.local.waiting.pop_front()), 3);
    assert_eq!(number(|l| l.local.max = 3), 4);
    assert_eq!(number(|l| _ = l.monitors.pop_first()), 5);
    assert_eq!(number(|l| _ = l.batches.pop_first()), 6);
    assert_eq!(number(|l| l.config.waiting_max = 3), 7);
}

#[cfg(feature = "tape")]
#[test]
fn lookups_go_on_after_a_snapshot() {
    let mut rig = rig();
    rig.watch(&[host("a", 1), service("s"), host("b", 1)]);
    rig.batch(&[(host("o", 1), false), (service("s"), true)]);
    rig.answer("_cardano._tcp.s", servers(vec![record(1, 1, 1, "x")], 300));
    rig.answer("a", found(&[ip(1)], 300));
    let bytes = postcard::to_allocvec(&rig.lookups).unwrap();
    let restored: Lookups = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(restored, rig.lookups);
}

/// One step of a run.
#[derive(Clone, Debug)]
enum Op {
    Watch(Vec<u8>),
    Batch(Vec<u8>),
    /// Answers the nth open question with the nth kind of answer.
    Answer(prop::sample::Index, u8),
    Stale(u64, u8),
    Wait(u16),
}

fn op() -> impl Strategy<Value = Op> {
    let relays = || prop::collection::vec(0_u8..24, 0..12);
    prop_oneof![
        2 => relays().prop_map(Op::Watch),
        3 => relays().prop_map(Op::Batch),
        12 => (any::<prop::sample::Index>(), 0_u8..10).prop_map(|(at, kind)| Op::Answer(at, kind)),
        1 => (0_u64..60, 0_u8..10).prop_map(|(ticket, kind)| Op::Stale(ticket, kind)),
        3 => (0_u16..400).prop_map(Op::Wait),
    ]
}

fn relay_of(n: u8) -> Relay {
    match n % 3 {
        0 => host(&format!("h{n}"), n.into()),
        1 => service(&format!("s{n}")),
        _ => Relay::Addr(addr(n, 1)),
    }
}

/// An answer, mostly one that fits.
fn answer_of(question: &Question, kind: u8) -> Result<Answer, NotFound> {
    let ttl = u64::from(kind) * 150;
    let list = || {
        let targets = (0..kind.into()).map(|n| record(n / 2, n, n, &format!("t{n}")));
        servers(targets.collect(), ttl)
    };
    match (kind, question) {
        (0, _) => Err(NotFound::NoAnswer),
        (1, _) => Err(NO_RECORD),
        (2, _) => Err(NotFound::NoResolver),
        (3, Question::Addresses { .. }) | (4.., Question::Services { .. }) => list(),
        (3, Question::Services { .. }) | (4.., Question::Addresses { .. }) => {
            found(&[ip(kind), ip(kind / 2)], ttl)
        }
    }
}

proptest! {
    /// Whatever is asked and answered: the invariants hold, no limit is exceeded, each batch ends
    /// exactly once with each of its relays, and a tick leaves nothing due.
    #[test]
    fn every_run_keeps_the_invariants_and_ends_every_batch(
        ops in prop::collection::vec(op(), 1..120),
        local_max in 0_usize..4, others_max in 0_usize..4,
    ) {
        let config = Names { local_max, others_max, waiting_max: 16, ..Names::default() };
        let mut rig = Rig::new(config);
        let mut batches: BTreeMap<u64, usize> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Watch(names) => {
                    let names: Vec<Relay> = names.into_iter().map(relay_of).collect();
                    rig.watch(&names);
                }
                Op::Batch(relays) => {
                    let relays: Vec<_> = relays.iter().map(|n| (relay_of(*n), n % 2 == 0)).collect();
                    let different: BTreeSet<_> = relays.iter().collect();
                    let id = rig.batch(&relays);
                    batches.insert(id, different.len());
                }
                Op::Answer(at, kind) => {
                    if !rig.asked.is_empty() {
                        let at = at.index(rig.asked.len());
                        let (ticket, question) = rig.asked.remove(at);
                        let is_open = rig.lookups.open.contains_key(&ticket);
                        prop_assert_eq!(rig.tell(ticket, answer_of(&question, kind)), is_open);
                    }
                }
                Op::Stale(ticket, kind) => {
                    let ticket = Ticket(ticket);
                    rig.asked.retain(|(asked, _)| *asked != ticket);
                    let question = Question::Services { name: "x".into() };
                    rig.tell(ticket, answer_of(&question, kind));
                }
                Op::Wait(s) => {
                    rig.now = rig.now.after(secs(s.into()));
                    rig.lookups.tick(rig.now, &mut rig.out);
                    prop_assert!(rig.lookups.next_deadline().is_none_or(|at| at > rig.now));
                    rig.settle();
                }
            }
            prop_assert!(rig.lookups.local.open <= local_max.max(1));
            prop_assert!(rig.lookups.others.open <= others_max.max(1));
        }
        // Nobody answers any more: all batches end by patience alone.
        while !rig.lookups.batches.is_empty() {
            rig.sleep();
        }
        let mut ended = 0;
        for done in &rig.done {
            if let Out::BatchDone { batch, found, .. } = done {
                prop_assert_eq!(batches.remove(batch), Some(found.len()));
                ended += 1;
            }
        }
        prop_assert!(batches.is_empty());
        prop_assert_eq!(ended, rig.done.len());
    }

    /// Names that fail a few times are found in the end, each with the addresses of its own name
    /// and its own port, and no two attempts are further apart than the longest delay.
    #[test]
    fn names_are_found_in_the_end_each_by_itself(
        failures in prop::collection::vec(prop::collection::vec(0_u8..3, 0..5), 1..20),
    ) {
        let mut rig = rig();
        let relay = |n: usize| host(&format!("h{n}"), u16::try_from(n).unwrap() + 1);
        let all: Vec<Relay> = (0..failures.len()).map(relay).collect();
        rig.watch(&all);
        let mut tried: BTreeMap<usize, (usize, Instant)> = BTreeMap::new();
        while tried.values().filter(|(n, _)| *n == usize::MAX).count() < all.len() {
            while let Some((ticket, question)) = rig.asked.pop() {
                let n: usize = name_of(&question)[1..].parse().unwrap();
                let (tries, last) = tried.get(&n).copied().unwrap_or((0, rig.now));
                prop_assert!(rig.now.since(last) <= secs(900));
                let answer = match failures[n].get(tries) {
                    Some(kind) => answer_of(&question, *kind),
                    None => found(&[ip(u8::try_from(n).unwrap())], 900),
                };
                let next = if answer.is_ok() { usize::MAX } else { tries + 1 };
                tried.insert(n, (next, rig.now));
                prop_assert!(rig.tell(ticket, answer));
            }
            rig.sleep();
        }
        for (n, relay) in all.iter().enumerate() {
            let n = u8::try_from(n).unwrap();
            prop_assert_eq!(rig.lookups.local(relay), [addr(n, u16::from(n) + 1)]);
        }
        prop_assert_eq!(rig.changes, all.len());
    }
}
