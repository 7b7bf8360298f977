//! Files of the namespace's /proc/net.

use std::collections::HashMap;

use moat_abi::socket as s;
use moat_host::HostFile;

use super::errno;
use crate::Result;
use crate::net::NetNamespace;

/// The most that is read of one.
const TEXT_MAX: usize = 4 << 20;
const PIECE: usize = 64 << 10;

/// The text of a file. Sockets of the guest belong to who made them, not to the sentry's user.
pub fn read(net: &NetNamespace, name: &str, file: &HostFile) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut piece = vec![0; PIECE];
    while text.len() < TEXT_MAX {
        match file.read_at(&mut piece, text.len() as u64).map_err(errno)? {
            0 => break,
            n => text.extend_from_slice(&piece[..n]),
        }
    }
    if !matches!(name, "tcp" | "tcp6" | "udp" | "udp6") {
        return Ok(text);
    }
    Ok(with_owners(&String::from_utf8_lossy(&text), &owners(net)).into_bytes())
}

/// Who made the inet sockets, by number.
pub fn owners(net: &NetNamespace) -> HashMap<u64, u32> {
    let families = [s::AF_INET, s::AF_INET6];
    families.iter().flat_map(|&f| net.sockets.of_family(f)).map(|socket| (socket.id, socket.owner.uid)).collect()
}

/// The columns of user and inode number in the lines of tcp and udp.
const USER: usize = 7;
const INODE: usize = 9;

fn with_owners(text: &str, owners: &HashMap<u64, u32>) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let owner = columns.get(INODE).and_then(|c| c.parse().ok()).and_then(|inode: u64| owners.get(&inode));
        match (owner, columns.get(USER)) {
            (Some(owner), Some(user)) => {
                let at = user.as_ptr() as usize - line.as_ptr() as usize;
                // The column is five wide, right-aligned.
                let start = (at + user.len()).saturating_sub(5.max(user.len()));
                out.push_str(&line[..start]);
                out.push_str(&format!("{owner:5}"));
                out.push_str(&line[at + user.len()..]);
            }
            _ => out.push_str(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_the_guest_belong_to_who_made_them() {
        let line = "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0\n";
        let text = format!("  sl  local_address rem_address\n{line}");
        let told = with_owners(&text, &HashMap::from([(4711, 33)]));
        assert_eq!(told, text.replace(" 1000 ", "   33 "));
        assert_eq!(with_owners(&text, &HashMap::from([(4712, 33)])), text);
    }
}
