//! futex(2).

pub const WAIT: u32 = 0;
pub const WAKE: u32 = 1;
pub const REQUEUE: u32 = 3;
pub const CMP_REQUEUE: u32 = 4;
pub const WAKE_OP: u32 = 5;
pub const LOCK_PI: u32 = 6;
pub const UNLOCK_PI: u32 = 7;
pub const TRYLOCK_PI: u32 = 8;
pub const WAIT_BITSET: u32 = 9;
pub const WAKE_BITSET: u32 = 10;
pub const WAIT_REQUEUE_PI: u32 = 11;
pub const CMP_REQUEUE_PI: u32 = 12;
pub const LOCK_PI2: u32 = 13;
pub const PRIVATE_FLAG: u32 = 128;
pub const CLOCK_REALTIME: u32 = 256;
pub const WAITERS: u32 = 0x8000_0000;
pub const OWNER_DIED: u32 = 0x4000_0000;
pub const TID_MASK: u32 = 0x3fff_ffff;

crate::plain! { pub struct RobustListHead [24] { list: u64, futex_offset: i64, list_op_pending: u64, } }
/// How many entries of a robust list are followed.
pub const ROBUST_LIST_LIMIT: usize = 2048;
