//! A platform on its own: a lead without namespaces, commanded by this process. Not under the usual harness,
//! since a birth wants a process with one thread.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::{Context as Cx, Poll, Waker};
use std::time::{Duration, Instant};

use moat_platform::stub::Interception;
use moat_platform::stub::birth::Lead;
use moat_platform::{Abi, AddressSpace, Change, Context, Exit, Ids, Platform, Protection, Source, Users, stub};

fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the platform blocks instead"),
    }
}

fn cx() -> Cx<'static> {
    Cx::from_waker(Waker::noop())
}

pub const CODE: u64 = 0x40_0000;
pub const DATA: u64 = 0x50_0000;

fn map(space: &dyn AddressSpace, at: u64, protection: Protection) {
    let change = Change::Map { at, len: 4096, protection, source: Source::Anonymous, populate: false };
    ready(space.poll_apply(&mut cx(), &[change])).unwrap();
}

/// Maps code and data; the code is `program`.
pub fn load(space: &dyn AddressSpace, program: &[u8]) {
    map(space, CODE, Protection::READ | Protection::WRITE | Protection::EXEC);
    map(space, DATA, Protection::READ | Protection::WRITE);
    space.write(CODE, program).unwrap();
}

pub fn context(space: &dyn AddressSpace) -> Box<dyn Context> {
    let mut context = ready(space.poll_context(&mut cx())).unwrap();
    let registers = context.registers_mut();
    registers.rip = CODE;
    registers.rsp = DATA + 4096;
    context
}

pub fn run(context: &mut dyn Context) -> Exit {
    ready(context.poll_run(&mut cx(), Instant::now())).0
}

/// `1: mov $39,%eax; syscall; jmp 1b`
pub const GETPID_LOOP: &[u8] = &[0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];

fn system_calls_are_reported_and_answered(space: &dyn AddressSpace) {
    // mov $39,%eax; syscall; mov %eax, (DATA); mov $60,%eax; syscall
    load(space, &[0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x89, 0x04, 0x25, 0, 0, 0x50, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
    let mut context = context(space);
    assert!(matches!(run(&mut *context), Exit::Syscall { abi: Abi::X86_64, number: 39, .. }));
    context.set_result(0x1234_5678);
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 60, .. }));
    let mut word = [0u8; 4];
    space.read(DATA, &mut word).unwrap();
    assert_eq!(u32::from_le_bytes(word), 0x1234_5678);
    assert_eq!(context.registers().rip, CODE + 21);
}

fn faults_have_their_address(space: &dyn AddressSpace) {
    // mov 0x1000, %eax
    load(space, &[0x8b, 0x04, 0x25, 0, 0x10, 0, 0]);
    let mut context = context(space);
    assert_eq!(run(&mut *context), Exit::Exception { signal: libc::SIGSEGV, code: 1, address: 0x1000 });
    let fault = space.read(DATA + 4000, &mut [0; 200]).unwrap_err();
    assert_eq!(fault.done, 96);
    assert!(space.write(moat_platform::APPLICATION_END, &[1]).is_err());
    assert!(space.read(u64::MAX - 1, &mut [0; 8]).is_err());
}

fn a_fork_has_its_own_copy(space: &dyn AddressSpace) {
    load(space, GETPID_LOOP);
    space.write(DATA, b"parent").unwrap();
    let child = ready(space.poll_fork(&mut cx())).unwrap();
    child.write(DATA, b"child!").unwrap();
    let mut seen = [0u8; 6];
    space.read(DATA, &mut seen).unwrap();
    assert_eq!(&seen, b"parent");
    let mut context = context(&*child);
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 39, .. }));
    ready(child.poll_clear(&mut cx())).unwrap();
    assert!(child.read(DATA, &mut seen).is_err());
}

fn compare_and_exchange_is_done_in_the_stub(space: &dyn AddressSpace) {
    load(space, GETPID_LOOP);
    let mut context = context(space);
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 39, .. }));
    assert_eq!(context.compare_exchange(DATA, 0, 7), Ok(0));
    assert_eq!(context.compare_exchange(DATA, 0, 8), Ok(7));
    assert!(context.compare_exchange(0x1000, 0, 8).is_err());
    context.set_result(5);
    assert!(matches!(run(&mut *context), Exit::Syscall { number: 39, .. }));
}

fn no_kick_is_lost(space: &dyn AddressSpace) {
    // jmp .
    load(space, &[0xeb, 0xfe]);
    let mut context = context(space);
    let kicker = context.kicker();
    let (again, next) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        while next.recv().is_ok() {
            kicker.kick();
        }
    });
    for _ in 0..300 {
        again.send(()).unwrap();
        assert_eq!(run(&mut *context), Exit::Kicked);
    }
    drop(again);
    thread.join().unwrap();
    drop(context);
}

fn a_killed_stub_is_noticed(space: &dyn AddressSpace) {
    load(space, &[0xeb, 0xfe]);
    let child = ready(space.poll_fork(&mut cx())).unwrap();
    let mut context = context(&*child);
    let pid = child.host_pid().unwrap() as i32;
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    });
    assert_eq!(run(&mut *context), Exit::Dead);
    killer.join().unwrap();
    assert!(ready(child.poll_fork(&mut cx())).is_err());
}

fn many_forks_come_and_go(space: &dyn AddressSpace) {
    load(space, GETPID_LOOP);
    for _ in 0..200 {
        let child = ready(space.poll_fork(&mut cx())).unwrap();
        let mut context = context(&*child);
        assert!(matches!(run(&mut *context), Exit::Syscall { .. }));
    }
}

fn threads_share_memory(space: &Arc<dyn AddressSpace>) {
    load(&**space, GETPID_LOOP);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let space = space.clone();
            std::thread::spawn(move || {
                let mut context = context(&*space);
                for i in 0..50 {
                    assert!(matches!(run(&mut *context), Exit::Syscall { number: 39, .. }));
                    context.set_result(i);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

fn the_title_reaches_the_host(space: &dyn AddressSpace) {
    const AT: u64 = 0x20_0000;
    let map = Change::Map {
        at: AT,
        len: 4096,
        protection: Protection::READ | Protection::WRITE,
        source: Source::Anonymous,
        populate: false,
    };
    ready(space.poll_apply(&mut cx(), &[map])).unwrap();
    space.write(AT, b"guest\0-x\0").unwrap();
    space.set_title(&moat_platform::Title {
        name: b"guest".to_vec(),
        users: Users { user: Ids { real: 1, effective: 2, saved: 3 }, ..Users::default() },
        arguments: AT..AT + 9,
        environment: AT + 9..AT + 9,
    });
    let pid = space.host_pid().unwrap();
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), "guest\n");
    assert_eq!(std::fs::read(format!("/proc/{pid}/cmdline")).unwrap(), b"guest\0-x\0");
}

/// These fields of a stub's `stat`, counted from its state on: process group, session, terminal, nice value.
fn told(space: &dyn AddressSpace) -> [i64; 4] {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", space.host_pid().unwrap())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    [2, 3, 4, 16].map(|n| fields[n].parse().unwrap())
}

fn session_group_terminal_and_nice_value_reach_the_host(space: &dyn AddressSpace) {
    load(space, GETPID_LOOP);
    let leader = ready(space.poll_fork(&mut cx())).unwrap();
    let own = i64::from(leader.host_pid().unwrap());
    leader.leave_session();
    assert_eq!(told(&*leader), [own, own, 0, 0]);
    let pty = nix::pty::openpty(None, None).unwrap();
    leader.take_terminal(pty.slave.as_fd());
    let [.., terminal, _] = told(&*leader);
    assert_ne!(terminal, 0);
    let child = ready(leader.poll_fork(&mut cx())).unwrap();
    let group = i64::from(child.host_pid().unwrap());
    child.set_process_group(child.pid_hint().unwrap());
    child.set_nice(7);
    assert_eq!(told(&*child), [group, own, terminal, 7]);
    // What the host refuses leaves it as it was, and the stub at its work.
    child.set_process_group(1);
    child.set_nice(3);
    assert_eq!(told(&*child), [group, own, terminal, 7]);
    child.set_process_group(leader.pid_hint().unwrap());
    child.leave_session();
    assert_eq!(told(&*child), [group, group, 0, 7]);
    child.write(DATA, &[1]).unwrap();
    assert_eq!(told(&*leader), [own, own, terminal, 0]);
}

fn how_long_a_call_takes(space: &dyn AddressSpace) {
    time_calls("getpid", space, GETPID_LOOP);
}

/// Prints how long a call of `program` takes, which makes nothing else.
pub fn time_calls(name: &str, space: &dyn AddressSpace, program: &[u8]) {
    load(space, program);
    let mut context = context(space);
    let began = Instant::now();
    const CALLS: u32 = 20_000;
    for _ in 0..CALLS {
        run(&mut *context);
        context.set_result(1);
    }
    println!("{name}: {:?} a call", began.elapsed() / CALLS);
}

/// A test of one platform alone, and its name.
pub type Further = (&'static str, fn(&dyn AddressSpace));

/// Births a lead for this interception, and tests the platform that `start` makes of it.
/// Then makes `further` tests, which are for it alone.
pub fn test(name: &str, interception: Interception, start: impl Fn(Lead) -> Arc<dyn Platform>, further: &[Further]) {
    let newborn = stub::birth::birth(0, interception, || Ok(())).unwrap();
    let platform = start(newborn.finish().unwrap());
    let space = platform.lead().unwrap();
    let tests: [(&str, &dyn Fn()); 11] = [
        ("system_calls_are_reported_and_answered", &|| system_calls_are_reported_and_answered(&*space)),
        ("faults_have_their_address", &|| faults_have_their_address(&*space)),
        ("a_fork_has_its_own_copy", &|| a_fork_has_its_own_copy(&*space)),
        ("compare_and_exchange_is_done_in_the_stub", &|| compare_and_exchange_is_done_in_the_stub(&*space)),
        ("no_kick_is_lost", &|| no_kick_is_lost(&*space)),
        ("a_killed_stub_is_noticed", &|| a_killed_stub_is_noticed(&*space)),
        ("many_forks_come_and_go", &|| many_forks_come_and_go(&*space)),
        ("threads_share_memory", &|| threads_share_memory(&space)),
        ("the_title_reaches_the_host", &|| the_title_reaches_the_host(&*space)),
        ("session_group_terminal_and_nice_value_reach_the_host", &|| {
            session_group_terminal_and_nice_value_reach_the_host(&*space);
        }),
        ("how_long_a_call_takes", &|| how_long_a_call_takes(&*space)),
    ];
    // nextest lists the tests of a binary, then runs the binary for each.
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|a| a == "--list") {
        if !arguments.iter().any(|a| a == "--ignored") {
            println!("{name}: test");
        }
        platform.end(0);
        return;
    }
    for (name, test) in tests {
        test();
        println!("{name} ... ok");
    }
    for (name, test) in further {
        test(&*space);
        println!("{name} ... ok");
    }
    platform.end(0);
}
