//! The ptrace platform on its own. Not under the usual harness, since a birth wants a process with one thread.

mod platforms;

use moat_platform::ptrace;
use moat_platform::stub::Interception;
use moat_platform::{AddressSpace, Exit, Tenure, tend_thread};
use platforms::{CODE, GETPID_LOOP, context, load, run};

fn a_retired_thread_is_used_again_by_its_thread_alone(space: &dyn AddressSpace) {
    load(space, GETPID_LOOP);
    let mut first = context(space);
    assert!(matches!(run(&mut *first), Exit::Syscall { number: 39, .. }));
    let number = first.tid_hint();
    first.retire();
    assert_eq!(tend_thread(false), Tenure::Bound);
    let again = context(space);
    assert_eq!(again.home(), Some(std::thread::current().id()));
    assert_eq!(again.tid_hint(), None);
    // One that was not used after all is kept on.
    drop(again);
    let mut again = context(space);
    assert!(matches!(run(&mut *again), Exit::Syscall { number: 39, .. }));
    assert_eq!(again.registers().rip, CODE + 7);
    again.retire();
    // When its time is up the next one is a new one.
    assert_ne!(tend_thread(true), Tenure::Bound);
    let fresh = context(space);
    assert_eq!(fresh.home(), None);
    assert_ne!(fresh.tid_hint(), number);
}

fn main() {
    platforms::test(
        "ptrace",
        Interception::Ptrace,
        |lead| ptrace::start(lead).unwrap(),
        &[("a_retired_thread_is_used_again_by_its_thread_alone", a_retired_thread_is_used_again_by_its_thread_alone)],
    );
}
