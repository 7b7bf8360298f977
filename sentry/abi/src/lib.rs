//! Linux's numbers, structures and flags on x86-64, with printers for them. No host calls.
//!
//! Modules are named after the kernel's headers. Structures have the kernel's layout and field names; flag types keep
//! bits that they do not know, so that these can be refused and printed.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "the names are Linux's; each module names the manual page")]

pub mod capability;
pub mod epoll;
pub mod errno;
pub mod fcntl;
pub mod futex;
pub mod inotify;
pub mod ioctl;
pub mod mman;
pub mod mount;
pub mod netlink;
pub mod nr;
pub mod poll;
pub mod print;
pub mod resource;
pub mod sched;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod stat;
pub mod system;
pub mod termios;
pub mod time;
pub mod uio;
pub mod wait;

/// Declares a `repr(C)` structure that is plain bytes, with its size checked.
#[macro_export]
macro_rules! plain {
    ($(#[$meta:meta])* pub struct $name:ident [$size:literal] { $($(#[$fmeta:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(C)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }
        const _: () = assert!(size_of::<$name>() == $size);
    };
}
