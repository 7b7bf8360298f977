//! The published seccomp lists of a stub, compiled into the one filter that all threads of a sandbox's stubs have.
//!
//! It is installed once, in the lead, and inherited by every thread and fork after it. One for each thread would cost its
//! birth some 30 µs, and hosts free filters one by one in the background: enough of them at once, as when a sandbox with
//! thousands of threads ends, can stall a host for good.
//!
//! A filter knows no threads, so the calls of mappers carry a [`Key`]: 64 random bits that stand in no memory of a stub,
//! but in registers of mappers and of threads that are not the application's yet. A call with the key is held against the
//! list of mappers; any other against the list of application threads. What the key is compared with is looked at as a
//! whole, so that no time tells of a part of it.

use seccompiler::{BpfProgram, TargetArch, sock_filter};

use super::{Interception, layout};
use crate::PlatformError;

/// The lists, with a reason for each entry.
pub const LIST: &str = include_str!("../../seccomp/stub.json");

/// What the calls of mappers carry: in the sixth argument, and `mmap`, which has six of its own, in the upper halves of
/// its flags (the low half of the key) and of its descriptor (the high half).
#[derive(Clone, Copy)]
pub struct Key(u64);

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// `Host(EIO)` if the host has no random numbers.
    pub fn new() -> Result<Self, PlatformError> {
        let mut bytes = [0; 8];
        moat_host::random::fill(&mut bytes).map_err(|_| PlatformError::Host(libc::EIO))?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }

    /// Its value, for the register that holds it.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// Compiles the filter.
///
/// # Errors
/// `Host(EINVAL)` if the lists are malformed, which a test excludes.
pub fn compile(interception: Interception, key: Key) -> Result<BpfProgram, PlatformError> {
    let mut lists = seccompiler::compile_from_json(LIST.as_bytes(), TargetArch::x86_64)
        .map_err(|_| PlatformError::Host(libc::EINVAL))?;
    let mut list = |name| lists.remove(name).ok_or(PlatformError::Host(libc::EINVAL));
    let (mapper, application) = match interception {
        Interception::Ptrace => (list("ptrace_mapper")?, list("ptrace_application")?),
        Interception::Trap => (list("trap_mapper")?, from_trap_code_only(list("trap_application")?)),
    };
    let mut filter = unless_keyed_skip(mapper.len() as u32, key);
    filter.extend(mapper);
    filter.extend(application);
    Ok(filter)
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const JUMP_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const XOR: u16 = 0xa4; // BPF_ALU | BPF_XOR | BPF_K
const OR_X: u16 = 0x4c; // BPF_ALU | BPF_OR | BPF_X
const TO_X: u16 = 0x07; // BPF_MISC | BPF_TAX

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// Offset of the low half of an argument in `struct seccomp_data`; the high half follows it.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// Goes on behind itself for calls that carry the key, and `skipped` instructions further on for others.
fn unless_keyed_skip(skipped: u32, key: Key) -> BpfProgram {
    const HIGH: u32 = 4;
    let (low, high) = (key.0 as u32, (key.0 >> 32) as u32);
    vec![
        instruction(LOAD, 0, 0, 0),
        instruction(JUMP_EQUAL, 0, 5, libc::SYS_mmap as u32),
        instruction(LOAD, 0, 0, argument(3) + HIGH),
        instruction(XOR, 0, 0, low),
        instruction(TO_X, 0, 0, 0),
        instruction(LOAD, 0, 0, argument(4) + HIGH),
        instruction(JUMP, 0, 0, 4),
        instruction(LOAD, 0, 0, argument(5)),
        instruction(XOR, 0, 0, low),
        instruction(TO_X, 0, 0, 0),
        instruction(LOAD, 0, 0, argument(5) + HIGH),
        instruction(XOR, 0, 0, high),
        instruction(OR_X, 0, 0, 0),
        instruction(JUMP_EQUAL, 1, 0, 0),
        instruction(JUMP, 0, 0, skipped),
    ]
}

/// The same list for calls that the trap platform's own code makes; every other one is a trap, whatever its number. The
/// lists in the crate's format cannot ask for the instruction.
fn from_trap_code_only(list: BpfProgram) -> BpfProgram {
    /// Offsets of the instruction pointer's halves in `struct seccomp_data`.
    const LOW: u32 = 8;
    const HIGH: u32 = 12;
    let (begin, end) = (layout::TRAP_CODE, layout::TRAP_CODE + layout::TRAP_CODE_SIZE);
    let mut program = vec![
        instruction(LOAD, 0, 0, HIGH),
        instruction(JUMP_EQUAL, 0, 3, (begin >> 32) as u32),
        instruction(LOAD, 0, 0, LOW),
        instruction(JUMP_AT_LEAST, 0, 1, begin as u32),
        instruction(JUMP_AT_LEAST, 0, 1, end as u32),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_TRAP),
    ];
    program.extend(list);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key(0x1234_5678_9abc_def0);

    /// Makes a call under the filter, in a child; whether that lived to see its result, which it must then like.
    fn survives(filter: &BpfProgram, number: i64, arguments: [u64; 6], expected: fn(i64) -> bool) -> bool {
        // SAFETY: the child makes nothing but system calls, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: the calls of this test read and write no memory of the child's but what they map.
            unsafe {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                let installed = seccompiler::apply_filter(filter).is_ok();
                let [a, b, c, d, e, f] = arguments;
                let result = libc::syscall(number, a, b, c, d, e, f);
                let status = if installed && expected(result) { 0_u64 } else { 1 };
                libc::syscall(libc::SYS_exit_group, status, 0, 0, 0, 0, KEY.0);
            }
        }
        let mut status = 0;
        // SAFETY: the status is this function's.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        if libc::WIFEXITED(status) {
            assert_eq!(libc::WEXITSTATUS(status), 0, "the result of call {number}");
            return true;
        }
        assert_eq!(libc::WTERMSIG(status), libc::SIGSYS);
        false
    }

    #[test]
    fn only_calls_with_the_whole_key_are_the_mappers() {
        for interception in [Interception::Ptrace, Interception::Trap] {
            let filter = compile(interception, KEY).unwrap();
            let wrong = [0, 1, 1 << 31, 1 << 32, 1 << 63].map(|bit| if bit == 0 { 0 } else { KEY.0 ^ bit });
            let own_pid = |key| survives(&filter, libc::SYS_getpid, [0, 0, 0, 0, 0, key], |pid| pid > 0);
            assert!(own_pid(KEY.0));
            for key in wrong {
                assert!(!own_pid(key), "{key:x}");
            }
            let map = |key: u64, offset| {
                let (flags, file) = ((libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as u64, u64::from(u32::MAX));
                let arguments = [0, 4096, libc::PROT_READ as u64, flags | key << 32, file | key >> 32 << 32, offset];
                survives(&filter, libc::SYS_mmap, arguments, |at| at > 0)
            };
            assert!(map(KEY.0, 0));
            for key in wrong {
                assert!(!map(key, 0), "{key:x}");
            }
            assert!(!map(0, KEY.0), "mmap has six arguments of its own");
            // Not even with the key.
            let arguments = [0, 0, 0, 0, 0, KEY.0];
            assert!(!survives(&filter, libc::SYS_socket, arguments, |_| true));
        }
    }
}
