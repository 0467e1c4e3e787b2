//! What every bench needs: the clock, how much to do, medians.

use std::time::Instant;

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The time; a bench has no other clock.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Whether cargo runs this as a bench; else it is a test of the benches themselves: one round of
/// the smallest size.
pub(crate) fn for_real() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// Whether a job of this title is wanted: all are, or those named by a filter on the command
/// line.
pub(crate) fn wanted(title: &str) -> bool {
    let mut filters = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .peekable();
    filters.peek().is_none() || filters.any(|filter| title.contains(&filter))
}

/// How many rounds to run: `SAMANEA_ROUNDS`, else 7. `SAMANEA_CASE` keeps the cases whose name has
/// this in it.
pub(crate) fn rounds() -> usize {
    let asked = std::env::var("SAMANEA_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    if for_real() { asked.unwrap_or(7) } else { 0 }
}
