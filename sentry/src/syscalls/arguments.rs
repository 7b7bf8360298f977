//! The types of system-call arguments. A type says how the register is read, how a tracer shows it, and (by
//! [`Argument::SHAPE`]) what a stub may copy ahead of the call and back behind it.

use std::marker::PhantomData;

use moat_abi::fcntl::AT_FDCWD;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::Result;
use crate::mm::user::UserMemory;
use crate::trace::show::{Show, View};
use crate::trace::structures::Structure;
use crate::trace::views;

/// Which application memory an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// None.
    Value,
    /// A NUL-terminated string that the call reads.
    String,
    /// This many bytes that the call reads.
    Read(usize),
    /// This many bytes that the call writes.
    Write(usize),
    /// This many bytes that the call reads and writes.
    ReadWrite(usize),
    /// As many bytes as another argument says, which the call reads.
    ReadBytes(usize),
    /// As many bytes as another argument says, which the call writes.
    WriteBytes(usize),
    /// Something whose size only the call knows.
    Opaque,
}

/// An argument, made of one register.
pub trait Argument: Sized {
    /// What memory it names.
    const SHAPE: Shape = Shape::Value;
    /// From the register.
    fn decode(raw: u64) -> Self;
    /// Writes it as strace does; an address unless the type knows better.
    fn show(raw: u64, to: &mut Show<'_>) {
        to.address(raw);
    }
}

impl<T: Argument> View for T {
    const LATE: bool = matches!(T::SHAPE, Shape::Write(_) | Shape::ReadWrite(_) | Shape::WriteBytes(_));
    fn show(raw: u64, to: &mut Show<'_>) {
        <T as Argument>::show(raw, to);
    }
}

macro_rules! integers {
    ($($ty:ty)*) => { $(impl Argument for $ty {
        fn decode(raw: u64) -> Self {
            raw as Self
        }
        fn show(raw: u64, to: &mut Show<'_>) {
            to.put(format_args!("{}", raw as Self));
        }
    })* };
}
integers! { i32 u32 i64 u64 usize }

/// A descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fd(pub i32);

impl Argument for Fd {
    fn decode(raw: u64) -> Self {
        Self(raw as i32)
    }
    fn show(raw: u64, to: &mut Show<'_>) {
        to.put(format_args!("{}", raw as i32));
    }
}

/// A directory descriptor, or AT_FDCWD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirFd(pub i32);

impl DirFd {
    /// The working directory.
    pub const CWD: Self = Self(AT_FDCWD);
}

impl Argument for DirFd {
    fn decode(raw: u64) -> Self {
        Self(raw as i32)
    }
    fn show(raw: u64, to: &mut Show<'_>) {
        to.directory(raw as i32);
    }
}

/// A process, thread or process group number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(pub i32);

impl Argument for Pid {
    fn decode(raw: u64) -> Self {
        Self(raw as i32)
    }
    fn show(raw: u64, to: &mut Show<'_>) {
        to.put(format_args!("{}", raw as i32));
    }
}

/// A signal number, as given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalNumber(pub i32);

impl Argument for SignalNumber {
    fn decode(raw: u64) -> Self {
        Self(raw as i32)
    }
    fn show(raw: u64, to: &mut Show<'_>) {
        to.signal(raw as i32);
    }
}

/// Permission bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeBits(pub u32);

impl Argument for ModeBits {
    fn decode(raw: u64) -> Self {
        Self(raw as u32)
    }
    fn show(raw: u64, to: &mut Show<'_>) {
        to.permissions(raw as u32);
    }
}

/// An address that is a value, not read or written by the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub u64);

impl Argument for Address {
    fn decode(raw: u64) -> Self {
        Self(raw)
    }
}

/// A path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPath(pub u64);

impl Argument for UserPath {
    const SHAPE: Shape = Shape::String;
    fn decode(raw: u64) -> Self {
        Self(raw)
    }
    fn show(raw: u64, to: &mut Show<'_>) {
        to.path(raw);
    }
}

impl UserPath {
    /// Its bytes. `EFAULT`, `ENAMETOOLONG`.
    pub fn read(self, memory: &UserMemory) -> Result<Vec<u8>> {
        memory.read_path(self.0)
    }
}

/// A NUL-terminated string that is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserString(pub u64);

impl Argument for UserString {
    const SHAPE: Shape = Shape::String;
    fn decode(raw: u64) -> Self {
        Self(raw)
    }
    fn show(raw: u64, to: &mut Show<'_>) {
        to.path(raw);
    }
}

/// A NULL-terminated array of strings (argv, envp).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserStrings(pub u64);

impl Argument for UserStrings {
    const SHAPE: Shape = Shape::Opaque;
    fn decode(raw: u64) -> Self {
        Self(raw)
    }
    fn show(raw: u64, to: &mut Show<'_>) {
        to.array::<u64>(raw, to.pointers(raw), |to, string| to.string(*string));
    }
}

/// A buffer that the call reads; its length is argument `LEN` (counted from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InBytes<const LEN: usize>(pub u64);

impl<const LEN: usize> Argument for InBytes<LEN> {
    const SHAPE: Shape = Shape::ReadBytes(LEN);
    fn decode(raw: u64) -> Self {
        Self(raw)
    }
    fn show(raw: u64, to: &mut Show<'_>) {
        let len = to.argument(LEN);
        to.buffer(raw, len);
    }
}

/// A buffer that the call writes; its length is argument `LEN` (counted from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutBytes<const LEN: usize>(pub u64);

impl<const LEN: usize> Argument for OutBytes<LEN> {
    const SHAPE: Shape = Shape::WriteBytes(LEN);
    fn decode(raw: u64) -> Self {
        Self(raw)
    }
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.succeeded() {
            Some(len) => to.buffer(raw, len),
            None => to.address(raw),
        }
    }
}

/// Memory whose size and use only the call knows (arrays with a count of elements, ioctl arguments…).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserOpaque(pub u64);

impl Argument for UserOpaque {
    const SHAPE: Shape = Shape::Opaque;
    fn decode(raw: u64) -> Self {
        Self(raw)
    }
}

macro_rules! pointers {
    ($($(#[$meta:meta])* $name:ident $shape:ident)*) => { $(
        $(#[$meta])*
        pub struct $name<T> {
            address: u64,
            kind: PhantomData<fn() -> T>,
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for $name<T> {}

        impl<T: Structure> Argument for $name<T> {
            const SHAPE: Shape = Shape::$shape(size_of::<T>());
            fn decode(raw: u64) -> Self {
                Self { address: raw, kind: PhantomData }
            }
            fn show(raw: u64, to: &mut Show<'_>) {
                views::pointed::<T>(raw, to);
            }
        }

        impl<T> $name<T> {
            /// Where it points.
            pub fn address(self) -> u64 {
                self.address
            }

            /// Whether it is NULL.
            pub fn is_null(self) -> bool {
                self.address == 0
            }
        }
    )* };
}

pointers! {
    /// A structure that the call reads.
    In Read
    /// A structure that the call writes.
    Out Write
    /// A structure that the call reads and writes.
    InOut ReadWrite
}

impl<T: FromBytes + IntoBytes> In<T> {
    /// Copies it. `EFAULT`.
    pub fn read(self, memory: &UserMemory) -> Result<T> {
        memory.read(self.address)
    }

    /// Copies it, unless the pointer is NULL.
    pub fn read_if(self, memory: &UserMemory) -> Result<Option<T>> {
        if self.is_null() { Ok(None) } else { self.read(memory).map(Some) }
    }
}

impl<T: IntoBytes + Immutable> Out<T> {
    /// Writes it. `EFAULT`.
    pub fn write(self, memory: &UserMemory, value: &T) -> Result<()> {
        memory.write(self.address, value)
    }

    /// Writes it, unless the pointer is NULL.
    pub fn write_if(self, memory: &UserMemory, value: &T) -> Result<()> {
        if self.is_null() { Ok(()) } else { self.write(memory, value) }
    }
}

impl<T: FromBytes + IntoBytes + Immutable> InOut<T> {
    /// Copies it. `EFAULT`.
    pub fn read(self, memory: &UserMemory) -> Result<T> {
        memory.read(self.address)
    }

    /// Writes it. `EFAULT`.
    pub fn write(self, memory: &UserMemory, value: &T) -> Result<()> {
        memory.write(self.address, value)
    }
}

macro_rules! flag_words {
    ($($ty:path, $show:expr;)*) => { $(impl Argument for $ty {
        fn decode(raw: u64) -> Self {
            Self::from_bits_retain(raw as _)
        }
        fn show(raw: u64, to: &mut Show<'_>) {
            let show: fn(Self, &mut Show<'_>) = $show;
            show(Self::from_bits_retain(raw as _), to);
        }
    })* };
}

flag_words! {
    moat_abi::fcntl::OpenFlags, views::files::show_open_flags;
    moat_abi::fcntl::AtFlags, |flags, to| to.flag_word(flags, "AT_", "0");
    moat_abi::fcntl::FallocateFlags, |flags, to| to.flag_word(flags, "FALLOC_FL_", "0");
    moat_abi::fcntl::RenameFlags, |flags, to| to.flag_word(flags, "RENAME_", "0");
    moat_abi::mman::Prot, views::memory::show_protection;
    moat_abi::mman::MapFlags, views::memory::show_map_flags;
    moat_abi::mman::MremapFlags, |flags, to| to.flag_word(flags, "MREMAP_", "0");
    moat_abi::mman::MemfdFlags, |flags, to| to.flag_word(flags, "MFD_", "0");
    moat_abi::mman::MsyncFlags, |flags, to| to.flag_word(flags, "MS_", "0");
    moat_abi::mount::MountFlags, |flags, to| to.flag_word(flags, "MS_", "0");
    moat_abi::sched::CloneFlags, |flags, to| to.flag_word(flags, "CLONE_", "0");
    moat_abi::socket::MsgFlags, |flags, to| to.flag_word(flags, "MSG_", "0");
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this value in rax.
    Value(u64),
    /// With the registers as the call left them (rt_sigreturn, execve).
    Registers,
}

/// What a call may return.
pub trait Returned {
    /// As an outcome.
    fn outcome(self) -> Outcome;
}

macro_rules! returned {
    ($($ty:ty)*) => { $(impl Returned for $ty {
        fn outcome(self) -> Outcome {
            Outcome::Value(self as u64)
        }
    })* };
}
returned! { u64 i64 u32 i32 usize }

impl Returned for () {
    fn outcome(self) -> Outcome {
        Outcome::Value(0)
    }
}

impl Returned for Fd {
    fn outcome(self) -> Outcome {
        Outcome::Value(self.0 as u64)
    }
}

impl Returned for Address {
    fn outcome(self) -> Outcome {
        Outcome::Value(self.0)
    }
}

impl View for () {
    fn show(_raw: u64, to: &mut Show<'_>) {
        to.str("0");
    }
}

/// The call has set the registers itself.
#[derive(Clone, Copy, Debug)]
pub struct Replaced;

impl Returned for Replaced {
    fn outcome(self) -> Outcome {
        Outcome::Registers
    }
}

impl View for Replaced {
    fn show(raw: u64, to: &mut Show<'_>) {
        to.put(format_args!("{raw}"));
    }
}
