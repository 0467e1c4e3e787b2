//! `samanea devnet`.

use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;

use super::{Failure, args, rain, read_chain, runtime, say, signals::Signals};
use crate::{
    Block,
    app::Progress,
    devnet::{self, Plan, Report},
    generate::Recipe,
};

pub(super) fn main(args: &args::Devnet) -> Result<(), Failure> {
    if args.rain.on {
        return rain::main(args);
    }
    let chain = if let Some(dir) = &args.chain {
        read_chain(dir)?
    } else {
        let recipe = Recipe {
            seed: args.seed,
            blocks: args.blocks,
            ..Recipe::default()
        };
        recipe.chain().collect()
    };
    let nodes = usize::from(args.nodes);
    if args.topology == args::Shape::Line {
        return line(args, &chain);
    }
    if args.tape.is_some() && args.tape_node >= nodes {
        return Err(Failure::input(format!(
            "--tape-node {}: there are only the nodes 0 to {}",
            args.tape_node,
            nodes - 1
        )));
    }
    let plan = Plan {
        drivers: (0..nodes).map(|node| args.driver.of(node)).collect(),
        seed: args.seed,
        tape: args.tape.clone().map(|file| (file, args.tape_node)),
        timeout: Duration::from_secs(args.timeout.into()),
    };
    let blocks = u64::try_from(chain.len()).unwrap_or(u64::MAX);
    let bars = MultiProgress::new();
    let report = runtime()?.block_on(async {
        let mut stop = Signals::new()?;
        let look = |watches| show(&bars, blocks, watches);
        tokio::select! {
            report = devnet::run(&plan, &chain, look) => report.map_err(failed),
            word = stop.end() => Err(Failure::run(word)),
        }
    })?;
    // The bars have done their work; what stays is the table.
    let _ = bars.clear();
    tell(&report, args)
}

/// Nodes that find each other.
fn line(args: &args::Devnet, chain: &[Block]) -> Result<(), Failure> {
    let nodes = usize::from(args.nodes);
    if nodes < LINE_MIN {
        return Err(Failure::input(format!(
            "--nodes {nodes}: a line has {LINE_MIN} nodes at least"
        )));
    }
    if args.tape.is_some() {
        return Err(Failure::input("--tape: not in a line"));
    }
    let plan = devnet::line::Plan {
        drivers: (0..nodes).map(|node| args.driver.of(node)).collect(),
        roots: args.roots.into(),
        seed: args.seed,
        scale: args.scale,
        timeout: Duration::from_secs(args.timeout.into()),
    };
    let report = runtime()?.block_on(async {
        let mut stop = Signals::new()?;
        tokio::select! {
            report = devnet::line::run(&plan, chain) => report.map_err(failed),
            word = stop.end() => Err(Failure::run(word)),
        }
    })?;
    let targets = report.targets;
    say(members(&report));
    say("metrics of node 0, as scraped, without those that are 0:");
    let told = |(name, value): &&(String, String)| name.contains("_int") && value != "0";
    for (name, value) in report.metrics.iter().filter(told) {
        say(format_args!("  {name} {value}"));
    }
    say(format_args!(
        "targets: {} known, {} established, {} active; times of peer selection divided by {}",
        targets.known, targets.established, targets.active, args.scale
    ));
    for (phase, took) in &report.phases {
        match took {
            Some(took) => say(format_args!("{phase}: {:.1} s", took.as_secs_f64())),
            None => say(format_args!("{phase}: not within {} s", args.timeout)),
        }
    }
    match report.missed() {
        None => Ok(()),
        Some(phase) => Err(Failure::run(format!(
            "{phase}: not within {} s",
            args.timeout
        ))),
    }
}

/// A smaller line has too few nodes to lose some and to find others.
const LINE_MIN: usize = 10;

fn members(report: &devnet::line::Report) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header([
            "node",
            "driver",
            "knew",
            "known",
            "established",
            "active",
            "targets after",
            "churn cycles",
            "tip",
            "",
        ]);
    for node in &report.nodes {
        let knew: Vec<String> = node.knows.iter().map(ToString::to_string).collect();
        let count = &node.counters.ordinary;
        table.add_row([
            node.number.to_string(),
            node.driver.to_string(),
            knew.join(", "),
            count.known.to_string(),
            count.established.to_string(),
            count.active.to_string(),
            node.reached.map_or_else(
                || String::from("never"),
                |took| format!("{:.1} s", took.as_secs_f64()),
            ),
            node.cycles.to_string(),
            node.tip.len().to_string(),
            String::from(if node.killed { "killed" } else { "" }),
        ]);
    }
    table
}

fn failed(error: devnet::Error) -> Failure {
    match error {
        devnet::Error::Tape(error) => Failure::input(format!("--tape: {error}")),
        other => Failure::run(other),
    }
}

/// A bar for each node; drawn on a terminal only.
fn show(bars: &MultiProgress, blocks: u64, watches: Vec<watch::Receiver<Progress>>) {
    let style = ProgressStyle::with_template("{prefix:>9} {bar:40} {pos:>6}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    for (node, mut watch) in watches.into_iter().enumerate() {
        let bar = bars.add(ProgressBar::new(blocks).with_style(style.clone()));
        bar.set_prefix(format!("node {node}"));
        tokio::spawn(async move {
            while watch.changed().await.is_ok() {
                let (tip, fetched, bytes) = {
                    let progress = watch.borrow_and_update();
                    (progress.tip, progress.fetched, progress.bytes)
                };
                bar.set_position(if fetched == 0 { tip.len() } else { fetched });
                bar.set_message(HumanBytes(bytes).to_string());
            }
        });
    }
}

fn tell(report: &Report, args: &args::Devnet) -> Result<(), Failure> {
    say(table(report));
    if let (Some(file), Some(tape)) = (&args.tape, report.tape) {
        say(format_args!(
            "tape of node {}: {} events, digest {}, in {}",
            args.tape_node,
            tape.events,
            tape.digest,
            file.display()
        ));
    }
    let behind = report.behind();
    let Some(first) = behind.first() else {
        say(format_args!(
            "all {} nodes have {} blocks, tip {} at slot {}",
            report.nodes.len(),
            report.blocks,
            report.tip.point.hash().unwrap_or_default(),
            report.tip.point.slot().unwrap_or_default()
        ));
        return Ok(());
    };
    let state = report.nodes.get(*first);
    Err(Failure::run(format!(
        "{} of {} nodes do not have the chain after {} s; node {first}: {}",
        behind.len(),
        report.nodes.len(),
        args.timeout,
        state.map(ToString::to_string).unwrap_or_default()
    )))
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header([
            "node", "driver", "knows", "peers", "hops", "tip slot", "tip hash", "blocks", "bytes",
            "time",
        ]);
    for (number, node) in report.nodes.iter().enumerate() {
        let knows: Vec<String> = node.dials.iter().map(ToString::to_string).collect();
        table.add_row([
            number.to_string(),
            node.driver.to_string(),
            knows.join(", "),
            node.peers.to_string(),
            node.hops.map_or_else(String::new, |hops| hops.to_string()),
            node.tip
                .point
                .slot()
                .map_or_else(String::new, |slot| slot.to_string()),
            node.tip
                .point
                .hash()
                .map_or_else(String::new, |hash| hash.to_string()),
            node.blocks.to_string(),
            node.bytes.to_string(),
            node.took.map_or_else(
                || String::from("never"),
                |took| format!("{:.3} s", took.as_secs_f64()),
            ),
        ]);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        if ![1, 2, 6].contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
