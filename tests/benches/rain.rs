//! What the views and trees of structured gossip cost, from a thousand members to a million: the
//! plan of one hop, the place of a member in the tree of another, lookups, and views made anew and
//! from a change of one percent; and the relay of one message of 64 KiB to as many members as a
//! member ever sends to, beside one copy of its payload in the same run: the copies share it.
//!
//! Planning and looking up must do without memory: they run with none left to allocate, so that
//! an allocation ends the run.

#[path = "support/figures.rs"]
mod figures;

use std::{alloc::System, hint::black_box};

use blake2::{Blake2b, Digest as _, digest::consts::U32};
use bytes::Bytes;
use cap::Cap;
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use rustix::time::{ClockId, clock_gettime};
use samanea_core::{
    base::{
        Cx, First, GroupId, Hash32, HeaderFault, HeaderView, Instant, Machine as _, MemberKey,
        Rules, Signature, TxId,
    },
    proto::rain_link::{Data, Flags, Frame, Limit, Terms},
    rain::{Action, Config, Event, Gaps, Member, Rain, Reach, View},
};

use figures::{for_real, median, now, rounds, wanted};

/// Counts what is allocated, and refuses when there is no room.
#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

fn main() {
    let sizes: &[u32] = if for_real() {
        &[1_000, 100_000, 1_000_000]
    } else {
        &[1_000]
    };
    let begin = now();
    for (title, run) in [
        ("rain, lookups", lookups as fn(u32) -> Vec<Row>),
        ("rain, views", views),
    ] {
        if !wanted(title) {
            continue;
        }
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN);
        table.set_header([title, "members", "median", "range", "per member"]);
        for size in sizes {
            for row in run(*size) {
                table.add_row(row.cells(*size));
            }
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("{table}\n\n(medians of {} rounds)\n", rounds().max(1));
    }
    if wanted("rain, relay") {
        println!("{}", relays());
    }
    println!("(took {:.0} s)", begin.elapsed().as_secs_f64());
}

/// The relay of a payload in a group of a thousand: by the members to whom it is sent, with a
/// hash that costs nothing and with the one that drivers use.
fn relays() -> Table {
    let n = if for_real() { 1_000 } else { 27 };
    let times = if for_real() { 400 } else { 2 };
    let payload = Bytes::from(vec![0x5a; PAYLOAD_BYTES]);
    let copied = timed("one copy of the payload", || {
        for _ in 0..times {
            black_box(black_box(&payload[..]).to_vec());
        }
    });
    let copy = median(copied.figures) / f64::from(times);
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN);
    table.set_header(["rain, relay", "sends", "median", "one copy", "copies"]);
    for (name, rules) in [
        ("hashing and signing left out", &Free as &dyn Rules),
        ("payload hashed", &Blake),
    ] {
        let (sends, figure) = relayed(n, times, &payload, rules);
        table.add_row([
            format!("64 KiB in a group of {n}, {name}"),
            sends.to_string(),
            format!("{figure:.0} ns"),
            format!("{copy:.0} ns"),
            format!("{:.2}", figure / copy),
        ]);
    }
    table
}

const PAYLOAD_BYTES: usize = 64 << 10;

/// How many sends the relay of one message makes, and the median of what it takes.
fn relayed(n: u32, times: u32, payload: &Bytes, rules: &dyn Rules) -> (usize, f64) {
    let members = (0..n).map(|at| Member::from(number(at)));
    let view = View::new(GroupId::AllStaked, 1, None, members, rules).expect("a view");
    let config = Config {
        reach: Reach::Assumed,
        ..Config::default()
    };
    let mut fresh = Rain::new(config, number(1), 1);
    let mut out = Vec::new();
    let (digest, expires) = (view.digest().0, None);
    let mut choice = First;
    let now = Instant::from_secs(1);
    let mut cx = Cx::new(now, &mut choice, rules, &mut out);
    fresh.step(&mut cx, Event::View { view, expires });
    // The arc of the whole ring but the origin, which sits just before: as many sends as any member
    // ever makes.
    let data = |seq| Data {
        group: GroupId::AllStaked,
        epoch: 1,
        view: digest,
        origin: number(0),
        boot: 1,
        seq,
        limit: Limit::Key(number(0)),
        flags: Flags::TREE.with(Flags::WANT_ACK).with(Flags::DELEGATED),
        hop: 1,
        signature: Signature::default(),
        terms: Terms::default(),
        payload: payload.clone(),
    };
    let mut sends = 0;
    let figure = |_| {
        let mut took = 0.0;
        for seq in 0..u64::from(times) {
            let mut rain = fresh.clone();
            let frame = Frame::Data(Box::new(data(seq)));
            let mut out = Vec::with_capacity(64);
            let mut cx = Cx::new(now, &mut choice, rules, &mut out);
            let peer = number(0);
            let begun = used();
            rain.step(&mut cx, Event::Received { peer, frame });
            took += used() - begun;
            let shared = |action: &Action| match action {
                Action::Send {
                    frame: Frame::Data(data),
                    ..
                } => {
                    assert_eq!(
                        data.payload.as_ptr(),
                        payload.as_ptr(),
                        "shared, not copied"
                    );
                    true
                }
                _ => false,
            };
            sends = out.iter().filter(|action| shared(action)).count();
        }
        took / f64::from(times)
    };
    let figures: Vec<f64> = (0..rounds().max(1)).map(figure).collect();
    (sends, median(figures))
}

/// A key that is in the order of its number.
fn number(at: u32) -> MemberKey {
    let mut key = MemberKey::default();
    key.0[..4].copy_from_slice(&at.to_be_bytes());
    key
}

/// An operation and the nanoseconds that it took in each round, or the bytes that it keeps.
struct Row {
    name: &'static str,
    figures: Vec<f64>,
    unit: Unit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Nanoseconds,
    Milliseconds,
    Megabytes,
}

impl Row {
    fn cells(&self, size: u32) -> Vec<String> {
        let figures = &self.figures;
        let (low, high) = figures
            .iter()
            .fold((f64::MAX, f64::MIN), |(l, h), f| (l.min(*f), h.max(*f)));
        let middle = median(figures.clone());
        let show = |figure: f64| match self.unit {
            Unit::Nanoseconds => format!("{figure:.0} ns"),
            Unit::Milliseconds => format!("{:.2} ms", figure / 1e6),
            Unit::Megabytes => format!("{:.2} MB", figure / 1e6),
        };
        let each = middle / f64::from(size);
        let each = match self.unit {
            Unit::Nanoseconds => String::new(),
            Unit::Milliseconds => format!("{each:.0} ns"),
            Unit::Megabytes => format!("{each:.1} B"),
        };
        vec![
            self.name.to_owned(),
            size.to_string(),
            show(middle),
            format!("{} – {}", show(low), show(high)),
            each,
        ]
    }
}

/// Times what must not allocate, so many times a round.
fn row(name: &'static str, times: u32, mut job: impl FnMut(u32) -> u32) -> Row {
    let figure = |_| {
        let unlimited = MEMORY.limit();
        MEMORY.set_limit(MEMORY.allocated()).expect("what is there");
        let begin = used();
        let mut sum = 0_u32;
        for at in 0..times {
            sum = sum.wrapping_add(job(at));
        }
        let took = used() - begin;
        MEMORY.set_limit(unlimited).expect("more than is there");
        black_box(sum);
        took / f64::from(times)
    };
    Row {
        name,
        figures: (0..rounds().max(1)).map(figure).collect(),
        unit: Unit::Nanoseconds,
    }
}

fn lookups(n: u32) -> Vec<Row> {
    let times = if for_real() { 300_000 } else { 1_000 };
    let gaps = Gaps::new(n);
    let keys: Vec<MemberKey> = (0..n).map(key).collect();
    let members = || keys.iter().copied().map(Member::from);
    let [plain, seeded] = [None, Some(Hash32([7; 32]))]
        .map(|seed| View::new(GroupId::AllStaked, 1, seed, members(), &Blake).expect("a view"));
    // Seats in no order, so that caches do not help more than they would.
    let seat = |at: u32| at.wrapping_mul(2_654_435_761) % n;
    let planned = |len: u32| {
        let shares = black_box(&gaps).plan(black_box(len));
        shares.fold(0, |sum, share| sum ^ share.slot ^ share.len)
    };
    let found = |view: &View, at: u32| view.seat(&keys[seat(at) as usize]).expect("a member");
    vec![
        row("plan of the originator", times, |_| planned(n)),
        row("plan of its first child", times, |_| planned(n.div_ceil(3))),
        row("place under another", times, |at| {
            let leaf = |slot| plain.is_leaf_only(plain.ahead(at % n, slot));
            black_box(&gaps).derive(seat(at), leaf).len
        }),
        row("seat of a key", times, |at| found(&plain, at)),
        row("seat of a key, seeded", times, |at| found(&seeded, at)),
        row("place on the clean-up ring", times, |at| {
            plain.clean_place(seat(at)).expect("a place")
        }),
    ]
}

fn views(n: u32) -> Vec<Row> {
    let list: Vec<Member> = (0..n).map(|at| key(at).into()).collect();
    let mut sorted = list.clone();
    sorted.sort_unstable();
    let half = n / 200;
    let joined: Vec<Member> = (n..n + half).map(|at| key(at).into()).collect();
    let left: Vec<MemberKey> = (0..half).map(|at| key(at * 100)).collect();
    let seeds = [None, Some(Hash32([7; 32]))];
    let group = || GroupId::AllStaked;
    let made = |seed, list: &[Member]| {
        View::new(group(), 1, seed, list.iter().copied(), &Blake).expect("a view")
    };
    let [plain, seeded] = seeds.map(|seed| made(seed, &list));
    let next = |view: &View| {
        let (joined, left) = (joined.iter().copied(), left.iter().copied());
        let next = view.next(2, view.seed(), joined, left, &Blake);
        next.expect("a view")
    };
    assert_eq!(next(&plain).members(), n, "as many as before");
    let before = MEMORY.allocated();
    let kept = made(None, &list);
    let bytes = MEMORY.allocated() - before;
    drop(kept);
    let heard = vec![0x5a; n as usize * 36];
    vec![
        timed("made anew, any order", || made(None, &list)),
        timed("made anew, sorted", || made(None, &sorted)),
        timed("made anew, seeded", || made(seeds[1], &list)),
        timed("1 % changed", || next(&plain)),
        timed("1 % changed, seeded", || next(&seeded)),
        timed("half of them", || {
            let low = |member: &Member| member.key.0[0] < 128;
            plain.filtered(group(), low, &Blake).expect("a view")
        }),
        timed("of which hashing for the digest", || Blake.hash(&[&heard])),
        Row {
            name: "kept",
            figures: vec![real(bytes)],
            unit: Unit::Megabytes,
        },
    ]
}

fn timed<T>(name: &'static str, mut job: impl FnMut() -> T) -> Row {
    let figure = |_| {
        let begin = used();
        let made = black_box(job());
        let took = used() - begin;
        drop(made);
        took
    };
    Row {
        name,
        figures: (0..rounds().max(1)).map(figure).collect(),
        unit: Unit::Milliseconds,
    }
}

/// Keys as good as random, all different.
fn key(at: u32) -> MemberKey {
    let mut key = MemberKey::default();
    let mut state = u64::from(at);
    for lane in key.0.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        for shift in [30, 27] {
            mixed = (mixed ^ mixed >> shift).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        }
        lane.copy_from_slice(&(mixed ^ mixed >> 31).to_be_bytes());
    }
    key
}

/// Nanoseconds for which this thread has run: what others do on the machine does not count.
fn used() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    let whole = usize::try_from(used.tv_sec).unwrap_or(0) * 1_000_000_000;
    real(whole + usize::try_from(used.tv_nsec).unwrap_or(0))
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn real(count: usize) -> f64 {
    count as f64
}

/// A hash that costs nothing: what is left is the machine's own.
struct Free;

impl Rules for Free {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn header(&self, _wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, _wrapped: &[u8]) -> Option<TxId> {
        None
    }

    fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        let mut hash = Hash32::default();
        for (part, to) in parts.iter().zip(&mut hash.0) {
            *to = part.last().copied().unwrap_or(0);
        }
        hash
    }

    fn verify(&self, _: &MemberKey, _: &[u8], _: &Signature) -> bool {
        true
    }
}

/// The hash that the drivers use.
struct Blake;

impl Rules for Blake {
    fn name(&self) -> &'static str {
        "blake2b-256"
    }

    fn header(&self, _wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, _wrapped: &[u8]) -> Option<TxId> {
        None
    }

    fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        let mut hash = Blake2b::<U32>::new();
        for part in parts {
            hash.update(part);
        }
        Hash32(hash.finalize().into())
    }

    fn verify(&self, _: &MemberKey, _: &[u8], _: &Signature) -> bool {
        true
    }
}
