//! `samanea replay`.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

use samanea_core::{
    node::Engine,
    tape::{self, Ending, Error, Report},
};

use super::{Failure, args, say};
use crate::rules::Eras;

pub(super) fn main(args: &args::Replay) -> Result<(), Failure> {
    let options = tape::Options {
        restore_after: args.restore_after,
        check_invariants: args.check,
    };
    let report = replay(&args.file, options)?;
    let file = args.file.display();
    say(format_args!(
        "{file}: {} events, {} actions, digest {}",
        report.events, report.actions, report.digest
    ));
    if args.restore_after.is_some() && !report.restored {
        return Err(Failure::input(format!(
            "--restore-after: {file} has only {} events",
            report.events
        )));
    }
    match report.ending {
        Ending::Complete => {
            say("equal: the node did the same again");
            Ok(())
        }
        Ending::Cut => {
            say("equal as far as it goes: the recorder ended early");
            Ok(())
        }
        Ending::Truncated { .. } => Err(Failure::input(format!(
            "{file}: truncated after event {}; equal until there",
            report.events
        ))),
    }
}

fn replay(path: &Path, options: tape::Options) -> Result<Report, Failure> {
    let file = path.display();
    let failed = |error| Failure::input(format!("{file}: {error}"));
    let mut input = File::open(path).map_err(failed)?;
    let mut replay: tape::Replay<'_, Engine> = tape::Replay::new(&Eras, options);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => buffer.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        replay.push(read).map_err(|error| refused(path, error))?;
    }
    replay.finish().map_err(|error| refused(path, error))
}

/// A tape that cannot be read is bad input; one that leads elsewhere is a bad end.
fn refused(path: &Path, error: Error) -> Failure {
    let line = format!("{}: {error}", path.display());
    match error {
        Error::Diverged { .. } | Error::Violated { .. } | Error::Unfaithful { .. } => {
            Failure::run(line)
        }
        _ => Failure::input(line),
    }
}

/// What is read at a time.
const CHUNK_BYTES: usize = 1 << 20;
