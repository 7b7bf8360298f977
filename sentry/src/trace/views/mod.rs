//! Views for arguments whose type does not say enough: an `i32` that is a `whence`, an address of poll's array.

pub mod control;
pub mod events;
pub mod files;
pub mod memory;
pub mod process;
pub mod signals;
pub mod sockets;
pub mod time;

use super::show::{Show, View};
use super::structures::Structure;

/// A number in hexadecimal.
pub struct Hex;

impl View for Hex {
    fn show(raw: u64, to: &mut Show<'_>) {
        to.hex(raw);
    }
}

/// A number in octal.
pub struct Octal;

impl View for Octal {
    fn show(raw: u64, to: &mut Show<'_>) {
        match raw {
            0 => to.str("0"),
            _ => to.put(format_args!("0{raw:o}")),
        }
    }
}

/// A signed 32-bit number.
pub struct Signed;

impl View for Signed {
    fn show(raw: u64, to: &mut Show<'_>) {
        to.put(format_args!("{}", raw as i32));
    }
}

/// A user or group, -1 for none.
pub struct Id;

impl View for Id {
    fn show(raw: u64, to: &mut Show<'_>) {
        to.id(raw as u32);
    }
}

/// A NUL-terminated string that is data, cut.
pub struct Text;

impl View for Text {
    fn show(raw: u64, to: &mut Show<'_>) {
        to.string(raw);
    }
}

/// A structure that the call writes.
pub struct Made<T>(std::marker::PhantomData<T>);

impl<T: Structure> View for Made<T> {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        pointed::<T>(raw, to);
    }
}

/// A length that the call reads and writes, and that is shown even if it failed.
pub struct Length;

impl View for Length {
    const LATE: bool = true;
    const REMEMBERED: usize = 4;
    fn show(raw: u64, to: &mut Show<'_>) {
        match (to.read::<u32>(raw), to.before(raw)) {
            (Some(length), Some(before)) if before != u64::from(length) => {
                to.put(format_args!("[{before} => {length}]"))
            }
            (Some(length), _) => to.put(format_args!("[{length}]")),
            (None, _) => to.address(raw),
        }
    }
}

/// An array of numbers; argument `COUNT` says how many.
pub struct Numbers<const COUNT: usize>;

impl<const COUNT: usize> View for Numbers<COUNT> {
    fn show(raw: u64, to: &mut Show<'_>) {
        let count = to.argument(COUNT);
        to.array::<u32>(raw, count, |to, id| to.id(*id));
    }
}

/// An array of numbers that the call fills; its result says how many.
pub struct NumbersOut;

impl View for NumbersOut {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.succeeded() {
            Some(count) => to.array::<u32>(raw, count, |to, id| to.id(*id)),
            None => to.address(raw),
        }
    }
}

/// What a pointer points to, or the address if that cannot be read or was not written.
pub fn pointed<T: Structure>(address: u64, to: &mut Show<'_>) {
    match to.read::<T>(address) {
        Some(value) if !to.failed() => value.show_pointed(to),
        _ => to.address(address),
    }
}
