//! The node binary; all of it is in the library, [`samanea::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    samanea::cli::main()
}
