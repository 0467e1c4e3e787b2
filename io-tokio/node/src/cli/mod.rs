//! The command line.
//!
//! Exit codes: 0 when all went well, 1 when a run came to a bad end (a tip that differs, a tape
//! that leads elsewhere), 2 when the input is bad: then one line on standard error names the
//! option or the file.

mod args;
mod devnet;
mod gossip_key;
mod groups;
mod judging;
mod office;
mod ping;
mod plan;
mod rain;
mod reload;
mod replay;
mod run;
mod signals;

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use clap::{Parser, error::ErrorKind};
use tracing::Level;

use crate::{Block, immutable};
use args::{Cli, Command};

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misread(&error),
    };
    log(&cli);
    let done = match &cli.command {
        Command::Devnet(args) => devnet::main(args),
        Command::Run(args) => run::main(args),
        Command::Ping(args) => ping::main(args),
        Command::Replay(args) => replay::main(args),
        Command::Peers(args) => office::peers(args),
        Command::Explain(args) => office::explain(args),
        Command::Groups(args) => groups::show(args),
        Command::Publish(args) => groups::publish(args),
        Command::GossipKey(args) => gossip_key::main(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::from(failure.code)
        }
    }
}

/// Why the program ends without success: one line, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    code: u8,
    line: String,
}

impl Failure {
    /// The input is bad; the line names the option or the file.
    fn input(line: impl fmt::Display) -> Self {
        Self {
            code: 2,
            line: one_line(&line.to_string()),
        }
    }

    /// The run came to a bad end.
    fn run(line: impl fmt::Display) -> Self {
        Self {
            code: 1,
            line: one_line(&line.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Help and version as they are; of an error the first paragraph, in one line.
fn misread(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // Nobody is left to tell when this fails.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    complain(&text.split("\n\n").next().unwrap_or(text));
    ExitCode::from(2)
}

fn complain(line: &impl fmt::Display) {
    let line = one_line(&line.to_string());
    // Nobody is left to tell when this fails.
    let _ = writeln!(io::stderr().lock(), "samanea: {line}");
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// A line on standard output; a reader that went away ends nothing.
fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// A node that runs by itself tells what happens; the others only what goes wrong.
fn log(cli: &Cli) {
    let quiet = u8::from(matches!(cli.command, Command::Run(_)));
    let level = match quiet + cli.verbose {
        0 => Level::ERROR,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// Reads a directory of chunks as an option says it.
fn read_chain(dir: &Path) -> Result<Vec<Block>, Failure> {
    immutable::read(dir).map_err(|error| Failure::input(format!("--chain: {error}")))
}

/// The runtime of commands that need one.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::run(format!("no runtime: {error}")))
}
