//! Calls that always answer the same, answered by the stub's code from the slot.

use std::sync::atomic::Ordering;

use super::slots::{Slot, offset};
use crate::Constants;

/// Calls of smaller numbers only.
pub const CALLS: usize = 256;
/// In the order of their values.
const NUMBERS: [i64; 7] = [
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
];

/// Says in a new slot which call answers which value.
pub fn prepare(slot: &Slot) {
    let mut table = [0; CALLS];
    for (i, number) in NUMBERS.iter().enumerate() {
        table[*number as usize] = i as u8 + 1;
    }
    slot.put(offset::CONSTANT_OF, &table);
}

/// From now on these calls are answered so.
pub fn set(slot: &Slot, constants: &Constants) {
    let Constants { pid, tid, parent, uid, euid, gid, egid } = *constants;
    for (i, value) in [pid, tid, parent, uid, euid, gid, egid].into_iter().enumerate() {
        slot.word(offset::CONSTANTS + 4 * (i + 1)).store(value, Ordering::Relaxed);
    }
    slot.word(offset::CONSTANTS).store(1, Ordering::SeqCst);
}

/// From now on they are handed over.
pub fn revoke(slot: &Slot) {
    slot.word(offset::CONSTANTS).store(0, Ordering::SeqCst);
}
