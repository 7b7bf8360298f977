//! Podman with this runtime, as root and as an ordinary user: one test a promise. Skipped where there is no Podman.
#![allow(missing_docs)]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod engine;
mod promises;

/// Each promise is a test for each of those who run Podman.
macro_rules! promises {
    ($($name:ident)*) => {
        mod root {
            $(#[test] fn $name() { crate::engine::as_root(crate::promises::$name); })*
        }
        mod rootless {
            $(#[test] fn $name() { crate::engine::as_ordinary_user(crate::promises::$name); })*
        }
    };
}

promises! {
    run_passes_output_and_status_on
    run_takes_user_environment_directory_and_hostname
    volumes_are_shared_with_the_host
    exec_runs_in_the_container
    stop_asks_by_sigterm
    stop_kills_who_does_not_hear
    kill_sends_the_signal_that_is_named
    logs_ps_top_and_inspect_tell_of_it
    files_are_copied_in_and_out
    a_copy_is_seen_by_who_has_looked_before
    commit_makes_an_image_of_what_was_written
    pause_halts_it_and_unpause_lets_it_go_on
    a_terminal_is_one
    restart_runs_it_again
    top_tells_of_every_process
    top_tells_groups_process_groups_priorities_and_terminals
    the_hosts_network_is_reached_where_that_is_asked_for
}
