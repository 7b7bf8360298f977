//! The patched text of a file: a copy of it in a memory file, with the code that its sites jump to behind it.
//!
//! For each site there is a *thunk*: the instruction that was before the call, `lea r11, [behind the call]`, and a jump to
//! the code that makes calls. All of an image's thunks lie at one distance from its text, wherever that is mapped.

use std::sync::Arc;

use moat_host::HostFile;

use super::scan::{self, LONG_JUMP, SHORT_JUMP, Site};
use crate::trap::code::Entry;
use crate::{PAGE_SIZE, Text};

/// The most bytes of a text that are copied.
const TEXT_MAX: u64 = 16 << 20;
/// From the place of one image's thunks to that of the next.
const TURN: u64 = 256 << 10;
/// Bytes of a thunk. The first of an image's places holds the address that the others jump to.
const THUNK: usize = 32;
/// What fills the room that a jump leaves: a breakpoint, which nothing reaches.
const FILLER: u8 = 0xcc;
/// How far a jump reaches.
const REACH: i64 = 1 << 31;

/// See the module.
pub struct Image {
    /// The text, and behind it the thunks.
    pub file: Arc<HostFile>,
    /// Bytes of the text.
    pub len: u64,
    /// Bytes of the thunks.
    pub thunks: u64,
    /// From the text's begin to that of the thunks.
    distance: i64,
    sites: Vec<Site>,
    /// What was at each place that was changed, in the order of the places.
    originals: Vec<(usize, Vec<u8>)>,
}

impl Image {
    /// Makes the image of `text`, with its thunks where `text.room` is now; `None` if there is nothing to be patched or no
    /// memory. Images of different `turn` have their thunks at different places of one room, if it is large enough.
    pub fn new(text: &Text, turn: u64) -> Option<Self> {
        if text.len > TEXT_MAX || text.room.end <= text.room.start {
            return None;
        }
        let mut bytes = read(text)?;
        let sites = scan::sites(&bytes);
        if sites.is_empty() {
            return None;
        }
        let thunks = (THUNK * (sites.len() + 1)).next_multiple_of(PAGE_SIZE as usize);
        // Not at its beginning: where the text lies varies a little from program to program.
        let quarter = ((text.room.end - text.room.start) / 4) & !(PAGE_SIZE - 1);
        let turn = turn % (2 * quarter / TURN).max(1) * TURN;
        let distance = (text.room.start + quarter + turn).wrapping_sub(text.at) as i64;
        if distance.abs() + (bytes.len() + thunks) as i64 >= REACH {
            return None;
        }
        let mut originals = Vec::new();
        let mut code = vec![FILLER; thunks];
        code[..8].copy_from_slice(&Entry::Call.address().to_le_bytes());
        for (i, site) in sites.iter().enumerate() {
            let at = THUNK * (i + 1);
            let thunk = thunk(&bytes, site, at, distance);
            code[at..at + thunk.len()].copy_from_slice(&thunk);
            let jump = site.island.unwrap_or(site.start);
            if let Some(island) = site.island {
                let mut short = vec![FILLER; site.call - site.start];
                short[0] = 0xeb;
                short[1] = (island as i64 - (site.start + SHORT_JUMP) as i64) as u8;
                edit(&mut bytes, &mut originals, site.start, &short);
            }
            let room = if site.island.is_some() { LONG_JUMP } else { site.call - site.start };
            let mut long = vec![FILLER; room];
            long[0] = 0xe9;
            let displacement = distance + at as i64 - (jump + LONG_JUMP) as i64;
            long[1..LONG_JUMP].copy_from_slice(&(displacement as i32).to_le_bytes());
            edit(&mut bytes, &mut originals, jump, &long);
        }
        originals.sort_unstable();
        let file = HostFile::sealed("text", &[&bytes, &code]).ok()?;
        let (len, thunks) = (text.len, thunks as u64);
        Some(Self { file: Arc::new(file), len, thunks, distance, sites, originals })
    }

    /// Where its thunks will be for a text; `None` if that is no room for them.
    pub fn place(&self, text: &Text) -> Option<std::ops::Range<u64>> {
        let start = text.at.checked_add_signed(self.distance)?;
        let place = start..start.checked_add(self.thunks)?;
        (text.room.start <= place.start && place.end <= text.room.end).then_some(place)
    }

    /// The site whose thunk has this offset among the thunks, and whether the instruction there has been made.
    pub fn site_of_thunk(&self, offset: u64) -> Option<(Site, bool)> {
        let offset = usize::try_from(offset).ok()?;
        let site = self.sites.get((offset / THUNK).checked_sub(1)?)?;
        Some((*site, offset % THUNK != 0))
    }

    /// The site whose island has this offset in the text.
    pub fn site_of_island(&self, offset: u64) -> Option<Site> {
        self.sites.iter().find(|s| s.island.is_some_and(|island| island as u64 == offset)).copied()
    }

    /// Makes of bytes of the text, from `offset` on, what they are in the file.
    pub fn restore(&self, offset: u64, bytes: &mut [u8]) {
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        let first = self.originals.partition_point(|(at, original)| at + original.len() <= from);
        for (at, original) in self.originals[first..].iter().take_while(|(at, _)| *at < to) {
            for (i, byte) in original.iter().enumerate() {
                if let Some(place) = (at + i).checked_sub(from).and_then(|i| bytes.get_mut(i)) {
                    *place = *byte;
                }
            }
        }
    }
}

fn edit(bytes: &mut [u8], originals: &mut Vec<(usize, Vec<u8>)>, at: usize, new: &[u8]) {
    let place = &mut bytes[at..at + new.len()];
    originals.push((at, place.to_vec()));
    place.copy_from_slice(new);
}

/// The thunk of a site, `at` bytes behind the begin of the thunks.
fn thunk(text: &[u8], site: &Site, at: usize, distance: i64) -> Vec<u8> {
    let mut code = text[site.start..site.call].to_vec();
    // lea r11, [rip + …]
    let behind = at + code.len() + 7;
    code.extend([0x4c, 0x8d, 0x1d]);
    code.extend(((site.end() as i64 - distance - behind as i64) as i32).to_le_bytes());
    // jmp [rip + …]
    let behind = at + code.len() + 6;
    code.extend([0xff, 0x25]);
    code.extend((-(behind as i64) as i32).to_le_bytes());
    debug_assert!(code.len() <= THUNK);
    code
}

/// The text as the file has it; `None` if the file is shorter.
fn read(text: &Text) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(text.len).ok()?];
    let mut done = 0;
    while done < bytes.len() {
        match text.file.read_at(&mut bytes[done..], text.offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(_) => return None,
        }
    }
    // The last page may be filled in part only.
    (bytes.len() - done < PAGE_SIZE as usize).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protection;

    /// `mov $39,%eax; syscall; ret`, padding, and `f: xor %eax,%eax; syscall; ret` with padding behind.
    fn text() -> Vec<u8> {
        let mut text = vec![0x90; 64];
        text.extend([0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3]);
        text.resize(80, 0xcc);
        text.extend([0x48, 0x89, 0xd8, 0x48, 0x89, 0xd8, 0x31, 0xc0, 0x0f, 0x05, 0xc3]);
        text.resize(96, 0xcc);
        text.resize(4096, 0x90);
        text
    }

    fn image(bytes: &[u8], at: u64, room: std::ops::Range<u64>) -> Option<(Image, Text)> {
        let file = Arc::new(HostFile::sealed("test", &[bytes]).unwrap());
        let protection = Protection::READ | Protection::EXEC;
        let text = Text { at, len: bytes.len() as u64, protection, file, offset: 0, room, hot: true };
        Some((Image::new(&text, 3)?, text))
    }

    #[test]
    fn sites_lead_to_their_thunks_and_back() {
        let original = text();
        let (image, text) = image(&original, 0x40_0000, 0x4000_0000..0x4100_0000).unwrap();
        assert_eq!(image.sites.len(), 2);
        assert_eq!(image.sites[0], Site { start: 64, call: 69, island: None });
        assert_eq!(image.sites[1].call, 88);
        assert!(image.sites[1].island.is_some());
        let thunks = image.place(&text).unwrap();
        let mut patched = vec![0; 4096 + image.thunks as usize];
        assert_eq!(image.file.read_at(&mut patched, 0), Ok(patched.len()));
        let word = |at: usize| i64::from(i32::from_le_bytes(patched[at..at + 4].try_into().unwrap()));
        for (i, site) in image.sites.iter().enumerate() {
            assert_eq!(patched[site.call..site.end()], [0x0f, 0x05]);
            let jump = match site.island {
                Some(_) => (site.start + 2).wrapping_add_signed(patched[site.start + 1] as i8 as isize),
                None => site.start,
            };
            assert_eq!(patched[jump], 0xe9);
            let target = text.at as i64 + jump as i64 + 5 + word(jump + 1);
            assert_eq!(target as u64, thunks.start + 32 * (i as u64 + 1));
            // The address behind the call, and the one that all jump to.
            let (moved, thunk) = (site.call - site.start, 4096 + 32 * (i + 1));
            let lea = target + moved as i64 + 7;
            assert_eq!(lea + word(thunk + moved + 3), (text.at as usize + site.end()) as i64);
            let jump = target + moved as i64 + 13;
            assert_eq!(jump + word(thunk + moved + 9), thunks.start as i64);
            assert_eq!(image.site_of_thunk(target as u64 - thunks.start), Some((*site, false)));
        }
        let mut shown = patched[60..100].to_vec();
        image.restore(60, &mut shown);
        assert_eq!(shown, original[60..100]);
    }

    #[test]
    fn images_of_one_room_keep_out_of_each_others_way() {
        let original = text();
        let (first, text) = image(&original, 0x40_0000, 0x4000_0000..0x4100_0000).unwrap();
        let second = Image::new(&text, 4).unwrap();
        let (a, b) = (first.place(&text).unwrap(), second.place(&text).unwrap());
        assert!(a.end <= b.start || b.end <= a.start);
    }

    #[test]
    fn what_is_out_of_reach_is_left_alone() {
        assert!(image(&text(), 0x40_0000, 0x2_0000_0000..0x2_0100_0000).is_none());
        assert!(image(&[0x90; 4096], 0x40_0000, 0x4000_0000..0x4100_0000).is_none());
    }
}
