//! `samanea devnet --rain`.

use std::{fs, time::Duration};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use samanea_core::rain::Way;

use super::{Failure, args, runtime, say, signals::Signals};
use crate::devnet::rain::{self, Fate, Got, Plan, Report, to_svg};

/// The longest that such a devnet may take, in seconds.
const LONGEST: u32 = 60;

pub(super) fn main(args: &args::Devnet) -> Result<(), Failure> {
    let wanted = &args.rain;
    let members = usize::from(wanted.members);
    let kill = wanted.kill.map_or(members * 3 / 10, usize::from);
    if kill >= members {
        return Err(Failure::input(format!(
            "--kill {kill}: of {members} members {} can be killed, as one broadcasts",
            members - 1
        )));
    }
    let timeout = args.timeout.min(LONGEST);
    let plan = Plan {
        drivers: (0..members).map(|member| args.driver.of(member)).collect(),
        kill,
        messages: wanted.messages.into(),
        payload: usize::try_from(wanted.payload).unwrap_or(usize::MAX),
        seed: args.seed,
        timeout: Duration::from_secs(timeout.into()),
    };
    let report = runtime()?.block_on(async {
        let mut stop = Signals::new()?;
        tokio::select! {
            report = rain::run(&plan) => report.map_err(Failure::run),
            word = stop.end() => Err(Failure::run(word)),
        }
    })?;
    tell(&plan, &report);
    if let Some(file) = &wanted.svg {
        fs::write(file, to_svg(&report, 0))
            .map_err(|error| Failure::input(format!("--rain-svg {}: {error}", file.display())))?;
        say(format_args!("drawn in {}", file.display()));
    }
    judge(&report, timeout)
}

fn tell(plan: &Plan, report: &Report) {
    say(members(report));
    say(messages(report));
    let counts = report.counts();
    let copies = |members: usize| members.saturating_sub(1) * report.messages;
    say(format_args!(
        "{} payloads of {} bytes sent; n - 1 is {} for the {} members that live and {} for all {}",
        counts.payloads,
        plan.payload,
        copies(report.live()),
        report.live(),
        copies(report.members.len()),
        report.members.len(),
    ));
    say(format_args!(
        "{} frames without payload, {} payloads that came for nothing; {} of {} had ended their \
         part when these were counted",
        counts.controls,
        counts.duplicates,
        report.quiet,
        report.live()
    ));
}

fn judge(report: &Report, timeout: u32) -> Result<(), Failure> {
    let Some(linked) = report.linked else {
        let links = report.members.iter().map(|member| member.links);
        return Err(Failure::run(format!(
            "not all members were linked within {timeout} s; the least linked of them has {} links",
            links.min().unwrap_or_default()
        )));
    };
    let missing = report.missing();
    if let (Some(took), []) = (report.took, missing.as_slice()) {
        let all = if report.messages == 1 {
            String::from("the message")
        } else {
            format!("all {} messages", report.messages)
        };
        say(format_args!(
            "all {} live members got {all} within {}; linked after {:.1} s",
            report.live(),
            millis(took),
            linked.as_secs_f64()
        ));
        return Ok(());
    }
    let who: Vec<String> = missing
        .iter()
        .map(|(member, lacks)| {
            let lacks: Vec<String> = lacks.iter().map(ToString::to_string).collect();
            format!("member {member} lacks {}", lacks.join(", "))
        })
        .collect();
    Err(Failure::run(format!(
        "{} of {} live members did not get everything within {timeout} s: {}",
        missing.len(),
        report.live(),
        who.join("; ")
    )))
}

/// Each member, and how it got the first message.
fn members(report: &Report) -> Table {
    let mut table = table([
        "member",
        "driver",
        "links",
        "got",
        "after",
        "hops",
        "from",
        "way",
        "payloads",
        "control",
        "duplicates",
        "",
    ]);
    for member in &report.members {
        let first = member.got.first().copied().flatten();
        let has = member.got.iter().flatten().count();
        let shown = |show: fn(Got) -> String| first.map_or_else(String::new, show);
        table.add_row([
            member.number.to_string(),
            member.driver.to_string(),
            member.links.to_string(),
            format!("{has}/{}", report.messages),
            shown(|got| millis(got.after)),
            shown(|got| got.hops.to_string()),
            shown(|got| got.from.to_string()),
            shown(|got| way(got.way).into()),
            member.counts.payloads.to_string(),
            member.counts.controls.to_string(),
            member.counts.duplicates.to_string(),
            match member.fate {
                Fate::Lives => String::new(),
                Fate::KilledBefore => String::from("killed before"),
                Fate::KilledDuring(message) => format!("killed during message {message}"),
            },
        ]);
    }
    for at in [0, 2, 3, 4, 5, 6, 8, 9, 10] {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Each message, and how it went through the members that live.
fn messages(report: &Report) -> Table {
    let mut table = table([
        "message",
        "live",
        "last after",
        "hops",
        "tree",
        "chain",
        "further copy",
        "pulled",
    ]);
    for message in 0..report.messages {
        let live = report.members.iter().filter(|m| m.fate == Fate::Lives);
        let came: Vec<Got> = live
            .filter_map(|member| member.got.get(message).copied().flatten())
            .collect();
        let by = |way| came.iter().filter(|got| got.way == way).count().to_string();
        let last = came.iter().map(|got| got.after).max();
        let hops = came.iter().map(|got| got.hops).max();
        table.add_row([
            message.to_string(),
            format!("{}/{}", came.len(), report.live()),
            last.map_or_else(String::new, millis),
            hops.map_or_else(String::new, |hops| hops.to_string()),
            by(Way::Tree),
            by(Way::Chain),
            by(Way::Redundant),
            by(Way::Pulled),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

const fn way(way: Way) -> &'static str {
    match way {
        Way::Own => "own",
        Way::Tree => "tree",
        Way::Chain => "chain",
        Way::Redundant => "further copy",
        Way::Pulled => "pulled",
        Way::Vouched => "vouched for",
    }
}

fn millis(span: Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1_000.0)
}
