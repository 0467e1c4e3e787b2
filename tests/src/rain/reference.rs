//! What a simulation made before ours took, to hold ours against: the exact tree with adoption and
//! clean-up chains of one custodian, the same delays and the same dead, in 200 runs of 27 and 243
//! members, 40 of a thousand and 8 of ten thousand.
//!
//! Its figures are rounded; where ours is compared with one, the upper end of what rounds to it is
//! taken. It knows no budget: either every silent child is adopted, or none, and its arc is handed
//! to the next slot.

/// What spreading one message took, in the mean, at one size and share of dead members; everybody
/// alive was reached in every run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Payloads sent.
    pub payloads: f64,
    /// Frames without payload.
    pub controls: f64,
    /// Copies for nothing per live member, in tenths.
    pub duplicates: f64,
    /// Sends that a copy came over: the most, and the median.
    pub hops: (f64, f64),
}

/// Units until the last was reached, and payloads sent by the busiest member.
pub type Time = (f64, f64);

/// Shares of dead members of the cells, in percent.
pub const DEAD: [u32; 6] = [0, 5, 10, 20, 30, 50];

/// How much a figure may be worse before that is said.
pub const TOLERANCE: f64 = 1.05;

const fn cell(payloads: f64, controls: f64, duplicates: f64, most: f64, median: f64) -> Cell {
    Cell {
        payloads,
        controls,
        duplicates,
        hops: (most, median),
    }
}

/// Every silent child adopted; by [`DEAD`].
pub fn adopted(members: u32) -> Option<[Cell; 6]> {
    Some(match members {
        27 => [
            cell(26.0, 88.0, 0.0, 3.0, 2.0),
            cell(27.0, 88.0, 0.0, 4.0, 2.0),
            cell(28.0, 86.0, 0.1, 4.0, 2.0),
            cell(28.0, 83.0, 0.1, 4.0, 2.0),
            cell(28.0, 78.0, 0.1, 4.0, 2.0),
            cell(28.0, 71.0, 0.1, 4.0, 2.0),
        ],
        243 => [
            cell(256.0, 855.0, 0.1, 5.0, 3.0),
            cell(267.0, 844.0, 0.1, 6.0, 3.0),
            cell(272.0, 829.0, 0.1, 7.0, 3.0),
            cell(279.0, 792.0, 0.2, 6.0, 3.0),
            cell(279.0, 753.0, 0.2, 6.0, 3.0),
            cell(268.0, 668.0, 0.2, 7.0, 2.0),
        ],
        1_000 => [
            cell(1_077.0, 3_541.0, 0.1, 7.0, 4.0),
            cell(1_124.0, 3_489.0, 0.1, 7.0, 4.0),
            cell(1_149.0, 3_424.0, 0.2, 8.0, 4.0),
            cell(1_179.0, 3_266.0, 0.2, 8.0, 4.0),
            cell(1_169.0, 3_103.0, 0.2, 8.0, 3.0),
            cell(1_118.0, 2_764.0, 0.2, 7.0, 3.0),
        ],
        10_000 => [
            cell(11_000.0, 35_600.0, 0.1, 9.0, 6.0),
            cell(12_000.0, 35_100.0, 0.2, 10.0, 5.0),
            cell(12_000.0, 34_300.0, 0.2, 10.0, 5.0),
            cell(12_100.0, 32_800.0, 0.3, 10.0, 5.0),
            cell(12_100.0, 31_100.0, 0.3, 10.0, 4.0),
            cell(11_400.0, 27_700.0, 0.3, 10.0, 4.0),
        ],
        _ => return None,
    })
}

/// How long it took with every silent child adopted; by [`DEAD`], where it is known.
pub fn adopted_time(members: u32, percent: u32) -> Option<Time> {
    Some(match (members, percent) {
        (1_000, 0) => (8.0, 13.0),
        (1_000, 10) => (12.0, 27.0),
        (1_000, 30) => (16.0, 72.0),
        (1_000, 50) => (18.0, 163.0),
        (10_000, 0) => (10.0, 17.0),
        (10_000, 10) => (16.0, 53.0),
        (10_000, 30) => (21.0, 238.0),
        (10_000, 50) => (26.0, 750.0),
        _ => return None,
    })
}

/// The same with none adopted.
pub fn handed_on_time(members: u32, percent: u32) -> Option<Time> {
    Some(match (members, percent) {
        (1_000, 0) => (8.0, 13.0),
        (1_000, 10) => (14.0, 14.0),
        (1_000, 30) => (20.0, 18.0),
        (1_000, 50) => (31.0, 26.0),
        (10_000, 0) => (10.0, 17.0),
        (10_000, 10) => (18.0, 19.0),
        (10_000, 30) => (30.0, 24.0),
        (10_000, 50) => (46.0, 34.0),
        _ => return None,
    })
}

/// Honest members reached, in percent, when so many lie; for 1, 2, 3, 4 and 6 custodians.
pub fn liars(members: u32, percent: u32) -> Option<[f64; 5]> {
    Some(match (members, percent) {
        (1_000, 20) => [93.8, 99.7, 100.0, 100.0, 100.0],
        (1_000, 33) => [74.7, 93.7, 99.1, 99.9, 100.0],
        _ => return None,
    })
}

/// Members reached, in percent, when each does not know of so many others; for 1 and 2 custodians.
/// There nobody asks whether an origin is a member.
pub fn views(members: u32, percent: u32) -> Option<[f64; 2]> {
    Some(match (members, percent) {
        (243, 1) => [100.0, 100.0],
        (1_000, 1) => [99.99, 100.0],
        (1_000, 5) => [99.94, 100.0],
        (1_000, 20) => [98.9, 99.96],
        _ => return None,
    })
}
