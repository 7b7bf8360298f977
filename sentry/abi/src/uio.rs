//! readv(2).

crate::plain! { pub struct IoVec [16] { base: u64, len: u64, } }

pub const RWF_HIPRI: u32 = 1;
pub const RWF_DSYNC: u32 = 2;
pub const RWF_SYNC: u32 = 4;
pub const RWF_NOWAIT: u32 = 8;
pub const RWF_APPEND: u32 = 0x10;
