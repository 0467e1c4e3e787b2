//! Thousands of idle inbound connections under the driver on threads: the only test here, as memory is the
//! process's.
#![cfg(target_os = "linux")]

#[path = "support/idle.rs"]
mod idle;
#[path = "support/live.rs"]
mod live;

#[test]
fn five_thousand_idle_connections_are_held_cheaply_and_leave_nothing() {
    idle::hold(live::Driver::Std, 16 << 10);
}
