//! What an attacker knows of the stub, taken from the platform itself.

use std::fmt::Write;

use moat_platform::APPLICATION_END;
use moat_platform::stub::layout;
use moat_platform::trap::slots::{SLOT, STACK, offset};

/// As a header for C.
pub fn header() -> String {
    let all = [
        ("APPLICATION_END", APPLICATION_END),
        ("STUB_END", layout::END),
        ("CODE", layout::CODE),
        ("CODE_SIZE", layout::CODE_SIZE),
        ("TRAP_CODE", layout::TRAP_CODE),
        ("TRAP_CODE_SIZE", layout::TRAP_CODE_SIZE),
        ("ORDERS", layout::ORDERS),
        ("VDSO", layout::VDSO),
        ("SLOTS", layout::SLOTS),
        ("SLOT", SLOT as u64),
        ("STACK", STACK as u64),
        ("OFFSET_POSTED", offset::POSTED as u64),
        ("OFFSET_ANSWERED", offset::ANSWERED as u64),
        ("OFFSET_STOP", offset::STOP as u64),
        ("OFFSET_ACTION", offset::ACTION as u64),
        ("OFFSET_NUMBER", offset::NUMBER as u64),
        ("OFFSET_ARGUMENTS", offset::ARGUMENTS as u64),
        ("OFFSET_CONTEXT", offset::CONTEXT as u64),
        ("OFFSET_SPINS", offset::SPINS as u64),
    ];
    let mut header = String::new();
    for (name, value) in all {
        writeln!(header, "#define {name} {value:#x}ul").unwrap();
    }
    header
}
