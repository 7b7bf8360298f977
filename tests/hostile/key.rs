//! The key that mappers' calls carry, as the host's root sees it: it must stand in no memory that an application can read.

use std::fs;
use std::os::unix::fs::FileExt;

/// The key of a sandbox with this lead, whose mapper waits for orders most of the time: it is the last argument of that
/// call.
pub fn of(lead: u64) -> u64 {
    for _ in 0..1000 {
        let call = fs::read_to_string(format!("/proc/{lead}/task/{lead}/syscall")).unwrap();
        let words: Vec<_> = call.split_whitespace().collect();
        if words.len() == 9 && words[0] == libc::SYS_futex.to_string() {
            return u64::from_str_radix(words[6].trim_start_matches("0x"), 16).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("the mapper does not wait");
}

/// Where in the memory of a process it stands, its halves together or no further apart than in the filter. What goes away
/// meanwhile is not looked at.
pub fn places(pid: u64, key: u64) -> Vec<u64> {
    const NEAR: usize = 128;
    let halves = [key as u32, (key >> 32) as u32].map(u32::to_le_bytes);
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let Ok(memory) = fs::File::open(format!("/proc/{pid}/mem")) else { return Vec::new() };
    let mut found = Vec::new();
    for map in maps.lines().filter(|map| !map.contains("[v")) {
        let Some((from, rest)) = map.split_once('-') else { continue };
        let (from, to) = (u64::from_str_radix(from, 16), u64::from_str_radix(rest.split(' ').next().unwrap_or(""), 16));
        let (Ok(from), Ok(to)) = (from, to) else { continue };
        let mut bytes = vec![0; (to - from) as usize];
        if memory.read_exact_at(&mut bytes, from).is_err() {
            continue;
        }
        let at = |half: [u8; 4], bytes: &[u8]| bytes.windows(4).position(|word| word == half);
        let mut begin = 0;
        while let Some(low) = at(halves[0], &bytes[begin..]) {
            let place = begin + low;
            let near = &bytes[place.saturating_sub(NEAR)..bytes.len().min(place + NEAR)];
            if at(halves[1], near).is_some() {
                found.push(from + place as u64);
            }
            begin = place + 1;
        }
    }
    found
}
