//! poll, select, epoll.

use moat_abi::epoll::EpollEvent;
use moat_abi::poll::PollFd;
use moat_abi::time::{Timespec, Timeval};

use crate::trace::show::{Show, View, choices, flags};
use crate::trace::structures::{Structure, show_events};

choices! {
    /// What epoll_ctl does.
    EpollOperation "EPOLL_CTL_???" { EPOLL_CTL_ADD 1 EPOLL_CTL_DEL 2 EPOLL_CTL_MOD 3 }
}

flags! {
    /// Flags of epoll_create1.
    EpollFlags "EPOLL_???" { EPOLL_CLOEXEC 0o2000000 }
}

/// The event of epoll_ctl, which EPOLL_CTL_DEL does not look at.
pub struct EpollChange;

impl View for EpollChange {
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.read::<EpollEvent>(raw) {
            Some(event) if to.argument(1) != 2 => event.show(to),
            _ => to.address(raw),
        }
    }
}

/// What epoll_wait found; its result says how many.
pub struct EpollEvents;

impl View for EpollEvents {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.succeeded() {
            Some(count) => to.array::<EpollEvent>(raw, count, |to, event| event.show(to)),
            None => to.address(raw),
        }
    }
}

/// The array of poll; argument 1 is its length.
pub struct PollFds;

impl View for PollFds {
    fn show(raw: u64, to: &mut Show<'_>) {
        let count = to.argument(1);
        to.array::<PollFd>(raw, count, |to, fd| {
            to.put(format_args!("{{fd={}", fd.fd));
            if fd.fd >= 0 {
                to.str(", events=");
                show_events(u32::from(fd.events), "POLL", to);
            }
            to.str("}");
        });
    }

    fn show_behind(raw: u64, to: &mut Show<'_>) {
        let ready = match to.succeeded() {
            None => return,
            Some(0) => return to.str("Timeout"),
            Some(_) => {
                let count = to.argument(1).min(1 << 16);
                let fds = to.bytes(raw, count as usize * size_of::<PollFd>()).unwrap_or_default();
                let fds = fds.chunks_exact(8).filter_map(|b| <PollFd as zerocopy::FromBytes>::read_from_bytes(b).ok());
                fds.filter(|f| f.revents != 0).collect::<Vec<_>>()
            }
        };
        to.str("[");
        for (i, fd) in ready.iter().enumerate() {
            to.put(format_args!("{}{{fd={}, revents=", if i > 0 { ", " } else { "" }, fd.fd));
            show_events(u32::from(fd.revents), "POLL", to);
            to.str("}");
        }
        to.str("]");
    }
}

/// The time limit of ppoll, with what is left of it.
pub struct PollTimeout;

impl View for PollTimeout {
    fn show(raw: u64, to: &mut Show<'_>) {
        super::pointed::<Timespec>(raw, to);
    }

    fn show_behind(raw: u64, to: &mut Show<'_>) {
        if let Some(left) = to.read::<Timespec>(raw).filter(|_| to.succeeded().is_some_and(|n| n > 0)) {
            to.str("left ");
            left.show(to);
        }
    }
}

/// One of select's sets; argument 0 is the number of bits.
pub struct FdSet<const INDEX: usize>;

fn show_set(address: u64, to: &mut Show<'_>) {
    let count = to.argument(0).min(1 << 16) as usize;
    let Some(bytes) = to.bytes(address, count.div_ceil(64) * 8) else { return to.address(address) };
    to.str("[");
    let mut separator = "";
    for fd in (0..count).filter(|fd| bytes[fd / 8] & (1 << (fd % 8)) != 0) {
        to.put(format_args!("{separator}{fd}"));
        separator = " ";
    }
    to.str("]");
}

fn is_empty_set(address: u64, to: &Show<'_>) -> bool {
    let count = to.argument(0).min(1 << 16) as usize;
    to.bytes(address, count.div_ceil(64) * 8).is_none_or(|bytes| bytes.iter().all(|b| *b == 0))
}

impl<const INDEX: usize> View for FdSet<INDEX> {
    fn show(raw: u64, to: &mut Show<'_>) {
        if raw == 0 { to.str("NULL") } else { show_set(raw, to) }
    }

    fn show_behind(raw: u64, to: &mut Show<'_>) {
        match to.succeeded() {
            Some(0) if INDEX == 1 => to.str("Timeout"),
            Some(n) if n > 0 && raw != 0 && !is_empty_set(raw, to) => {
                to.str(["", "in ", "out ", "except "][INDEX]);
                show_set(raw, to);
            }
            _ => {}
        }
    }
}

/// The time limit of select, with what is left of it.
pub struct SelectTimeout;

impl View for SelectTimeout {
    fn show(raw: u64, to: &mut Show<'_>) {
        super::pointed::<Timeval>(raw, to);
    }

    fn show_behind(raw: u64, to: &mut Show<'_>) {
        if let Some(left) = to.read::<Timeval>(raw).filter(|_| to.succeeded().is_some_and(|n| n > 0)) {
            to.str("left ");
            left.show(to);
        }
    }
}
