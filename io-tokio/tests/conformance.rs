//! The driver passes the cases of every driver, on one worker thread and on several.

mod support;

use samanea_std::conformance::{CASES, run};
use support::Tokio;

macro_rules! cases {
    ($($test:ident: $name:literal;)*) => {
        $(#[test]
        fn $test() {
            for workers in [1, 2] {
                run($name, &Tokio { workers });
            }
        })*

        #[test]
        fn no_case_is_left_out() {
            let here: &[&str] = &[$($name),*];
            let all: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
            assert_eq!(here, all);
        }
    };
}

cases! {
    ten_megabytes_come_back_byte_by_byte: "ten megabytes come back byte by byte";
    many_connections_at_once_come_back_byte_by_byte: "many connections at once come back byte by byte";
    a_window_of_one_byte_never_starves: "a window of one byte never starves";
    thousands_of_pieces_in_one_write_arrive_in_order: "thousands of pieces in one write arrive in order";
    bytes_that_many_threads_ask_for_arrive_in_order: "bytes that many threads ask for arrive in order";
    a_refused_dial_is_a_failed_connection: "a refused dial is a failed connection";
    a_dial_leaves_from_the_address_to_bind: "a dial leaves from the address to bind";
    a_dial_beside_its_own_connection_is_an_address_in_use: "a dial beside its own connection is an address in use";
    dials_that_cross_connect_both_nodes: "dials that cross connect both nodes";
    a_dial_that_is_given_up_tells_nothing: "a dial that is given up tells nothing";
    a_reset_by_the_peer_is_told: "a reset by the peer is told";
    an_end_by_the_peer_is_told_after_its_last_bytes: "an end by the peer is told after its last bytes";
    an_end_by_the_peer_is_answered_by_a_reset: "an end by the peer is answered by a reset";
    an_end_by_the_peer_leaves_what_was_asked_for_to_be_written: "an end by the peer leaves what was asked for to be written";
    a_reset_by_the_node_reaches_the_peer: "a reset by the node reaches the peer";
    an_orderly_close_writes_what_is_queued_first: "an orderly close writes what is queued first";
    an_orderly_close_waits_no_longer_than_its_time: "an orderly close waits no longer than its time";
    connections_are_accepted_one_for_each_request: "connections are accepted one for each request";
    what_is_not_adopted_is_reset: "what is not adopted is reset";
    a_slow_reader_holds_no_more_than_the_window: "a slow reader holds no more than the window";
    pausing_reads_pushes_back_on_the_peer: "pausing reads pushes back on the peer";
    a_tick_comes_when_the_deadline_has_come: "a tick comes when the deadline has come";
    a_deadline_that_moves_earlier_wakes_the_clock: "a deadline that moves earlier wakes the clock";
    questions_are_answered_at_once_or_later: "questions are answered at once or later";
    notices_arrive_in_order: "notices arrive in order";
    the_tap_sees_events_and_actions_in_one_order: "the tap sees events and actions in one order";
    each_name_that_is_asked_for_is_answered_once: "each name that is asked for is answered once";
    a_shutdown_sees_an_orderly_close_through_that_has_just_begun: "a shutdown sees an orderly close through that has just begun";
    shutdown_leaves_nothing_behind: "shutdown leaves nothing behind";
    a_killed_node_says_nothing_and_leaves_nothing: "a killed node says nothing and leaves nothing";
    shutdown_ends_a_node_that_does_not_stop_by_itself: "shutdown ends a node that does not stop by itself";
}
