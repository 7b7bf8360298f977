//! Stubs: the host processes that hold application memory on platforms without virtualisation.
//!
//! The thread-group leader of a stub is its *mapper* ([`code`]): it makes the changes of the address space, births threads
//! and forks, all by orders on a page that the stub can only read ([`orders`]). Application threads have no descriptors
//! and no call of the host's that does anything. What holds against a hostile application:
//!
//! * (a) the mapper uses no stack, blocks all signals, and dies by a call that is not on its list ([`filters`]);
//! * (b) it loads only from the sealed order page and from its read-only code;
//! * (c) the mapper's calls carry a key that is in no memory, and that a new thread forgets before it takes signals or can be
//!   run by the application: no application thread can make one of them, or a thread that can;
//! * (d) acknowledgements carry a register, never memory;
//! * (e) addresses of the stub's region are refused in every change and copy;
//! * (f) descriptors come by a table that mappers share with one sentry thread ([`descriptors`]).

pub mod birth;
pub mod channel;
pub mod code;
pub mod descriptors;
pub mod detour;
pub mod filters;
pub mod graveyard;
pub mod host_load;
pub mod image;
pub mod layout;
pub mod orders;
pub mod placement;
pub mod platform;
pub mod process;
pub mod signals;
pub mod space;

/// How application threads are intercepted, which decides the confinement of the stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interception {
    /// They are traced; on their own they may do nothing.
    Ptrace,
    /// Their system calls are made signals, whose handler hands them over.
    Trap,
}
