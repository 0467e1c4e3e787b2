//! The drivers in a process without descriptors: the only test here, as the limit is the process's.
#![cfg(unix)]

mod support;

use samanea_std::conformance::without_descriptors;
use support::DRIVERS;

#[test]
fn without_descriptors_dials_and_accepts_fail_and_come_back() {
    for driver in DRIVERS {
        without_descriptors(driver);
    }
}
