//! A little of each row. No time is limited here, because other tests run beside.

use harness::this_machine::lacks_a_switch;
use harness::this_server;

use super::row::{Row, Scale};
use super::{bus, changes, clocks, deaths, hostile, hour, joins, loads, mixed, pings, splits};

fn good(run: impl Fn(Scale) -> Row) {
    if this_server::lacks_bus() || lacks_a_switch() {
        return;
    }
    judge(run(Scale::Short));
}

fn judge(row: Row) {
    println!("{}: {}", row.criterion, row.figures.join("; "));
    assert!(row.faults.is_empty(), "{}", row.faults.join("\n"));
}

/// A test for each row.
macro_rules! rows {
    ($($name:ident: $run:path;)*) => { $(
        #[test]
        fn $name() {
            good($run);
        }
    )* };
}

rows! {
    changes_arrive_on_all_nodes: changes::plain;
    changes_arrive_over_bad_lines: changes::lossy;
    idle_servers_send_little: changes::idle;
    changes_at_once_end_in_one_state: changes::at_once;
    the_later_act_wins_whatever_the_clocks: clocks::hours;
    a_clock_two_days_ahead_is_refused: clocks::days;
    a_burst_of_changes_arrives: changes::burst;
    a_killed_node_comes_back: deaths::killed;
    a_stopped_node_catches_up: deaths::stopped;
    a_restarted_node_keeps_its_states: deaths::restarted;
    five_nodes_agree: deaths::five;
    both_halves_work_and_agree_again: splits::split;
    a_one_way_cut_goes_round: splits::one_way;
    a_node_joins_with_all_states: joins::plain;
    a_node_joins_while_another_dies: joins::bereft;
    lists_may_differ: joins::reload;
    bad_messages_with_a_key_change_nothing: hostile::keyed;
    bad_messages_without_a_key_change_nothing: hostile::keyless;
    messages_that_the_script_drops: bus::dropped;
    stopped_workers_of_the_bus: bus::workers_stopped;
    a_locked_list_of_the_bus: bus::locked;
    the_c_module_is_left_alone: mixed::c_module;
    a_later_version_is_understood: mixed::later;
    a_killed_pinger_is_replaced: pings::killed;
    a_pinger_that_is_cut_off_is_not_believed: pings::cut_off;
    pings_go_on_over_a_one_way_cut: pings::one_way;
    one_node_pings_for_all: pings::many;
    each_part_of_a_split_fills_a_gateway: loads::split;
    the_bus_may_be_tls: mixed::tls;
    everything_at_random: hour::hour;
}

/// Calls that are counted together need no switch.
fn counted(run: fn(Scale) -> Row) {
    if !this_server::lacks_bus() {
        judge(run(Scale::Short));
    }
}

#[test]
fn maxload_holds_for_all_nodes() {
    counted(loads::maxload);
}

#[test]
fn calls_of_a_killed_node_end_in_time() {
    counted(loads::orphans);
}

#[test]
fn an_empty_gateway_is_not_flooded() {
    counted(loads::empty);
}

#[test]
fn changes_arrive_on_loopback() {
    if !this_server::lacks_bus() {
        judge(changes::loopback(Scale::Short));
    }
}
