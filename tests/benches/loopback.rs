//! Whole transfers over loopback TCP, beside raw TCP and beside `pallas-network`.

#[path = "support/raw.rs"]
mod raw;
#[path = "support/rival.rs"]
mod rival;
#[path = "support/mod.rs"]
mod support;

use support::{Better, Job, for_real, rate, rounds, wanted};

fn main() {
    let scale = if for_real() { 1 } else { 100 };
    blocks(2_000 / scale);
    headers(50_000 / scale, 300);
    headers(5_000 / scale, 1);
    small(200_000 / scale);
}

fn blocks(count: usize) {
    let bytes = 64 << 10;
    let title = format!("block-fetch, {count} × 64 KiB");
    if wanted(&title) {
        let total = count * bytes;
        let gigabytes = total as f64 / 1e9;
        Job::new(title, "GB/s", Better::More)
            .anchor("raw std", || rate(gigabytes, raw::stream(total, 64 << 10)))
            .anchor("pallas", || rate(gigabytes, rival::blocks(count, bytes)))
            .report(rounds());
    }
}

fn headers(count: usize, ahead: usize) {
    let bytes = 1 << 10;
    let how = if ahead > 1 {
        "pipelined"
    } else {
        "one at a time"
    };
    let title = format!("chain-sync, {count} × 1 KiB, {how}");
    if wanted(&title) {
        let each = count as f64;
        let plain = || match ahead {
            1 => raw::ping_pong(count, 10, bytes + 60),
            _ => raw::stream(count * (bytes + 60), 64 << 10),
        };
        Job::new(title, "headers/s", Better::More)
            .anchor("raw std", || rate(each, plain()))
            .anchor("pallas", || rate(each, rival::headers(count, bytes, ahead)))
            .report(rounds());
    }
}

fn small(count: usize) {
    let title = format!("{count} messages of 100 B");
    if wanted(&title) {
        let each = count as f64;
        Job::new(title, "messages/s", Better::More)
            .anchor("raw std, 64 KiB writes", || {
                rate(each, raw::stream(count * 100, 64 << 10))
            })
            .case("raw std, one write each", || {
                rate(each, raw::stream(count * 100, 100))
            })
            .anchor("pallas, raw chunks", || {
                rate(each, rival::chunks(count, 100))
            })
            .report(rounds());
    }
}
