//! Signals.

use moat_abi::signal::SigSet;

use crate::trace::show::{Show, View, choices, flags};

choices! {
    /// How a mask is changed.
    MaskChange "SIG_???" { SIG_BLOCK 0 SIG_UNBLOCK 1 SIG_SETMASK 2 }
}

flags! {
    /// Flags of sigaction.
    ActionFlags "SA_???" {
        SA_RESTORER 0x04000000 SA_ONSTACK 0x08000000 SA_RESTART 0x10000000 SA_INTERRUPT 0x20000000 SA_NODEFER 0x40000000
        SA_RESETHAND 0x80000000 SA_NOCLDSTOP 1 SA_NOCLDWAIT 2 SA_SIGINFO 4 SA_UNSUPPORTED 0x400 SA_EXPOSE_TAGBITS 0x800
    }
}

/// A mask that pselect6 takes with its size: `{sigmask=[INT], sigsetsize=8}`.
pub struct MaskWithSize;

impl View for MaskWithSize {
    fn show(raw: u64, to: &mut Show<'_>) {
        let Some([mask, size]) = to.read::<[u64; 2]>(raw) else { return to.address(raw) };
        to.str("{sigmask=");
        match to.read::<SigSet>(mask) {
            Some(set) => to.signals(set),
            None => to.address(mask),
        }
        to.put(format_args!(", sigsetsize={size}}}"));
    }
}
