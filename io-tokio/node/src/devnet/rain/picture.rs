//! A drawing of the way that one message took: who gave it to whom, and how.
//!
//! ```text
//!            ·  never had it: the outer band
//!        ●──────●      2 sends from the origin
//!       ╱   ●─╱        1 send
//!      ◆               the origin
//! ```
//! The distance from the middle is the number of sends; who was given it stands beyond who gave
//! it. Members that were killed are grey.

use std::{collections::BTreeMap, f64::consts::TAU, time::Duration};

use samanea_core::rain::Way;
use svg::{
    Document,
    node::element::{Circle, Group, Line, Rectangle, Text, Title},
};

use super::{Fate, Got, Outcome, Report};

const SIZE: f64 = 1_000.0;
const MIDDLE: f64 = SIZE / 2.0;
/// Where members stand that have the message over most sends, and those that never had it.
const OUTER: f64 = 380.0;
const BAND: f64 = 450.0;
/// How it came, in words, and its colour.
const WAYS: [(Way, &str, &str); 4] = [
    (Way::Tree, "over the tree", "#2d6fb3"),
    (Way::Chain, "by a clean-up chain", "#c0392b"),
    (Way::Redundant, "as a further copy", "#8459a8"),
    (Way::Pulled, "pulled", "#e59c24"),
];
const DEAD: &str = "#b3b9c0";
const LIVES: &str = "#2f8f5b";

/// The drawing of one message, as the text of an SVG file.
pub fn to_svg(report: &Report, message: usize) -> String {
    let places = places(report, message);
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
        .add(rings(report, message))
        .add(lines(report, message, &places));
    for member in &report.members {
        if let Some(at) = places.get(&member.number) {
            document = document.add(drawn(member, got(member, message), *at));
        }
    }
    document.add(legend(report, message)).to_string()
}

fn got(member: &Outcome, message: usize) -> Option<Got> {
    member.got.get(message).copied().flatten()
}

fn most_hops(report: &Report, message: usize) -> u8 {
    let got = report.members.iter().filter_map(|m| got(m, message));
    got.map(|got| got.hops).max().unwrap_or(0).max(1)
}

fn radius(hops: u8, most: u8) -> f64 {
    OUTER * f64::from(hops) / f64::from(most.max(1))
}

/// Where each member stands: those beyond one another at neighbouring angles.
fn places(report: &Report, message: usize) -> BTreeMap<usize, (f64, f64)> {
    let mut given: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut origins = Vec::new();
    let mut places = BTreeMap::new();
    let mut without = Vec::new();
    for member in &report.members {
        match got(member, message) {
            Some(got) if got.from != member.number => {
                given.entry(got.from).or_default().push(member.number);
            }
            Some(_) => origins.push(member.number),
            None => without.push(member.number),
        }
    }
    let most = most_hops(report, message);
    let hops: BTreeMap<usize, u8> = report
        .members
        .iter()
        .filter_map(|m| Some((m.number, got(m, message)?.hops)))
        .collect();
    // Each in front of those that it gave to; an arc as wide as there are ends beyond it.
    let mut order = Vec::new();
    let mut next = origins;
    while let Some(number) = next.pop() {
        if order.contains(&number) {
            continue;
        }
        order.push(number);
        next.extend(given.get(&number).into_iter().flatten());
    }
    let ends: Vec<usize> = order
        .iter()
        .copied()
        .filter(|n| !given.contains_key(n))
        .collect();
    let mut angles: BTreeMap<usize, f64> = BTreeMap::new();
    for (at, number) in ends.iter().enumerate() {
        angles.insert(*number, turn(at, ends.len()));
    }
    for number in order.iter().rev() {
        let beyond = given.get(number).into_iter().flatten();
        let beyond: Vec<f64> = beyond.filter_map(|n| angles.get(n).copied()).collect();
        if !beyond.is_empty() {
            angles.insert(*number, beyond.iter().sum::<f64>() / real(beyond.len()));
        }
        let angle = angles.get(number).copied().unwrap_or_default();
        let hops = hops.get(number).copied().unwrap_or_default();
        places.insert(*number, point(angle, radius(hops, most)));
    }
    for (at, number) in without.iter().enumerate() {
        places.insert(*number, point(turn(at, without.len()), BAND));
    }
    places
}

/// From the top, like a clock.
fn turn(at: usize, of: usize) -> f64 {
    (real(at) + 0.5) / real(of.max(1)) * TAU - TAU / 4.0
}

fn point(angle: f64, radius: f64) -> (f64, f64) {
    (
        rounded(radius.mul_add(angle.cos(), MIDDLE)),
        rounded(radius.mul_add(angle.sin(), MIDDLE)),
    )
}

/// Sends from the origin.
fn rings(report: &Report, message: usize) -> Group {
    let mut group = Group::new().set("fill", "none").set("stroke", "#e4e8ec");
    let most = most_hops(report, message);
    for hops in 1..=most {
        group = group.add(
            Circle::new()
                .set("cx", MIDDLE)
                .set("cy", MIDDLE)
                .set("r", rounded(radius(hops, most))),
        );
    }
    group
}

/// Who gave it to whom.
fn lines(report: &Report, message: usize, places: &BTreeMap<usize, (f64, f64)>) -> Group {
    let mut group = Group::new().set("stroke-width", 2);
    for member in &report.members {
        let Some(got) = got(member, message).filter(|got| got.from != member.number) else {
            continue;
        };
        let (Some((x1, y1)), Some((x2, y2))) = (places.get(&got.from), places.get(&member.number))
        else {
            continue;
        };
        let line = Line::new()
            .set("x1", *x1)
            .set("y1", *y1)
            .set("x2", *x2)
            .set("y2", *y2)
            .set("stroke", look(got.way).1);
        group = group.add(line);
    }
    group
}

fn look(way: Way) -> (&'static str, &'static str) {
    let found = WAYS.iter().find(|(of, _, _)| *of == way);
    found.map_or(("its own", LIVES), |(_, words, colour)| (words, colour))
}

fn drawn(member: &Outcome, got: Option<Got>, (x, y): (f64, f64)) -> Group {
    let number = member.number;
    let came = match got {
        Some(got) if got.from == number => String::from("published it"),
        Some(got) => {
            let (way, _) = look(got.way);
            let (from, hops, took) = (got.from, got.hops, millis(got.after));
            format!("from member {from}, {way}, over {hops} sends, after {took}")
        }
        None => String::from("never had it"),
    };
    let fate = match member.fate {
        Fate::Lives => "",
        Fate::KilledBefore => " · killed before",
        Fate::KilledDuring(_) => " · killed meanwhile",
    };
    let colour = if member.fate == Fate::Lives {
        LIVES
    } else {
        DEAD
    };
    Group::new()
        .set("class", "member")
        .add(Title::new(format!("member {number} · {came}{fate}")))
        .add(
            Circle::new()
                .set("cx", x)
                .set("cy", y)
                .set("r", 13)
                .set("fill", colour)
                // Who lives and lacks it must be seen.
                .set(
                    "stroke",
                    if member.fate == Fate::Lives && got.is_none() {
                        "#c0392b"
                    } else {
                        "white"
                    },
                )
                .set("stroke-width", 3),
        )
        .add(
            Text::new(number.to_string())
                .set("x", x)
                .set("y", rounded(y + 4.0))
                .set("text-anchor", "middle")
                .set("fill", "white"),
        )
}

fn legend(report: &Report, message: usize) -> Group {
    let mut group = Group::new().set("fill", "#222222").add(
        Text::new(format!(
            "The way of message {message} through {} members",
            report.members.len()
        ))
        .set("x", 24)
        .set("y", 36)
        .set("font-size", 18),
    );
    let mut y = 64.0;
    for (way, words, colour) in WAYS {
        let came = report.members.iter().filter_map(|m| got(m, message));
        let count = came.filter(|got| got.way == way).count();
        let line = Line::new()
            .set("x1", 26)
            .set("y1", y - 4.0)
            .set("x2", 44)
            .set("y2", y - 4.0)
            .set("stroke", colour)
            .set("stroke-width", 2);
        group = group
            .add(line)
            .add(words_at(format!("{words}: {count}"), 52.0, y));
        y += 22.0;
    }
    let dead = report.members.len() - report.live();
    for (colour, words) in [
        (LIVES, format!("lives: {}", report.live())),
        (DEAD, format!("killed: {dead}")),
    ] {
        let circle = Circle::new()
            .set("cx", 35)
            .set("cy", y - 4.0)
            .set("r", 7)
            .set("fill", colour);
        group = group.add(circle).add(words_at(words, 52.0, y));
        y += 22.0;
    }
    group.add(words_at(
        "rings: sends from the origin; outermost: never had it".into(),
        26.0,
        y,
    ))
}

fn words_at(words: String, x: f64, y: f64) -> Text {
    Text::new(words).set("x", x).set("y", y)
}

/// As people read it.
fn millis(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1_000.0)
}

/// A tenth of a unit is finer than anything that is seen.
fn rounded(x: f64) -> f64 {
    (x * 10.0).round() / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "a drawing is not that precise")]
const fn real(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::{super::Counts, *};
    use crate::driver::Driver;

    fn member(number: usize, fate: Fate, from: Option<(usize, u8, Way)>) -> Outcome {
        let got = from.map(|(from, hops, way)| Got {
            after: Duration::from_millis(3),
            hops,
            from,
            way,
        });
        Outcome {
            number,
            driver: Driver::Tokio,
            fate,
            links: 2,
            got: vec![got],
            counts: Counts::default(),
        }
    }

    fn report() -> Report {
        Report {
            linked: Some(Duration::from_secs(1)),
            members: vec![
                member(0, Fate::Lives, Some((0, 0, Way::Own))),
                member(1, Fate::Lives, Some((0, 1, Way::Tree))),
                member(2, Fate::KilledDuring(0), Some((0, 1, Way::Tree))),
                member(3, Fate::Lives, Some((2, 2, Way::Chain))),
                member(4, Fate::KilledBefore, None),
            ],
            took: Some(Duration::from_secs(1)),
            messages: 1,
            quiet: 3,
        }
    }

    /// Attributes of all elements of this name, by a reader of SVG.
    fn elements(text: &str, name: &str) -> Vec<String> {
        use svg::{node::element::tag::Type, parser::Event};
        let mut found = Vec::new();
        for event in svg::read(text).unwrap() {
            match event {
                Event::Tag(tag, Type::Start | Type::Empty, has) if tag == name => {
                    found.push(format!("{has:?}"));
                }
                Event::Error(error) => panic!("{error}"),
                _ => {}
            }
        }
        found
    }

    #[test]
    fn every_member_and_every_gift_is_drawn_in_its_colour() {
        let report = report();
        let text = to_svg(&report, 0);
        assert_eq!(elements(&text, "title").len(), 5);
        let lines = elements(&text, "line");
        // Three gifts and four ways in the legend.
        assert_eq!(lines.len(), 3 + WAYS.len());
        let of = |colour| lines.iter().filter(|line| line.contains(colour)).count();
        assert_eq!((of(WAYS[0].2), of(WAYS[1].2), of(WAYS[3].2)), (3, 2, 1));
        let circles = elements(&text, "circle");
        let dead = circles
            .iter()
            .filter(|circle| circle.contains(DEAD))
            .count();
        assert_eq!(dead, 2 + 1, "and one in the legend");
        assert!(text.contains("lives: 3") && text.contains("killed: 2"));
    }

    #[test]
    fn who_was_given_it_stands_farther_out_and_no_two_stand_in_one_place() {
        let places = places(&report(), 0);
        let out = |n: usize| (places[&n].0 - MIDDLE).hypot(places[&n].1 - MIDDLE);
        assert_eq!(places.len(), 5);
        assert!(out(0) < out(1) && out(1) < out(3) && out(3) < out(4));
        let distinct: std::collections::BTreeSet<String> =
            places.values().map(|place| format!("{place:?}")).collect();
        assert_eq!(distinct.len(), 5);
    }
}
