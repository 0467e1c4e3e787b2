//! `samanea gossip-key`.

use std::path::Path;

use samanea_std::gossip::{Form, SecretKey};

use super::{Failure, args, say};

pub(super) fn main(args: &args::GossipKey) -> Result<(), Failure> {
    let key = if args.show {
        load(&args.file).map_err(Failure::input)?
    } else {
        let form = if args.hex { Form::Hex } else { Form::Pem };
        let key = SecretKey::generate().map_err(Failure::run)?;
        key.save(&args.file, form).map_err(Failure::input)?;
        key
    };
    say(key.member());
    Ok(())
}

/// Reads the key of a member; why not, with the name of the file.
pub(super) fn load(file: &Path) -> Result<SecretKey, String> {
    SecretKey::load(file).map_err(|error| error.to_string())
}
