//! Printers: flags and strings as strace prints them.

use std::fmt::Write;

/// Flags by name, each with `prefix`; bits without a name as one hexadecimal number; `none` (such as `0` or
/// `PROT_NONE`) if there are no bits.
pub fn flags<F>(out: &mut String, value: F, prefix: &str, none: &str)
where
    F: bitflags::Flags + Copy,
    F::Bits: Into<u64> + Copy,
{
    let mut rest: u64 = value.bits().into();
    if rest == 0 {
        out.push_str(none);
        return;
    }
    let mut separator = "";
    for flag in F::FLAGS {
        let bits: u64 = flag.value().bits().into();
        if !flag.name().is_empty() && bits != 0 && rest & bits == bits {
            let _ = write!(out, "{separator}{prefix}{}", flag.name());
            separator = "|";
            rest &= !bits;
        }
    }
    if rest != 0 {
        let _ = write!(out, "{separator}{rest:#x}");
    }
}

/// A string in quotes, escaped as strace does (octal for what is not printable), cut after `limit` bytes.
pub fn string(out: &mut String, bytes: &[u8], limit: usize) {
    out.push('"');
    let shown = &bytes[..bytes.len().min(limit)];
    for (i, &byte) in shown.iter().enumerate() {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            0x0b => out.push_str("\\v"),
            0x0c => out.push_str("\\f"),
            b'\r' => out.push_str("\\r"),
            b' '..=b'~' => out.push(byte as char),
            _ => {
                // A digit behind would be taken for part of the escape.
                let digit_follows = shown.get(i + 1).is_some_and(u8::is_ascii_digit);
                let _ = if digit_follows { write!(out, "\\{byte:03o}") } else { write!(out, "\\{byte:o}") };
            }
        }
    }
    out.push('"');
    if bytes.len() > limit {
        out.push_str("...");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fcntl::OpenFlags;

    #[test]
    fn strings_are_escaped_as_strace_escapes_them() {
        let mut out = String::new();
        string(&mut out, b"a\n\x001\x00b\"", 32);
        assert_eq!(out, r#""a\n\0001\0b\"""#);
        out.clear();
        string(&mut out, &[b'x'; 40], 32);
        assert!(out.ends_with("\"..."));
    }

    #[test]
    fn unknown_flags_are_shown_as_a_number() {
        let mut out = String::new();
        flags(&mut out, OpenFlags::CREAT | OpenFlags::from_bits_retain(1 << 30), "O_", "0");
        assert_eq!(out, "O_CREAT|0x40000000");
    }
}
