//! The trap platform on its own. Not under the usual harness, since a birth wants a process with one thread.

mod platforms;

use std::time::{Duration, Instant};

use moat_platform::stub::Interception;
use moat_platform::trap::code::Entry;
use moat_platform::trap::{self, Lanes};
use moat_platform::{AddressSpace, Ahead, AheadTable, Context, Exit, Registers};
use platforms::{CODE, DATA, GETPID_LOOP, context, load, run, time_calls};

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

/// `1: mov $39,%eax; lea 2f(%rip),%r11; jmp *3f(%rip); syscall; 2: jmp 1b; 3: the entry for calls`: a patched site.
fn calls() -> Vec<u8> {
    let mut code =
        vec![0xb8, 39, 0, 0, 0, 0x4c, 0x8d, 0x1d, 8, 0, 0, 0, 0xff, 0x25, 6, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xea];
    code.resize(24, 0x90);
    code.extend(Entry::Call.address().to_le_bytes());
    code
}

/// Where [`calls`] goes on.
const BEHIND: u64 = CODE + 20;

fn a_call_without_a_trap_is_like_one_with(space: &dyn AddressSpace) {
    load(space, &calls());
    let mut context = context(space);
    let set = *context.registers_mut();
    let all = Registers {
        rdi: 1,
        rsi: 2,
        rdx: 3,
        r10: 4,
        r8: 5,
        r9: 6,
        rbx: 7,
        rbp: 8,
        r12: 9,
        r15: 10,
        eflags: 0xad7,
        ..set
    };
    *context.registers_mut() = all;
    for i in 0..1000 {
        let exit = run(&mut *context);
        assert!(matches!(exit, Exit::Syscall { number: 39, arguments: [1, 2, 3, 4, 5, 6], .. }), "{exit:?}");
        if i % 3 == 0 {
            let now = *context.registers();
            let expected = Registers { rax: now.rax, rip: BEHIND, rcx: BEHIND, r11: 0xad7, orig_rax: 39, ..all };
            assert_eq!(now, expected);
        }
        if i % 7 == 0 {
            assert_eq!(context.compare_exchange(DATA, i, i + 7), Ok(i));
            assert!(context.compare_exchange(0x1000, 0, 8).is_err());
        }
        if i % 11 == 0 {
            let state = context.extended_state();
            assert!(!state.is_empty());
            context.set_extended_state(&state).unwrap();
        }
        context.set_result(u64::from(i));
    }
    // All registers changed, as a handler of a signal finds them.
    let changed = Registers { rip: CODE, rcx: 77, r11: 78, rbp: 79, rsp: DATA, ..all };
    *context.registers_mut() = changed;
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 39, .. }));
    assert_eq!(context.registers().rsp, DATA);
    // A jump to what is no address faults there.
    context.registers_mut().rip = 1 << 60;
    assert!(matches!(run(&mut *context), Exit::Exception { signal: libc::SIGSEGV, .. }));
}

fn a_base_of_the_applications_own_traps(space: &dyn AddressSpace) {
    load(space, &calls());
    let mut context = context(space);
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 39, .. }));
    for base in [DATA, 8, moat_platform::APPLICATION_END - 4096, 0x7fff_ffff_8000, 0] {
        context.registers_mut().gs_base = base;
        for _ in 0..3 {
            assert!(matches!(run(&mut *context), Exit::Syscall { number: 39, .. }));
        }
        assert_eq!((context.registers().rip, context.registers().gs_base), (BEHIND, base));
    }
}

fn a_number_of_more_than_32_bits_traps(space: &dyn AddressSpace) {
    let mut code = calls();
    // nopl (%rax)
    code[..5].copy_from_slice(&[0x0f, 0x1f, 0x44, 0, 0]);
    load(space, &code);
    let mut context = context(space);
    context.registers_mut().rax = 1 << 32 | 39;
    assert!(matches!(run(&mut *context), Exit::Syscall { number, .. } if number == 1 << 32 | 39));
    assert_eq!(context.registers().rip, BEHIND);
}

fn no_kick_is_lost_in_calls(space: &dyn AddressSpace) {
    load(space, &calls());
    let mut context = context(space);
    let kicker = context.kicker();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let (sent, received) = (done.clone(), done);
    let thread = std::thread::spawn(move || {
        for i in 1..=2000 {
            sent.store(i, std::sync::atomic::Ordering::SeqCst);
            kicker.kick();
            while sent.load(std::sync::atomic::Ordering::SeqCst) == i {
                std::hint::spin_loop();
            }
        }
        sent.store(u32::MAX, std::sync::atomic::Ordering::SeqCst);
    });
    let mut calls = 0_u32;
    loop {
        match run(&mut *context) {
            Exit::Kicked => {
                let kick = received.load(std::sync::atomic::Ordering::SeqCst);
                if kick == u32::MAX {
                    break;
                }
                // One kick may be told of twice.
                let _ = received.compare_exchange(
                    kick,
                    kick | 1 << 31,
                    std::sync::atomic::Ordering::SeqCst,
                    std::sync::atomic::Ordering::SeqCst,
                );
                calls = 0;
            }
            Exit::Syscall { number: 39, .. } => {
                assert_eq!(context.registers().rip, BEHIND);
                context.set_result(1);
                calls += 1;
                if received.load(std::sync::atomic::Ordering::SeqCst) == u32::MAX {
                    break;
                }
                assert!(calls < 1_000_000, "a kick was lost");
            }
            other => panic!("{other:?}"),
        }
    }
    thread.join().unwrap();
}

fn a_thread_that_ends_in_a_call_is_used_again(space: &dyn AddressSpace) {
    load(space, &calls());
    for i in 0..50 {
        let mut context = context(space);
        assert_eq!(context.registers().rbx, 0);
        // The signal of a late kick may be meant for who had the thread before.
        let mut exit = run(&mut *context);
        while exit == Exit::Kicked {
            exit = run(&mut *context);
        }
        assert!(matches!(exit, Exit::Syscall { number: 39, .. }));
        context.registers_mut().rbx = i;
        assert!(matches!(run(&mut *context), Exit::Syscall { number: 39, .. }));
        assert_eq!(context.registers().rbx, i);
    }
}

fn how_long_a_call_takes_without_a_trap(space: &dyn AddressSpace) {
    time_calls("getpid without a trap", space, &calls());
}

/// Makes so many calls that the lane of spinning is taken, if a core is spare.
fn make_calls(context: &mut dyn Context) {
    let began = Instant::now();
    // The overseer looks every few milliseconds.
    while began.elapsed() < Duration::from_millis(40) {
        assert!(matches!(run(context), Exit::Syscall { number: 39, .. }));
        context.set_result(1);
    }
}

/// Processor time of the calling thread.
fn own_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

fn a_thread_whose_task_sleeps_spins_no_longer(space: &dyn AddressSpace) {
    load(space, &calls());
    let mut context = context(space);
    make_calls(&mut *context);
    // It has made a call that takes long.
    let before = space.cpu_time();
    std::thread::sleep(Duration::from_millis(200));
    let spent = space.cpu_time() - before;
    assert!(spent < Duration::from_millis(20), "{spent:?}");
    make_calls(&mut *context);
}

fn the_sentry_does_not_spin_for_an_application_that_computes(space: &dyn AddressSpace) {
    let mut code = calls();
    let endless = CODE + code.len() as u64;
    // jmp .
    code.extend([0xeb, 0xfe]);
    load(space, &code);
    let mut context = context(space);
    for _ in 0..3 {
        make_calls(&mut *context);
        let kicker = context.kicker();
        let kick = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            kicker.kick();
        });
        let before = own_time();
        context.registers_mut().rip = endless;
        assert_eq!(run(&mut *context), Exit::Kicked);
        let spent = own_time() - before;
        assert!(spent < Duration::from_millis(20), "{spent:?}");
        assert_eq!(context.registers().rip, endless);
        context.registers_mut().rip = CODE;
        kick.join().unwrap();
    }
}

/// Number of a call that has memory of its arguments 0 and 3 copied ahead.
const ARGUMENTS: u8 = 40;
/// Number of a call that has its buffer copied ahead.
const BUFFER: u8 = 41;

const AHEAD: AheadTable = {
    let mut table = [Ahead(0); 512];
    table[ARGUMENTS as usize] = Ahead(0).with_argument(0).with_argument(3);
    table[BUFFER as usize] = Ahead(0).with_buffer();
    table
};

/// [`calls`] of another number, with the last result in ebx.
fn calls_of(number: u8) -> Vec<u8> {
    let mut code = calls();
    code[1] = number;
    // mov %eax,%ebx; jmp 1b
    code[20..24].copy_from_slice(&[0x89, 0xc3, 0xeb, 0xe8]);
    code
}

fn memory_comes_along_with_a_call(space: &dyn AddressSpace) {
    load(space, &calls_of(ARGUMENTS));
    space.write(DATA + 100, b"path").unwrap();
    space.write(DATA + 4090, b"at end").unwrap();
    let mut context = context(space);
    let window = context.window().unwrap();
    let mut bytes = [0; 6];
    assert!(!window.read(DATA + 100, &mut bytes));
    context.registers_mut().rdi = DATA + 100;
    context.registers_mut().r10 = DATA + 4090;
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 40, .. }));
    assert!(window.read(DATA + 100, &mut bytes) && &bytes == b"path\0\0");
    assert!(window.read(DATA + 102, &mut bytes[..2]) && &bytes[..2] == b"th");
    assert!(window.read(DATA + 4090, &mut bytes) && &bytes == b"at end");
    for (from, len) in [(DATA + 99, 4), (DATA + 4090, 7), (DATA + 100, 257), (u64::MAX, 2)] {
        assert!(!window.read(from, &mut vec![0; len]), "{from:#x} {len}");
    }
    // What is not there does not come along, the other does.
    context.registers_mut().r10 = 8;
    context.registers_mut().eflags |= 1 << 10;
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 40, arguments: [_, _, _, 8, ..], .. }));
    assert!(window.read(DATA + 100, &mut bytes) && !window.read(8, &mut bytes));
    load(space, &calls_of(BUFFER));
    space.write(DATA + 10, &[7; 4000]).unwrap();
    context.registers_mut().rsi = DATA + 10;
    context.registers_mut().rdx = 4000;
    assert!(matches!(run(&mut *context), Exit::Syscall { .. }));
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 41, .. }));
    let mut buffer = [0; 4000];
    assert!(window.read(DATA + 10, &mut buffer) && buffer == [7; 4000] && !window.read(DATA + 4010, &mut bytes));
    assert!(!window.write(DATA + 10, b"no room"));
}

fn memory_goes_along_with_an_answer(space: &dyn AddressSpace) {
    load(space, &calls_of(ARGUMENTS));
    let mut context = context(space);
    let window = context.window().unwrap();
    assert!(!window.write(DATA, b"before a call"));
    let mut found = [0; 4];
    for i in 1..=200_u32 {
        assert!(matches!(run(&mut *context), Exit::Syscall { number: 40, .. }));
        assert!(window.write(DATA, &i.to_le_bytes()) && window.write(DATA + 4092, &(i + 1).to_le_bytes()));
        space.read(DATA, &mut found).unwrap();
        assert_ne!(found, i.to_le_bytes(), "too early");
        match i % 4 {
            0 => assert!(window.settle()),
            1 => assert!(!context.extended_state().is_empty()),
            2 => context.registers_mut().rdi = u64::from(i),
            _ => {}
        }
        context.set_result(u64::from(i));
        assert!(matches!(run(&mut *context), Exit::Syscall { number: 40, .. }));
        assert_eq!(context.registers().rbx, u64::from(i));
        for (at, value) in [(DATA, i), (DATA + 4092, i + 1)] {
            space.read(at, &mut found).unwrap();
            assert_eq!(u32::from_le_bytes(found), value);
        }
        space.write(DATA, &[0xff; 4]).unwrap();
        context.set_result(0);
    }
    // What cannot be written fails the call.
    assert!(window.write(DATA + 4094, &[1; 4]));
    context.set_result(5);
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 40, .. }));
    assert_eq!(context.registers().rbx as u32 as i32, -libc::EFAULT);
    assert!(window.write(8, &[1; 4]) && !window.settle());
    context.set_result(6);
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 40, .. }));
    assert_eq!(context.registers().rbx, 6);
}

fn main() {
    platforms::test(
        "trap",
        Interception::Trap,
        |lead| trap::start(lead, &AHEAD, Lanes::default()).unwrap(),
        &[
            ("an_ended_thread_is_used_again", an_ended_thread_is_used_again),
            ("more_threads_than_are_kept", more_threads_than_are_kept),
            ("a_call_without_a_trap_is_like_one_with", a_call_without_a_trap_is_like_one_with),
            ("a_base_of_the_applications_own_traps", a_base_of_the_applications_own_traps),
            ("a_number_of_more_than_32_bits_traps", a_number_of_more_than_32_bits_traps),
            ("memory_comes_along_with_a_call", memory_comes_along_with_a_call),
            ("memory_goes_along_with_an_answer", memory_goes_along_with_an_answer),
            ("no_kick_is_lost_in_calls", no_kick_is_lost_in_calls),
            ("a_thread_that_ends_in_a_call_is_used_again", a_thread_that_ends_in_a_call_is_used_again),
            ("a_thread_whose_task_sleeps_spins_no_longer", a_thread_whose_task_sleeps_spins_no_longer),
            (
                "the_sentry_does_not_spin_for_an_application_that_computes",
                the_sentry_does_not_spin_for_an_application_that_computes,
            ),
            ("how_long_a_call_takes_without_a_trap", how_long_a_call_takes_without_a_trap),
        ],
    );
}
