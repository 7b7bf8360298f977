//! Mount options (tmpfs(5)).

use moat_abi::errno::Errno;

use crate::Result;

/// What a tmpfs is told at the mount.
#[derive(Clone, Debug)]
pub struct TmpfsOptions {
    /// The most bytes; `None` is half of the memory, 0 is no limit.
    pub size: Option<u64>,
    /// The most inodes; `None` is one for each page of half the memory, 0 is no limit.
    pub inodes: Option<u64>,
    /// Permissions of the root.
    pub mode: u32,
    /// Owner of the root.
    pub uid: u32,
    /// Group of the root.
    pub gid: u32,
    /// What was said, for `/proc/mounts`.
    shown: String,
}

impl Default for TmpfsOptions {
    fn default() -> Self {
        Self { size: None, inodes: None, mode: 0o1777, uid: 0, gid: 0, shown: String::new() }
    }
}

impl TmpfsOptions {
    /// Without limits.
    pub fn unlimited() -> Self {
        Self { size: Some(0), inodes: Some(0), ..Self::default() }
    }

    /// From a comma-separated list. `memory` is what a percentage is of. `EINVAL` for what tmpfs does not know.
    pub fn parse(text: &str, memory: u64) -> Result<Self> {
        let mut options = Self::default();
        for option in text.split(',').filter(|o| !o.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "size" => {
                    let bytes = match value.strip_suffix('%') {
                        Some(percent) => memory / 100 * percent.parse::<u64>().map_err(|_| Errno::EINVAL)?,
                        None => parse_size(value)?,
                    };
                    options.size = Some(bytes.next_multiple_of(4096));
                    options.shown.push_str(&format!(",size={}k", bytes.div_ceil(4096) * 4));
                }
                "nr_blocks" => {
                    let bytes = parse_size(value)?.checked_mul(4096).ok_or(Errno::EINVAL)?;
                    options.size = Some(bytes);
                    options.shown.push_str(&format!(",size={}k", bytes / 1024));
                }
                "nr_inodes" => {
                    let inodes = parse_size(value)?;
                    options.inodes = Some(inodes);
                    options.shown.push_str(&format!(",nr_inodes={inodes}"));
                }
                "mode" => {
                    options.mode = u32::from_str_radix(value, 8).map_err(|_| Errno::EINVAL)? & 0o7777;
                    options.shown.push_str(&format!(",mode={:o}", options.mode));
                }
                "uid" => {
                    options.uid = value.parse().map_err(|_| Errno::EINVAL)?;
                    options.shown.push_str(&format!(",uid={}", options.uid));
                }
                "gid" => {
                    options.gid = value.parse().map_err(|_| Errno::EINVAL)?;
                    options.shown.push_str(&format!(",gid={}", options.gid));
                }
                "huge" | "mpol" | "inode32" | "inode64" | "noswap" => {}
                _ => return Err(Errno::EINVAL),
            }
        }
        Ok(options)
    }

    /// What `/proc/mounts` shows behind the generic options.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// A number with an optional `k`, `m`, `g` or `t` (memparse).
fn parse_size(text: &str) -> Result<u64> {
    let (digits, shift) = match text.chars().last().map(|c| c.to_ascii_lowercase()) {
        Some('k') => (&text[..text.len() - 1], 10),
        Some('m') => (&text[..text.len() - 1], 20),
        Some('g') => (&text[..text.len() - 1], 30),
        Some('t') => (&text[..text.len() - 1], 40),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| Errno::EINVAL)?;
    number.checked_mul(1 << shift).ok_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_suffixes_and_percent() {
        let options = TmpfsOptions::parse("size=64k,mode=755,uid=7,nr_inodes=1k", 0).unwrap();
        assert_eq!((options.size, options.inodes, options.mode, options.uid), (Some(65_536), Some(1024), 0o755, 7));
        assert_eq!(options.shown(), ",size=64k,mode=755,uid=7,nr_inodes=1024");
        assert_eq!(TmpfsOptions::parse("size=50%", 8 << 20).unwrap().size, Some((4 << 20) / 4096 * 4096));
        assert_eq!(TmpfsOptions::parse("size=x", 0).unwrap_err(), Errno::EINVAL);
        assert_eq!(TmpfsOptions::parse("wrong", 0).unwrap_err(), Errno::EINVAL);
    }
}
