//! `samanea ping`.

use std::{net::ToSocketAddrs, time::Duration};

use samanea_core::base::Point;

use super::{Failure, args, say};
use crate::ping::{Conversation, Error, Greeting};

pub(super) fn main(args: &args::Ping) -> Result<(), Failure> {
    let args::Remote(remote) = &args.remote;
    let failed = |error: Error| Failure::run(format!("{remote}: {error}"));
    let addr = remote
        .to_socket_addrs()
        .map_err(|error| Failure::input(format!("{remote}: {error}")))?
        .next()
        .ok_or_else(|| Failure::input(format!("{remote}: no address")))?;
    let timeout = Duration::from_secs(args.timeout.into());
    let mut peer =
        Conversation::connect(addr, timeout).map_err(|error| failed(Error::Io(error)))?;
    let greeting = peer.greet(args.magic, args.query).map_err(failed)?;
    say(&greeting);
    if matches!(greeting, Greeting::Versions(_)) {
        return Ok(());
    }
    let mut took = Vec::new();
    for (number, cookie) in (1..=args.count).zip((0..=u16::MAX).cycle()) {
        let time = peer.probe(cookie).map_err(failed)?;
        say(format_args!("round trip {number}: {}", ms(time)));
        took.push(time);
    }
    let tip = peer.tip().map_err(failed)?;
    match tip.point {
        Point::Origin => say("tip: origin, no block yet"),
        Point::Block { slot, hash } => {
            say(format_args!(
                "tip: block {} at slot {slot}, {hash}",
                tip.block_no
            ));
        }
    }
    if let (Some(min), Some(max)) = (took.iter().min(), took.iter().max()) {
        let sum: Duration = took.iter().sum();
        let mean = sum / args.count;
        say(format_args!(
            "min {}, mean {}, max {}",
            ms(*min),
            ms(mean),
            ms(*max)
        ));
    }
    // All was told; how the other end takes the goodbye changes nothing.
    let _ = peer.close();
    Ok(())
}

fn ms(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1_000.0)
}
