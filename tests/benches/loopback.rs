//! Whole transfers over loopback TCP, beside raw TCP and beside `pallas-network`.

#[path = "support/chain.rs"]
mod chain;
#[path = "support/host.rs"]
mod host;
#[path = "../tests/support/host.rs"]
mod hosted;
#[path = "support/ours.rs"]
mod ours;
#[path = "support/pipe.rs"]
mod pipe;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/rival.rs"]
mod rival;
#[path = "support/slow.rs"]
mod slow;
#[path = "support/mod.rs"]
mod support;

use std::time::Duration;

use bytes::Bytes;
use hosted::DRIVERS;
use pipe::Load;
use support::{Job, for_real, rounds, wanted};

fn main() {
    let scale = if for_real() { 1 } else { 100 };
    blocks(2_000 / scale);
    headers(50_000 / scale, true);
    headers(20_000 / scale, false);
    small(500_000 / scale);
    delay(if for_real() { 20 } else { 1 });
}

fn blocks(count: usize) {
    let title = format!("block-fetch, {count} × 64 KiB");
    if !wanted(&title) {
        return;
    }
    let body = Bytes::from(vec![7; 64 << 10]);
    let total = count * body.len();
    let gigabytes = real(total) / 1e9;
    let mut job = Job::new(title, "GB/s")
        .anchor("raw std", || rate(gigabytes, raw::stream(total, 64 << 10)))
        .case("raw std, our socket options", || {
            rate(gigabytes, raw::tuned_stream(total, 64 << 10))
        })
        .anchor("pallas", || rate(gigabytes, rival::blocks(count, 64 << 10)));
    for (driver, name) in DRIVERS {
        let load = Load::Blocks {
            count,
            body: body.clone(),
        };
        let body = body.clone();
        job = job
            .case(format!("{name}, connections"), move || {
                rate(gigabytes, ours::pipe(driver, &load))
            })
            .case(format!("{name}, whole nodes"), move || {
                rate(gigabytes, ours::node(driver, count, 1_000, &body))
            });
    }
    job.report(rounds());
}

fn headers(count: usize, pipelined: bool) {
    let bytes = 1 << 10;
    let how = if pipelined {
        "pipelined"
    } else {
        "one at a time"
    };
    let title = format!("chain-sync, {count} × 1 KiB, {how}");
    if !wanted(&title) {
        return;
    }
    let each = real(count);
    let plain = || {
        if pipelined {
            raw::stream(count * (bytes + 60), 64 << 10)
        } else {
            raw::ping_pong(count, 10, bytes + 60)
        }
    };
    let ahead = if pipelined { 300 } else { 1 };
    let mut job = Job::new(title, "headers/s")
        .anchor("raw std", || rate(each, plain()))
        .anchor("pallas", || rate(each, rival::headers(count, bytes, ahead)));
    for (driver, name) in DRIVERS {
        let load = Load::Headers {
            count,
            bytes,
            pipelined,
        };
        job = job.case(format!("{name}, connections"), move || {
            rate(each, ours::pipe(driver, &load))
        });
        if pipelined {
            let body = Bytes::from_static(&[7; 16]);
            job = job.case(format!("{name}, whole nodes, bodies of 16 B"), move || {
                rate(each, ours::node(driver, count, bytes, &body))
            });
        }
    }
    job.report(rounds());
}

fn small(count: usize) {
    let title = format!("{count} messages of 100 B");
    if !wanted(&title) {
        return;
    }
    let each = real(count);
    let mut job = Job::new(title, "messages/s")
        .anchor("raw std, 64 KiB writes", || {
            rate(each, raw::stream(count * 100, 64 << 10))
        })
        .case("raw std, one write each", || {
            rate(each, raw::stream(count * 100, 100))
        })
        .anchor("pallas, raw chunks", || {
            rate(each, rival::chunks(count, 100))
        });
    for (driver, name) in DRIVERS {
        // [4, 24(bytes of 94)] has 100 bytes.
        let body = Bytes::from(vec![7; 94]);
        let load = Load::Blocks { count, body };
        job = job.case(format!("{name}, blocks over connections"), move || {
            rate(each, ours::pipe(driver, &load))
        });
    }
    job.report(rounds());
}

/// A keep-alive answer behind an endless stream of blocks into a reader of 20 MB/s.
fn delay(probes: usize) {
    let title = "keep-alive beside bulk into 20 MB/s";
    if !wanted(title) {
        return;
    }
    for (what, receive_bytes) in [("small receive buffer", 64 << 10), ("usual one", 0)] {
        let mut job = Job::new(format!("{title}, {what}"), "ms");
        for (driver, name) in DRIVERS {
            job = job.case(name, move || {
                let load = Load::Blocks {
                    count: usize::MAX,
                    body: Bytes::from(vec![7; 64 << 10]),
                };
                let server = ours::end(driver, &load, true);
                support::median(slow::probe(server.addr(), probes, receive_bytes))
            });
        }
        job.report(rounds().min(3));
    }
}

/// `amount` in `took`, per second.
fn rate(amount: f64, took: Duration) -> f64 {
    amount / took.as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "amounts are below 2^52")]
fn real(amount: usize) -> f64 {
    amount as f64
}
