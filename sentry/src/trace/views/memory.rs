//! Memory.

use moat_abi::mman::{MapFlags, Prot};
use moat_abi::uio::IoVec;

use crate::trace::show::{Show, View, choices, flags};

choices! {
    /// Advice of madvise.
    Advice "MADV_???" {
        MADV_NORMAL 0 MADV_RANDOM 1 MADV_SEQUENTIAL 2 MADV_WILLNEED 3 MADV_DONTNEED 4 MADV_FREE 8 MADV_REMOVE 9
        MADV_DONTFORK 10 MADV_DOFORK 11 MADV_MERGEABLE 12 MADV_UNMERGEABLE 13 MADV_HUGEPAGE 14 MADV_NOHUGEPAGE 15
        MADV_DONTDUMP 16 MADV_DODUMP 17 MADV_WIPEONFORK 18 MADV_KEEPONFORK 19 MADV_COLD 20 MADV_PAGEOUT 21
        MADV_POPULATE_READ 22 MADV_POPULATE_WRITE 23 MADV_DONTNEED_LOCKED 24 MADV_COLLAPSE 25
    }
}

flags! {
    /// Flags of mlockall.
    LockAllFlags "MCL_???" { MCL_CURRENT 1 MCL_FUTURE 2 MCL_ONFAULT 4 }
    /// Flags of mlock2.
    LockFlags "MLOCK_???" { MLOCK_ONFAULT 1 }
    /// Flags of memfd_create.
    MemfdFlags "MFD_???" { MFD_CLOEXEC 1 MFD_ALLOW_SEALING 2 MFD_HUGETLB 4 MFD_NOEXEC_SEAL 8 MFD_EXEC 0x10 }
    /// Commands of membarrier.
    Membarrier "MEMBARRIER_CMD_???" {
        MEMBARRIER_CMD_QUERY 0 MEMBARRIER_CMD_GLOBAL 1 MEMBARRIER_CMD_GLOBAL_EXPEDITED 2
        MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED 4 MEMBARRIER_CMD_PRIVATE_EXPEDITED 8
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED 0x10 MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE 0x20
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE 0x40 MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ 0x80
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ 0x100
    }
}

/// Protection of memory.
pub fn show_protection(prot: Prot, to: &mut Show<'_>) {
    to.flag_word(prot, "PROT_", "PROT_NONE");
}

/// Flags of mmap: the type first, which is a number and no set of bits.
pub fn show_map_flags(flags: MapFlags, to: &mut Show<'_>) {
    match flags.kind() {
        0 => to.str("MAP_FILE"),
        1 => to.str("MAP_SHARED"),
        2 => to.str("MAP_PRIVATE"),
        3 => to.str("MAP_SHARED_VALIDATE"),
        kind => to.put(format_args!("{kind:#x} /* MAP_??? */")),
    }
    let order = [
        (0x10, "MAP_FIXED"),
        (0x20, "MAP_ANONYMOUS"),
        (0x40, "MAP_32BIT"),
        (0x4000, "MAP_NORESERVE"),
        (0x8000, "MAP_POPULATE"),
        (0x1_0000, "MAP_NONBLOCK"),
        (0x100, "MAP_GROWSDOWN"),
        (0x800, "MAP_DENYWRITE"),
        (0x1000, "MAP_EXECUTABLE"),
        (0x2000, "MAP_LOCKED"),
        (0x2_0000, "MAP_STACK"),
        (0x4_0000, "MAP_HUGETLB"),
        (0x8_0000, "MAP_SYNC"),
        (0x10_0000, "MAP_FIXED_NOREPLACE"),
    ];
    let rest = u64::from(flags.bits() & !0xf);
    if rest != 0 {
        to.str("|");
        to.flags(rest, &order, "MAP_???");
    }
}

/// Which pages mincore found.
pub struct Residency;

impl View for Residency {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        let pages = to.argument(1).div_ceil(4096);
        match to.succeeded() {
            Some(_) => to.array::<u8>(raw, pages, |to, page| to.put(format_args!("{}", page & 1))),
            None => to.address(raw),
        }
    }
}

/// The pieces of a vector. `left` is how many bytes of them mean something; beyond that, addresses are shown.
pub fn show_vector(address: u64, count: u64, left: Option<u64>, to: &mut Show<'_>) {
    let mut left = left;
    to.array::<IoVec>(address, count, |to, piece| {
        to.str("{iov_base=");
        match left {
            Some(0) if piece.len > 0 => to.str("\"\""),
            Some(rest) => {
                let shown = rest.min(piece.len);
                left = Some(rest - shown);
                to.buffer(piece.base, shown);
            }
            None => to.address(piece.base),
        }
        to.put(format_args!(", iov_len={}}}", piece.len));
    });
}

/// A vector that the call reads from; argument `COUNT` says how many pieces.
pub struct VectorIn<const COUNT: usize>;

impl<const COUNT: usize> View for VectorIn<COUNT> {
    fn show(raw: u64, to: &mut Show<'_>) {
        let count = to.argument(COUNT);
        show_vector(raw, count, Some(u64::MAX), to);
    }
}

/// A vector that the call writes to.
pub struct VectorOut<const COUNT: usize>;

impl<const COUNT: usize> View for VectorOut<COUNT> {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        let (count, left) = (to.argument(COUNT), to.succeeded());
        show_vector(raw, count, left, to);
    }
}

/// A vector of which only the addresses are shown.
pub struct VectorOfAddresses<const COUNT: usize>;

impl<const COUNT: usize> View for VectorOfAddresses<COUNT> {
    fn show(raw: u64, to: &mut Show<'_>) {
        let count = to.argument(COUNT);
        show_vector(raw, count, None, to);
    }
}
