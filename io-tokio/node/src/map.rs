//! A drawing of what a node knows of its network: its peers by temperature and distance, and who
//! told of whom.
//!
//! ```text
//!            ·  not measured: the outer band
//!         ·     ╲
//!    10 ms ── ring   ●  a peer: colour its temperature, number its hops
//!     1 ms ── ring  ╱   line: the one nearer its root told us of the other
//!           node ◆
//! ```
//! The distance from the middle is the round trip, each ring ten times the next inner one. Those
//! that were told of stand beside those who told. Of more than [`PEERS_MAX`] peers those that are
//! connected are drawn first and the legend says how many are not.

use std::{
    collections::{BTreeMap, BTreeSet},
    f64::consts::TAU,
    net::SocketAddr,
};

use svg::{
    Document,
    node::element::{Circle, Group, Line, Path, Rectangle, Text, Title},
};

use crate::{control::Table, peers::Row};

/// Peers that are drawn at most, inclusive: more are a ring without gaps.
pub const PEERS_MAX: usize = 2_000;
/// Peers that are named on the drawing at most; more names would cover each other.
const NAMED_MAX: usize = 150;

const SIZE: f64 = 1_200.0;
const MIDDLE: f64 = SIZE / 2.0;
/// Where the rings of measured peers begin and end, and the band of the others.
const RINGS: (f64, f64) = (70.0, 330.0);
const BAND: [f64; 3] = [372.0, 392.0, 412.0];
/// Temperature, colour, radius; the last for those of whom only the connection is known.
const LOOKS: [(&str, &str, f64); 5] = [
    ("hot", "#c0392b", 9.0),
    ("warm", "#e59c24", 8.0),
    ("cooling", "#8459a8", 6.0),
    ("cold", "#7f93a6", 5.0),
    ("connected to us only", "#3a8f5c", 6.0),
];

/// The drawing, as the text of an SVG file.
pub fn to_svg(table: &Table) -> String {
    let drawn = chosen(&table.rows);
    let left_out = table.left_out + (table.rows.len() - drawn.len()) as u64;
    let scale = Scale::of(&drawn);
    let places = places(&drawn, &scale);
    let mut document = Document::new()
        .set("viewBox", (0, 0, SIZE, SIZE))
        .set("font-family", "sans-serif")
        .set("font-size", 12)
        .add(
            Rectangle::new()
                .set("width", SIZE)
                .set("height", SIZE)
                .set("fill", "white"),
        )
        .add(scale.rings())
        .add(lines(&drawn, &places));
    for row in &drawn {
        if let Some(at) = places.get(&row.peer) {
            document = document.add(peer(row, *at, drawn.len() <= NAMED_MAX));
        }
    }
    document = document.add(node()).add(legend(table, left_out));
    document.to_string()
}

/// Those that are drawn: in the order of the table, the connected first when there are too many.
fn chosen(rows: &[Row]) -> Vec<&Row> {
    let mut order: Vec<_> = rows.iter().collect();
    order.sort_by_key(|row| !is_connected(row));
    order.truncate(PEERS_MAX);
    order.sort_by_key(|row| row.peer);
    order
}

fn is_connected(row: &Row) -> bool {
    row.temperature.as_deref() != Some("cold")
}

/// How round trips become distances from the middle.
struct Scale {
    /// Powers of ten of a microsecond, from the first ring to the last.
    decades: (i32, i32),
}

impl Scale {
    fn of(rows: &[&Row]) -> Self {
        let log = |us: u64| real(us.max(1)).log10();
        let logs = || rows.iter().filter_map(|row| row.rtt_us).map(log);
        let (least, most) = (
            logs().fold(f64::INFINITY, f64::min),
            logs().fold(3.0, f64::max),
        );
        let first = if least.is_finite() {
            least.floor()
        } else {
            3.0
        };
        let first = whole(first.min(most - 1.0));
        Self {
            decades: (first, whole(most.ceil()).max(first + 1)),
        }
    }

    fn radius(&self, us: u64) -> f64 {
        let (first, last) = (f64::from(self.decades.0), f64::from(self.decades.1));
        let part = (real(us.max(1)).log10() - first) / (last - first);
        (RINGS.1 - RINGS.0).mul_add(part.clamp(0.0, 1.0), RINGS.0)
    }

    fn rings(&self) -> Group {
        let mut group = Group::new().set("fill", "none").set("stroke", "#dddddd");
        for decade in self.decades.0..=self.decades.1 {
            let us = 10_u64.saturating_pow(u32::try_from(decade).unwrap_or_default());
            let r = self.radius(us);
            let name = match us {
                0..1_000 => format!("{us} µs"),
                1_000..1_000_000 => format!("{} ms", us / 1_000),
                _ => format!("{} s", us / 1_000_000),
            };
            group = group.add(circle((MIDDLE, MIDDLE), r)).add(
                Text::new(name)
                    .set("x", MIDDLE)
                    .set("y", MIDDLE - r - 3.0)
                    .set("text-anchor", "middle")
                    .set("fill", "#888888")
                    .set("stroke", "none"),
            );
        }
        let (first, last) = (BAND[0] - 12.0, BAND[2] + 12.0);
        group.add(
            circle((MIDDLE, MIDDLE), f64::midpoint(first, last))
                .set("stroke", "#f4f6f8")
                .set("stroke-width", last - first),
        )
    }
}

/// Where a peer is drawn: angle and distance from the middle.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    angle: f64,
    radius: f64,
}

impl Place {
    fn point(self) -> (f64, f64) {
        (
            self.radius.mul_add(self.angle.cos(), MIDDLE),
            self.radius.mul_add(self.angle.sin(), MIDDLE),
        )
    }
}

/// A place for each, at even angles; children beside their parents.
fn places(rows: &[&Row], scale: &Scale) -> BTreeMap<SocketAddr, Place> {
    let by: BTreeMap<_, _> = rows.iter().map(|row| (row.peer, *row)).collect();
    let order = family_order(&by);
    let step = TAU / real(order.len().max(1) as u64);
    let mut places = BTreeMap::new();
    for (n, peer) in order.into_iter().enumerate() {
        let Some(row) = by.get(&peer) else { continue };
        let radius = match row.rtt_us {
            Some(us) => scale.radius(us),
            None => BAND[n % BAND.len()],
        };
        // From the top, like a clock.
        let angle = real(n as u64).mul_add(step, -TAU / 4.0) + step / 2.0;
        places.insert(peer, Place { angle, radius });
    }
    places
}

/// Each peer followed by those it told of, and theirs; circles are cut where they are entered.
fn family_order(by: &BTreeMap<SocketAddr, &Row>) -> Vec<SocketAddr> {
    let mut children: BTreeMap<SocketAddr, Vec<SocketAddr>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (peer, row) in by {
        match row.told_by.filter(|by_whom| by.contains_key(by_whom)) {
            Some(by_whom) => children.entry(by_whom).or_default().push(*peer),
            None => roots.push(*peer),
        }
    }
    let mut order = Vec::with_capacity(by.len());
    let mut seen = BTreeSet::new();
    for start in roots.iter().chain(by.keys()) {
        let mut next = vec![*start];
        while let Some(peer) = next.pop() {
            if seen.insert(peer) {
                order.push(peer);
                next.extend(children.get(&peer).into_iter().flatten().rev());
            }
        }
    }
    order
}

/// Who told of whom.
fn lines(rows: &[&Row], places: &BTreeMap<SocketAddr, Place>) -> Group {
    let mut group = Group::new()
        .set("fill", "none")
        .set("stroke", "#9fb4c7")
        .set("stroke-width", 1);
    for row in rows {
        let ends = row
            .told_by
            .and_then(|by| Some((places.get(&by)?, places.get(&row.peer)?)));
        let Some((from, to)) = ends else { continue };
        let ((x1, y1), (x2, y2)) = (from.point(), to.point());
        // Bent towards the middle, so that neighbours on one ring have a line that is seen.
        let bent = |a: f64, b: f64| f64::midpoint(a, b).mul_add(0.85, MIDDLE * 0.15);
        let (cx, cy) = (bent(x1, x2), bent(y1, y2));
        let path = format!("M{x1:.1},{y1:.1} Q{cx:.1},{cy:.1} {x2:.1},{y2:.1}");
        group = group.add(Path::new().set("d", path));
    }
    group
}

fn peer(row: &Row, place: Place, named: bool) -> Group {
    let (_, colour, size) = look(row);
    let (x, y) = place.point();
    let told = format!(
        "{} · {} · {} · {} · {}",
        row.peer,
        row.source.as_deref().unwrap_or("only connected"),
        row.status,
        row.rtt_us
            .map_or_else(|| "not measured".into(), |us| format!("{us} µs")),
        row.direction.as_deref().unwrap_or("no connection"),
    );
    let mut group = Group::new()
        .set("class", "peer")
        .add(Title::new(told))
        .add(circle((x, y), size).set("fill", colour));
    if let Some(hops) = row.hops {
        group = group.add(
            Text::new(hops.to_string())
                .set("x", rounded(x))
                .set("y", rounded(y + 3.5))
                .set("font-size", 10)
                .set("text-anchor", "middle")
                .set("fill", "white"),
        );
    }
    if named {
        // Along the radius, never upside down.
        let left = place.angle.cos() < 0.0;
        let turn = place.angle.to_degrees() + if left { 180.0 } else { 0.0 };
        let out = Place {
            radius: place.radius + size + 4.0,
            ..place
        };
        let (x, y) = out.point();
        group = group.add(
            Text::new(row.peer.to_string())
                .set(
                    "transform",
                    format!("translate({x:.1},{y:.1}) rotate({turn:.1})"),
                )
                .set("dy", "0.35em")
                .set("font-size", 10)
                .set("text-anchor", if left { "end" } else { "start" })
                .set("fill", "#333333"),
        );
    }
    group
}

fn look(row: &Row) -> (&'static str, &'static str, f64) {
    let [.., other] = LOOKS;
    let named = row.temperature.as_deref();
    let found = LOOKS.into_iter().find(|look| Some(look.0) == named);
    found.unwrap_or(other)
}

fn node() -> Group {
    Group::new()
        .add(circle((MIDDLE, MIDDLE), 14.0).set("fill", "#222222"))
        .add(
            Text::new("this node")
                .set("x", MIDDLE)
                .set("y", MIDDLE + 28.0)
                .set("text-anchor", "middle"),
        )
}

fn legend(table: &Table, left_out: u64) -> Group {
    let mut group = Group::new().set("fill", "#222222").add(
        Text::new("What this node knows of its network")
            .set("x", 24)
            .set("y", 36)
            .set("font-size", 18),
    );
    let mut y = 64.0;
    for (name, colour, size) in LOOKS {
        let count = table.rows.iter().filter(|row| look(row).0 == name).count();
        group = group
            .add(circle((34.0, y - 4.0), size).set("fill", colour))
            .add(words(format!("{name}: {count}"), 52.0, y));
        y += 22.0;
    }
    let line = Line::new()
        .set("x1", 26)
        .set("y1", y - 4.0)
        .set("x2", 44)
        .set("y2", y - 4.0)
        .set("stroke", "#9fb4c7")
        .set("stroke-width", 2);
    group = group
        .add(line)
        .add(words("one told us of the other".into(), 52.0, y))
        .add(words(
            "rings: round trip; outer band: not measured".into(),
            26.0,
            y + 22.0,
        ))
        .add(words(
            "number: hops to the producers of blocks".into(),
            26.0,
            y + 44.0,
        ));
    if left_out > 0 {
        group = group.add(words(
            format!("{left_out} more are not drawn"),
            26.0,
            y + 66.0,
        ));
    }
    group
}

fn words(words: String, x: f64, y: f64) -> Text {
    Text::new(words).set("x", x).set("y", y)
}

fn circle((x, y): (f64, f64), r: f64) -> Circle {
    Circle::new()
        .set("cx", rounded(x))
        .set("cy", rounded(y))
        .set("r", rounded(r))
}

/// A tenth of a unit is finer than anything that is seen.
fn rounded(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "a drawing is not that precise")]
const fn real(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the logarithm of a u64 is below 20"
)]
const fn whole(x: f64) -> i32 {
    x as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(n: u16) -> SocketAddr {
        ([10, 0, 0, 1], n).into()
    }

    fn row(n: u16, temperature: Option<&'static str>, told_by: Option<u16>) -> Row {
        Row {
            peer: addr(n),
            source: Some("other".into()),
            temperature: temperature.map(Into::into),
            status: "as it is".into(),
            score: 0.0,
            rtt_us: temperature
                .filter(|t| *t != "cold")
                .map(|_| u64::from(n) * 100),
            hops: Some(n.into()),
            direction: None,
            connections: Vec::new(),
            since_ms: 0,
            since_s: 0,
            next: "nothing".into(),
            next_ms: None,
            told_by: told_by.map(addr),
            failures: 0,
            root: None,
        }
    }

    fn table(rows: Vec<Row>) -> Table {
        Table { rows, left_out: 0 }
    }

    /// How often an element of this name begins, by a reader of SVG.
    fn elements(text: &str, name: &str) -> usize {
        use svg::{node::element::tag::Type, parser::Event};
        let events = svg::read(text).unwrap();
        let begins = |event: &Event<'_>| match event {
            Event::Tag(tag, Type::Start | Type::Empty, _) => *tag == name,
            Event::Error(error) => panic!("{error}"),
            _ => false,
        };
        events.filter(begins).count()
    }

    #[test]
    fn every_peer_is_drawn_with_its_name_and_who_told_of_it() {
        let rows = vec![
            row(1, Some("hot"), None),
            row(2, Some("warm"), Some(1)),
            row(3, Some("cold"), Some(1)),
            row(4, Some("cooling"), Some(2)),
            row(5, None, None),
            row(6, Some("cold"), Some(99)),
        ];
        let text = to_svg(&table(rows.clone()));
        assert_eq!(elements(&text, "title"), rows.len());
        assert_eq!(elements(&text, "path"), 3, "one was told of by a stranger");
        for row in &rows {
            assert!(text.contains(&format!("{} · ", row.peer)), "{text}");
        }
        for count in [
            "hot: 1",
            "warm: 1",
            "cooling: 1",
            "cold: 2",
            "connected to us only: 1",
        ] {
            assert!(text.contains(count), "{count}");
        }
    }

    #[test]
    fn nothing_known_is_drawn_too() {
        let text = to_svg(&table(Vec::new()));
        assert_eq!((elements(&text, "title"), elements(&text, "path")), (0, 0));
        assert!(text.contains("this node"));
    }

    #[test]
    fn farther_peers_are_farther_out() {
        let rows: Vec<_> = (1..40).map(|n| row(n * n, Some("hot"), None)).collect();
        let rows: Vec<_> = rows.iter().collect();
        let scale = Scale::of(&rows);
        let places = places(&rows, &scale);
        let radii: Vec<_> = rows.iter().map(|row| places[&row.peer].radius).collect();
        assert!(radii.is_sorted() && radii[0] < radii[38], "{radii:?}");
        assert!(radii[0] >= RINGS.0 && radii[38] <= RINGS.1);
    }

    #[test]
    fn children_stand_beside_their_parents_and_circles_end() {
        let rows = [
            row(1, Some("hot"), Some(2)),
            row(2, Some("hot"), Some(1)),
            row(3, Some("hot"), None),
            row(4, Some("cold"), None),
            row(5, Some("cold"), Some(3)),
        ];
        let by = rows.iter().map(|row| (row.peer, row)).collect();
        assert_eq!(family_order(&by), [3, 5, 4, 1, 2].map(addr));
    }

    #[test]
    fn of_too_many_the_connected_are_drawn() {
        let mut rows: Vec<_> = (1..=3_000).map(|n| row(n, Some("cold"), None)).collect();
        rows.push(row(60_000, Some("hot"), None));
        let text = to_svg(&table(rows));
        assert_eq!(elements(&text, "title"), PEERS_MAX);
        assert!(text.contains("10.0.0.1:60000 · ") && text.contains("1001 more are not drawn"));
    }
}
