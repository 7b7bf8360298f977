//! The trap platform on its own. Not under the usual harness, since a birth wants a process with one thread.

mod platforms;

use moat_platform::stub::Interception;
use moat_platform::trap::Trap;
use moat_platform::{AddressSpace, Exit};
use platforms::{GETPID_LOOP, context, load, run};

fn an_ended_thread_is_used_again(space: &dyn AddressSpace) {
    load(space, GETPID_LOOP);
    let mut first = context(space);
    assert!(matches!(run(&mut *first), Exit::Syscall { number: 39, .. }));
    drop(first);
    let mut again = context(space);
    // The guest has to know it by another number.
    assert_eq!(again.tid_hint(), None);
    assert!(matches!(run(&mut *again), Exit::Syscall { number: 39, .. }));
}

fn more_threads_than_are_kept(space: &dyn AddressSpace) {
    load(space, GETPID_LOOP);
    for _ in 0..5 {
        let mut all: Vec<_> = (0..40).map(|_| context(space)).collect();
        for context in &mut all {
            assert!(matches!(run(&mut **context), Exit::Syscall { number: 39, .. }));
        }
    }
}

fn main() {
    platforms::test(
        "trap",
        Interception::Trap,
        |lead| Trap::new(lead).unwrap(),
        &[
            ("an_ended_thread_is_used_again", an_ended_thread_is_used_again),
            ("more_threads_than_are_kept", more_threads_than_are_kept),
        ],
    );
}
