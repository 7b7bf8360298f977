//! How values look in trace text: what [`View`]s write with, and the ways to write that many of them share.

use std::fmt::{self, Write};

use moat_abi::print;
use moat_abi::signal::{SigSet, Signal};
use zerocopy::FromBytes;

use crate::Result;
use crate::mm::user::UserMemory;

/// How one argument (or the result) of a system call is shown.
pub trait View {
    /// Whether it can be shown only after the call.
    const LATE: bool = false;
    /// Whether it may show nothing at all, so that its comma is its own affair.
    const OPTIONAL: bool = false;
    /// How many bytes (up to 8) where it points to are shown as they were before the call, by [`Show::before`].
    const REMEMBERED: usize = 0;

    /// Writes what stands in the register `raw`.
    fn show(raw: u64, to: &mut Show<'_>);

    /// Writes what the call made of it, for behind the result: poll's `([{fd=3, revents=POLLIN}])`. Nothing, mostly.
    fn show_behind(_raw: u64, _to: &mut Show<'_>) {}
}

/// Application memory, as the tracer reads it.
pub trait Memory: Sync {
    /// Fills `to`; false if any of it cannot be read.
    fn read(&self, from: u64, to: &mut [u8]) -> bool;
}

impl Memory for UserMemory {
    fn read(&self, from: u64, to: &mut [u8]) -> bool {
        self.read_bytes(from, to).is_ok()
    }
}

/// The most elements of an array that are shown, as strace has it.
const ARRAY_MAX: u64 = 32;
/// The longest path that is shown whole.
const PATH_MAX: usize = 4096;

/// Text under way, and what it is about.
pub struct Show<'a> {
    text: String,
    memory: &'a dyn Memory,
    arguments: [u64; 6],
    result: Option<Result<u64>>,
    /// Numbers before the call, by address.
    remembered: Vec<(u64, u64)>,
    limit: usize,
}

impl fmt::Write for Show<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        Ok(())
    }
}

impl<'a> Show<'a> {
    /// For a call with these arguments that has not been made yet; strings are cut after `limit` bytes.
    pub fn new(memory: &'a dyn Memory, arguments: [u64; 6], limit: usize) -> Self {
        Self { text: String::new(), memory, arguments, result: None, remembered: Vec::new(), limit }
    }

    /// The call has been made.
    pub fn set_result(&mut self, result: Result<u64>) {
        self.result = Some(result);
    }

    /// The numbers that were there before the call.
    pub fn set_remembered(&mut self, remembered: Vec<(u64, u64)>) {
        self.remembered = remembered;
    }

    /// The number that was at `address` before the call.
    pub fn before(&self, address: u64) -> Option<u64> {
        self.remembered.iter().find(|(at, _)| *at == address).map(|(_, number)| *number)
    }

    /// The little-endian number of `len` bytes at `address`.
    pub fn number(&self, address: u64, len: usize) -> Option<u64> {
        let bytes = self.bytes(address, len)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The text so far, which is taken.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Another argument of the same call.
    pub fn argument(&self, index: usize) -> u64 {
        self.arguments.get(index).copied().unwrap_or_default()
    }

    /// The result, if the call has been made and has not failed.
    pub fn succeeded(&self) -> Option<u64> {
        self.result.and_then(Result::ok)
    }

    /// Whether the call has been made and has failed: what it would have written is shown as an address then.
    pub fn failed(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }

    /// Writes text.
    pub fn str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Writes formatted text.
    pub fn put(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(text);
    }

    /// `NULL` or a hexadecimal address.
    pub fn address(&mut self, address: u64) {
        match address {
            0 => self.str("NULL"),
            _ => self.put(format_args!("{address:#x}")),
        }
    }

    /// A hexadecimal number; `0` without `0x`.
    pub fn hex(&mut self, value: u64) {
        match value {
            0 => self.str("0"),
            _ => self.put(format_args!("{value:#x}")),
        }
    }

    /// Permission bits, in octal.
    pub fn permissions(&mut self, mode: u32) {
        self.put(format_args!("0{:02o}", mode));
    }

    /// A user or group, of which -1 is nobody.
    pub fn id(&mut self, id: u32) {
        match id {
            u32::MAX => self.str("-1"),
            _ => self.put(format_args!("{id}")),
        }
    }

    /// A directory descriptor.
    pub fn directory(&mut self, fd: i32) {
        match fd {
            moat_abi::fcntl::AT_FDCWD => self.str("AT_FDCWD"),
            _ => self.put(format_args!("{fd}")),
        }
    }

    /// A signal by name.
    pub fn signal(&mut self, raw: i32) {
        match Signal::from_raw(raw) {
            Some(signal) => self.str(&signal.name()),
            None => self.put(format_args!("{raw}")),
        }
    }

    /// A set of signals: `[INT CHLD]`, or what is not in it if that is shorter.
    pub fn signals(&mut self, set: SigSet) {
        let inverted = set.bits().count_ones() >= 64 * 2 / 3;
        let bits = if inverted { !set.bits() } else { set.bits() };
        self.str(if inverted { "~[" } else { "[" });
        let mut separator = "";
        for raw in (1..=64).filter(|n| bits & (1 << (n - 1)) != 0) {
            if let Some(signal) = Signal::from_raw(raw) {
                let name = signal.name();
                self.put(format_args!("{separator}{}", name.strip_prefix("SIG").unwrap_or(&name)));
                separator = " ";
            }
        }
        self.str("]");
    }

    /// Flags of a flag type.
    pub fn flag_word<F>(&mut self, value: F, prefix: &str, none: &str)
    where
        F: bitflags::Flags + Copy,
        F::Bits: Into<u64> + Copy,
    {
        print::flags(&mut self.text, value, prefix, none);
    }

    /// One name of several, or the number with what it was to be.
    pub fn choice(&mut self, value: u64, names: &[(u64, &str)], unknown: &str) {
        match names.iter().find(|(v, _)| *v == value) {
            Some((_, name)) => self.str(name),
            None if value == 0 => self.put(format_args!("0 /* {unknown} */")),
            None => self.put(format_args!("{value:#x} /* {unknown} */")),
        }
    }

    /// Flags by name; bits without one as a number. A name whose value is 0 stands for no flags.
    pub fn flags(&mut self, value: u64, names: &[(u64, &str)], unknown: &str) {
        if value == 0 {
            return self.str(names.iter().find(|(v, _)| *v == 0).map_or("0", |(_, name)| name));
        }
        let mut rest = value;
        let mut separator = "";
        for (bits, name) in names.iter().filter(|(bits, _)| *bits != 0) {
            if rest & bits == *bits {
                self.put(format_args!("{separator}{name}"));
                separator = "|";
                rest &= !bits;
            }
        }
        match (rest, separator) {
            (0, _) => {}
            (_, "") => self.put(format_args!("{rest:#x} /* {unknown} */")),
            _ => self.put(format_args!("|{rest:#x}")),
        }
    }

    /// Bytes as a string in quotes, cut.
    pub fn quoted(&mut self, bytes: &[u8]) {
        print::string(&mut self.text, bytes, self.limit);
    }

    /// Bytes as a string in quotes, whole.
    pub fn quoted_whole(&mut self, bytes: &[u8]) {
        print::string(&mut self.text, bytes, usize::MAX);
    }

    /// Bytes in quotes, each in hexadecimal: random ones.
    pub fn quoted_hex(&mut self, address: u64, len: u64) {
        let shown = usize::try_from(len).unwrap_or(usize::MAX).min(self.limit);
        let Some(bytes) = self.bytes(address, shown) else { return self.address(address) };
        self.str("\"");
        for byte in bytes {
            self.put(format_args!("\\x{byte:02x}"));
        }
        self.str(if len > shown as u64 { "\"..." } else { "\"" });
    }

    /// A structure in application memory.
    pub fn read<T: FromBytes>(&self, from: u64) -> Option<T> {
        if from == 0 {
            return None;
        }
        self.bytes(from, size_of::<T>()).and_then(|bytes| T::read_from_bytes(&bytes).ok())
    }

    /// Bytes of application memory.
    pub fn bytes(&self, from: u64, len: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; len];
        (len == 0 || self.memory.read(from, &mut bytes)).then_some(bytes)
    }

    /// The bytes at `address`, as a string.
    pub fn buffer(&mut self, address: u64, len: u64) {
        if address == 0 {
            return self.str("NULL");
        }
        // One more than is shown, which tells that something is left out.
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match self.bytes(address, len.min(self.limit.saturating_add(1))) {
            Some(bytes) => self.quoted(&bytes),
            None => self.address(address),
        }
    }

    fn string_at(&mut self, address: u64, limit: usize) {
        if address == 0 {
            return self.str("NULL");
        }
        let mut bytes = Vec::new();
        let mut at = address;
        while bytes.len() <= limit {
            let room = (64 - (at & 63)) as usize;
            let Some(piece) = self.bytes(at, room) else { return self.address(address) };
            let end = piece.iter().position(|&b| b == 0);
            bytes.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
            if end.is_some() {
                break;
            }
            at = at.wrapping_add(room as u64);
        }
        print::string(&mut self.text, &bytes, limit);
    }

    /// A NUL-terminated string, cut.
    pub fn string(&mut self, address: u64) {
        self.string_at(address, self.limit);
    }

    /// A NUL-terminated path, whole.
    pub fn path(&mut self, address: u64) {
        self.string_at(address, PATH_MAX);
    }

    /// How many pointers stand at `address` before a NULL.
    pub fn pointers(&self, address: u64) -> u64 {
        const MANY: u64 = 0x10_0000;
        (0..MANY).find(|i| self.read::<u64>(address.wrapping_add(8 * i)).is_none_or(|p| p == 0)).unwrap_or(MANY)
    }

    /// An array of `count` elements of `T`, each written by `element`.
    pub fn array<T: FromBytes>(&mut self, address: u64, count: u64, mut element: impl FnMut(&mut Self, &T)) {
        if address == 0 {
            return self.str("NULL");
        }
        if count == 0 {
            return self.str("[]");
        }
        if self.read::<T>(address).is_none() {
            return self.address(address);
        }
        self.str("[");
        for i in 0..count {
            if i > 0 {
                self.str(", ");
            }
            if i == ARRAY_MAX {
                self.str("...");
                break;
            }
            let at = address.wrapping_add(i * size_of::<T>() as u64);
            match self.read::<T>(at) {
                Some(value) => element(self, &value),
                None => {
                    self.put(format_args!("... /* {at:#x} */"));
                    break;
                }
            }
        }
        self.str("]");
    }
}

/// Declares views that show one name of several.
macro_rules! choices {
    ($($(#[$meta:meta])* $view:ident $unknown:literal { $($name:ident $value:literal)* })*) => { $(
        $(#[$meta])*
        pub struct $view;

        impl $view {
            /// The numbers with their names.
            pub const NAMES: &[(u64, &str)] = &[$(($value, stringify!($name))),*];
        }

        impl $crate::trace::show::View for $view {
            fn show(raw: u64, to: &mut $crate::trace::show::Show<'_>) {
                to.choice(u64::from(raw as u32), Self::NAMES, $unknown);
            }
        }
    )* };
}

/// Declares views that show flags.
macro_rules! flags {
    ($($(#[$meta:meta])* $view:ident $unknown:literal { $($name:ident $value:literal)* })*) => { $(
        $(#[$meta])*
        pub struct $view;

        impl $view {
            /// The bits with their names.
            pub const NAMES: &[(u64, &str)] = &[$(($value, stringify!($name))),*];
        }

        impl $crate::trace::show::View for $view {
            fn show(raw: u64, to: &mut $crate::trace::show::Show<'_>) {
                to.flags(u64::from(raw as u32), Self::NAMES, $unknown);
            }
        }
    )* };
}

pub(crate) use {choices, flags};
