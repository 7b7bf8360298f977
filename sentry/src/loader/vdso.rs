//! The vDSO (vdso(7)): a small shared object of our own, mapped into every program like a file, so that the guest can unmap
//! it as on Linux.
//!
//! Its functions go on in the host's vDSO, which lies in every address space where the application cannot unmap it and which
//! asks the kernel where it does not know the answer. What the host would answer wrongly is asked for by a system call: the
//! clocks to which the container has an offset. (To add the offset to what the host's functions give would count it twice
//! when they have asked the kernel.) None of the functions has a frame, so that one unwind entry does for all.

use std::sync::Arc;

use elf::ElfBytes;
use elf::endian::LittleEndian;
use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::time as t;
use moat_platform::Platform;

use crate::Result;
use crate::fs::OpenFile;
use crate::fs::inode::{Inode, NewNode, NodeKind};
use crate::fs::tmpfs::{TmpFs, TmpfsOptions};
use crate::kernel::clock::Clocks;

/// What Linux calls the object, and the version of its symbols.
const NAMES: [&str; 2] = ["linux-vdso.so.1", "LINUX_2.6"];
/// Bytes of an ELF header, a program header, a symbol.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SYMBOL: usize = 24;
const PROGRAM_HEADERS: usize = 3;
const DYNAMIC_ENTRIES: usize = 11;

/// The vDSO of a container.
#[derive(Clone)]
pub struct Vdso {
    /// Its image.
    pub file: Arc<OpenFile>,
    /// Bytes of it.
    pub len: u64,
}

impl Vdso {
    /// Builds it.
    ///
    /// # Errors
    /// `ENOMEM`, and what a memory file cannot be made for.
    pub fn new(platform: &dyn Platform, clocks: &Clocks) -> Result<Self> {
        let host = platform.host_vdso();
        let symbols = host.as_ref().map(|host| symbols(&host.image, host.address)).unwrap_or_default();
        let find = |name: &str| symbols.iter().find(|(n, _)| n == name).map(|(_, address)| *address);
        let functions = functions(&find, clocks);
        let image = image(&functions);
        let inode = TmpFs::new("tmpfs", "tmpfs", &TmpfsOptions::unlimited(), 0)?.nameless(&NewNode {
            kind: NodeKind::Regular,
            permissions: 0o555,
            uid: 0,
            gid: 0,
        })?;
        let file = OpenFile::new(inode.open(OpenFlags::RDWR)?, None, OpenFlags::RDWR);
        if file.operations()?.write_at(&file, &image, 0)? != image.len() {
            return Err(Errno::ENOMEM);
        }
        Ok(Self { file, len: image.len() as u64 })
    }
}

/// The functions of the host's vDSO and where they lie.
fn symbols(image: &[u8], address: u64) -> Vec<(String, u64)> {
    let Ok(elf) = ElfBytes::<LittleEndian>::minimal_parse(image) else { return Vec::new() };
    let Ok(Some((table, strings))) = elf.dynamic_symbol_table() else { return Vec::new() };
    table
        .iter()
        .filter(|symbol| symbol.st_shndx != 0)
        .filter_map(|symbol| Some((strings.get(symbol.st_name as usize).ok()?.to_owned(), address + symbol.st_value)))
        .collect()
}

/// A function: its name behind `__vdso_`, and its code.
type Function = (&'static str, Vec<u8>);

fn functions(host: &dyn Fn(&str) -> Option<u64>, clocks: &Clocks) -> Vec<Function> {
    let go_on = |name: &str, number: u32| match host(name) {
        Some(address) => jump(address),
        None => system_call(number),
    };
    let asked: u32 = [
        (clocks.monotonic, &[t::CLOCK_MONOTONIC, t::CLOCK_MONOTONIC_RAW, t::CLOCK_MONOTONIC_COARSE][..]),
        (clocks.boottime, &[t::CLOCK_BOOTTIME, t::CLOCK_BOOTTIME_ALARM]),
    ]
    .iter()
    .filter(|(offset, _)| *offset != 0)
    .flat_map(|(_, ids)| ids.iter())
    .fold(0, |set, id| set | 1 << id);
    let mut clock_gettime = Vec::new();
    if asked != 0 {
        let call = system_call(228);
        // cmp edi, 31; ja over the next three; mov ecx, asked; bt ecx, edi; jnc over the call.
        clock_gettime.extend([0x83, 0xff, 31, 0x77, 10 + call.len() as u8, 0xb9]);
        clock_gettime.extend(asked.to_le_bytes());
        clock_gettime.extend([0x0f, 0xa3, 0xf9, 0x73, call.len() as u8]);
        clock_gettime.extend(call);
    }
    clock_gettime.extend(go_on("__vdso_clock_gettime", 228));
    vec![
        ("clock_gettime", clock_gettime),
        ("gettimeofday", go_on("__vdso_gettimeofday", 96)),
        ("clock_getres", go_on("__vdso_clock_getres", 229)),
        ("time", go_on("__vdso_time", 201)),
        ("getcpu", getcpu()),
    ]
}

/// `mov rax, address; jmp rax`
fn jump(address: u64) -> Vec<u8> {
    [&[0x48, 0xb8][..], &address.to_le_bytes(), &[0xff, 0xe0]].concat()
}

/// `mov eax, number; syscall; ret`
fn system_call(number: u32) -> Vec<u8> {
    [&[0xb8][..], &number.to_le_bytes(), &[0x0f, 0x05, 0xc3]].concat()
}

/// Processor 0 of node 0, as the system call says: the host's numbers mean nothing here.
fn getcpu() -> Vec<u8> {
    // test rdi, rdi; jz +6; mov dword [rdi], 0; test rsi, rsi; jz +6; mov dword [rsi], 0; xor eax, eax; ret
    let store = |test: u8, to: u8| [0x48, 0x85, test, 0x74, 6, 0xc7, to, 0, 0, 0, 0];
    [&store(0xff, 0x07)[..], &store(0xf6, 0x06), &[0x31, 0xc0, 0xc3]].concat()
}

/// Numbers, little-endian, one behind the other.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn align(&mut self, to: usize) -> usize {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
        self.0.len()
    }
    fn u16(&mut self, values: &[u16]) -> &mut Self {
        self.0.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        self
    }
    fn u32(&mut self, values: &[u32]) -> &mut Self {
        self.0.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        self
    }
    fn u64(&mut self, values: &[u64]) -> &mut Self {
        self.0.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        self
    }
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// The hash of elf(5)'s DT_HASH and of version names.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0u32, |h, byte| {
        let h = (h << 4).wrapping_add(u32::from(byte));
        (h ^ ((h & 0xf000_0000) >> 24)) & 0x0fff_ffff
    })
}

/// The shared object. One segment holds all of it; addresses are offsets in it.
fn image(functions: &[Function]) -> Vec<u8> {
    let mut out = Bytes(vec![0; HEADER + PROGRAM_HEADERS * PROGRAM_HEADER]);
    let mut strings = vec![0u8];
    let mut string = |text: &str| {
        let at = strings.len() as u32;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        at
    };
    let [name, version] = NAMES.map(&mut string);
    // Each function has two names (Linux's are weak without the prefix).
    let symbols: Vec<(String, u8, usize)> = functions
        .iter()
        .enumerate()
        .flat_map(|(index, (name, _))| [(format!("__vdso_{name}"), 0x12, index), ((*name).to_owned(), 0x22, index)])
        .collect();
    let names: Vec<u32> = symbols.iter().map(|(name, _, _)| string(name)).collect();

    let text = out.align(16);
    let places: Vec<usize> = functions
        .iter()
        .map(|(_, code)| {
            let at = out.align(16);
            out.0.extend_from_slice(code);
            at
        })
        .collect();
    let text_end = out.align(16);

    let symbol_table = out.align(8);
    out.0.resize(symbol_table + SYMBOL, 0);
    for ((_, info, index), name) in symbols.iter().zip(&names) {
        // st_name, st_info, st_other and st_shndx (any but 0: defined), st_value, st_size.
        let size = functions[*index].1.len() as u64;
        out.u32(&[*name, u32::from(*info) | 1 << 16]).u64(&[places[*index] as u64, size]);
    }
    let string_table = out.0.len();
    out.0.extend_from_slice(&strings);
    let hash_table = out.align(4);
    // One bucket: a chain through all symbols.
    let count = symbols.len() as u32 + 1;
    out.u32(&[1, count, 1]).u32(&[0]).u32(&(2..count).collect::<Vec<_>>()).u32(&[0]);
    let versions = out.align(2);
    out.u16(&[0]).u16(&vec![2; symbols.len()]);
    let definitions = out.align(4);
    // vd_version, vd_flags, vd_ndx, vd_cnt, vd_hash, vd_aux, vd_next; vda_name, vda_next. The first is the file's own.
    out.u16(&[1, 1, 1, 1]).u32(&[hash(NAMES[0]), 20, 28, name, 0]);
    out.u16(&[1, 0, 2, 1]).u32(&[hash(NAMES[1]), 20, 0, version, 0]);

    let (unwind, unwind_end) = unwind_tables(&mut out, text, text_end);

    let dynamic = out.align(8);
    let entries = [
        (14, name as usize),        // DT_SONAME
        (4, hash_table),            // DT_HASH
        (5, string_table),          // DT_STRTAB
        (6, symbol_table),          // DT_SYMTAB
        (10, strings.len()),        // DT_STRSZ
        (11, SYMBOL),               // DT_SYMENT
        (0x6fff_fff0, versions),    // DT_VERSYM
        (0x6fff_fffc, definitions), // DT_VERDEF
        (0x6fff_fffd, NAMES.len()), // DT_VERDEFNUM
        (0, 0),
        (0, 0),
    ];
    debug_assert_eq!(entries.len(), DYNAMIC_ENTRIES);
    for (tag, value) in entries {
        out.u64(&[tag, value as u64]);
    }
    let len = out.0.len();

    let mut header = Bytes::default();
    header.0.extend([0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // ET_DYN for EM_X86_64; entry, program headers, sections; flags; sizes and counts.
    header.u16(&[3, 62]).u32(&[1]).u64(&[0, HEADER as u64, 0]).u32(&[0]);
    header.u16(&[HEADER as u16, PROGRAM_HEADER as u16, PROGRAM_HEADERS as u16, 0, 0, 0]);
    let mut segment = |kind: u32, flags: u32, start: usize, end: usize, align: u64| {
        let (at, size) = (start as u64, (end - start) as u64);
        header.u32(&[kind, flags]).u64(&[at, at, at, size, size, align]);
    };
    segment(1, 5, 0, len, 4096); // PT_LOAD
    segment(2, 4, dynamic, len, 8); // PT_DYNAMIC
    segment(0x6474_e550, 4, unwind, unwind_end, 4); // PT_GNU_EH_FRAME
    out.put(0, &header.0);
    out.0
}

/// .eh_frame_hdr, of which the bounds are given, and .eh_frame behind it, for functions that never move the stack pointer.
fn unwind_tables(out: &mut Bytes, text: usize, text_end: usize) -> (usize, usize) {
    let start = out.align(4);
    let (common, entry) = (start + 20, start + 20 + 24);
    let relative = |to: usize, from: usize| to.wrapping_sub(from) as u32;
    // Version 1; addresses relative to where they stand, a number, a table relative to here.
    out.0.extend([1, 0x1b, 0x03, 0x3b]);
    out.u32(&[relative(common, start + 4), 1, relative(text, start), relative(entry, start)]);
    // CIE: "zR", code 1, data -8, return address 16; the frame is rsp + 8, the return address 8 below it.
    out.u32(&[20, 0]);
    out.0.extend([1, b'z', b'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0]);
    // FDE.
    out.u32(&[16, relative(entry + 4, common), relative(text, entry + 8), relative(text_end, text), 0]);
    out.u32(&[0]);
    (start, start + 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Option<u64> {
        (name != "__vdso_time").then_some(0x7fff_f010_1000)
    }

    #[test]
    fn names_are_found_in_the_image() {
        let functions = functions(&host, &Clocks::default());
        let image = image(&functions);
        let elf = ElfBytes::<LittleEndian>::minimal_parse(&image).unwrap();
        let common = elf.find_common_data().unwrap();
        assert!(common.sysv_hash.is_none() || common.dynsyms.is_some());
        let dynamic = elf.dynamic().unwrap().unwrap();
        let value = |tag: i64| dynamic.iter().find(|d| d.d_tag == tag).unwrap().d_val() as usize;
        let at = |offset: usize| u32::from_le_bytes(image[offset..offset + 4].try_into().unwrap());
        let name_at = |offset: u32| {
            let bytes = &image[value(5) + offset as usize..];
            String::from_utf8(bytes.split(|&b| b == 0).next().unwrap().to_vec()).unwrap()
        };
        // As a dynamic linker does: the bucket, then the chain.
        let table = value(4);
        let mut symbol = at(table + 8);
        let mut found = Vec::new();
        while symbol != 0 {
            found.push(name_at(at(value(6) + SYMBOL * symbol as usize)));
            symbol = at(table + 12 + 4 * symbol as usize);
        }
        assert_eq!(found.len(), 2 * functions.len());
        assert!(found.iter().any(|n| n == "__vdso_clock_gettime") && found.iter().any(|n| n == "getcpu"));
        assert_eq!(hash("LINUX_2.6"), 0x03ae_75f6);
    }

    #[test]
    fn only_clocks_with_an_offset_are_asked_for() {
        let plain = functions(&host, &Clocks::default());
        assert_eq!(plain[0].1, jump(0x7fff_f010_1000));
        assert_eq!(plain[3].1, system_call(201));
        let moved = functions(&host, &Clocks { monotonic: 5, boottime: 0 });
        assert!(moved[0].1.ends_with(&jump(0x7fff_f010_1000)));
        assert_eq!(moved[0].1[6..10], (1u32 << 1 | 1 << 4 | 1 << 6).to_le_bytes());
    }
}
