//! ELF images (elf(5)): reading headers without trusting them, and mapping segments.

use std::sync::Arc;

use elf::abi;
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::segment::{ProgramHeader, SegmentTable};
use moat_abi::errno::Errno;
use moat_abi::mman::MapFlags;
use moat_platform::{APPLICATION_END, APPLICATION_START, PAGE_SIZE, Protection};

use crate::Result;
use crate::fs::OpenFile;
use crate::mm::map::{MapLimits, MapRequest};
use crate::mm::{MemoryManager, page_round_up};

/// The most program headers (`ELF_MIN_ALIGN / sizeof(Phdr)` pages in Linux).
const HEADERS_MAX: usize = 64 * 1024;
/// Where position-independent programs go: two thirds of the address space (ELF_ET_DYN_BASE).
const DYNAMIC_BASE: u64 = 0x5555_5555_4000;

/// An image whose headers were read.
pub struct Image {
    file: Arc<OpenFile>,
    header: FileHeader<LittleEndian>,
    segments: Vec<ProgramHeader>,
    /// The dynamic linker that it names.
    pub interpreter: Option<Vec<u8>>,
    /// Whether it wants an executable stack.
    pub executable_stack: bool,
}

/// What an image is mapped as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program.
    Program,
    /// Its dynamic linker.
    Interpreter,
}

/// Where an image was mapped.
#[derive(Clone, Copy, Debug)]
pub struct Mapped {
    /// Added to every address.
    pub bias: u64,
    /// First instruction.
    pub entry: u64,
    /// Program headers in memory (AT_PHDR).
    pub headers: u64,
    /// How many (AT_PHNUM).
    pub header_count: u64,
    /// Behind its last segment.
    pub end: u64,
}

/// Reads the headers. `ENOEXEC` for what is not an x86-64 ELF program.
pub fn open(file: &Arc<OpenFile>) -> Result<Image> {
    let mut head = [0u8; 64];
    if super::read_head(file, &mut head, 0)? < 64 {
        return Err(Errno::ENOEXEC);
    }
    let ident = parse_ident::<LittleEndian>(&head[..16]).map_err(|_| Errno::ENOEXEC)?;
    if ident.1 != Class::ELF64 {
        return Err(Errno::ENOEXEC);
    }
    let header = FileHeader::parse_tail(ident, &head[16..]).map_err(|_| Errno::ENOEXEC)?;
    if header.e_machine != abi::EM_X86_64
        || !matches!(header.e_type, abi::ET_EXEC | abi::ET_DYN)
        || header.e_phentsize != 56
        || header.e_phnum == 0
        || usize::from(header.e_phnum) * 56 > HEADERS_MAX
    {
        return Err(Errno::ENOEXEC);
    }
    let mut raw = vec![0u8; usize::from(header.e_phnum) * 56];
    if super::read_head(file, &mut raw, header.e_phoff)? < raw.len() {
        return Err(Errno::ENOEXEC);
    }
    let segments: Vec<ProgramHeader> = SegmentTable::new(LittleEndian, Class::ELF64, &raw).iter().collect();
    let mut interpreter = None;
    let mut executable_stack = true;
    for segment in &segments {
        match segment.p_type {
            abi::PT_INTERP => {
                let length = usize::try_from(segment.p_filesz).map_err(|_| Errno::ENOEXEC)?;
                if !(2..=4096).contains(&length) {
                    return Err(Errno::ENOEXEC);
                }
                let mut name = vec![0u8; length];
                if super::read_head(file, &mut name, segment.p_offset)? < length || name.pop() != Some(0) {
                    return Err(Errno::ENOEXEC);
                }
                interpreter = Some(name);
            }
            abi::PT_GNU_STACK => executable_stack = segment.p_flags & abi::PF_X != 0,
            _ => {}
        }
    }
    Ok(Image { file: file.clone(), header, segments, interpreter, executable_stack })
}

fn protection(segment: &ProgramHeader) -> Protection {
    let mut protection = Protection::empty();
    for (flag, bit) in [(abi::PF_R, Protection::READ), (abi::PF_W, Protection::WRITE), (abi::PF_X, Protection::EXEC)] {
        if segment.p_flags & flag != 0 {
            protection |= bit;
        }
    }
    protection
}

/// Maps the image's segments.
pub async fn map(memory: &MemoryManager, image: &Image, role: Role) -> Result<Mapped> {
    let loads: Vec<&ProgramHeader> = image.segments.iter().filter(|s| s.p_type == abi::PT_LOAD).collect();
    let (Some(first), Some(last)) = (loads.first(), loads.last()) else { return Err(Errno::ENOEXEC) };
    let low = first.p_vaddr & !(PAGE_SIZE - 1);
    let high = last.p_vaddr.checked_add(last.p_memsz).and_then(page_round_up).ok_or(Errno::ENOEXEC)?;
    let span = high.checked_sub(low).filter(|&s| s > 0 && s < APPLICATION_END).ok_or(Errno::ENOEXEC)?;
    let bias = if image.header.e_type == abi::ET_DYN {
        let at = match role {
            Role::Program if image.interpreter.is_some() => DYNAMIC_BASE + random_pages(1 << 20)?,
            // Static PIE programs and interpreters go where mmap would put them.
            _ => {
                let top = memory.layout().mmap_top;
                memory.vmas().find_gap(span, APPLICATION_START, top).ok_or(Errno::ENOMEM)?
            }
        };
        let alignment = loads.iter().map(|s| s.p_align).filter(|a| a.is_power_of_two()).max().unwrap_or(PAGE_SIZE);
        (at & !(alignment.max(PAGE_SIZE) - 1)).wrapping_sub(low)
    } else {
        0
    };
    let mut mapped = Mapped {
        bias,
        entry: image.header.e_entry.wrapping_add(bias),
        headers: 0,
        header_count: u64::from(image.header.e_phnum),
        end: high.wrapping_add(bias),
    };
    let mut previous_end = 0;
    for segment in &loads {
        let offset_end = segment.p_offset.checked_add(segment.p_filesz).ok_or(Errno::ENOEXEC)?;
        if segment.p_filesz > segment.p_memsz
            || segment.p_vaddr < previous_end
            || segment.p_vaddr % PAGE_SIZE != segment.p_offset % PAGE_SIZE
            || segment.p_vaddr.checked_add(segment.p_memsz).is_none()
        {
            return Err(Errno::ENOEXEC);
        }
        previous_end = segment.p_vaddr + segment.p_memsz;
        let phoff = image.header.e_phoff;
        if phoff >= segment.p_offset && phoff < offset_end {
            mapped.headers = phoff - segment.p_offset + segment.p_vaddr.wrapping_add(bias);
        }
        map_segment(memory, image, segment, bias).await?;
    }
    if role == Role::Program {
        record_layout(memory, &loads, bias);
    }
    Ok(mapped)
}

async fn map_segment(memory: &MemoryManager, image: &Image, segment: &ProgramHeader, bias: u64) -> Result<()> {
    let limits = MapLimits { address_space: u64::MAX, data: u64::MAX };
    let address = segment.p_vaddr.wrapping_add(bias);
    let start = address & !(PAGE_SIZE - 1);
    let skew = address - start;
    let file_end = address.checked_add(segment.p_filesz).ok_or(Errno::ENOEXEC)?;
    let memory_end = address.checked_add(segment.p_memsz).ok_or(Errno::ENOEXEC)?;
    let protection = protection(segment);
    let fixed = MapFlags::PRIVATE | MapFlags::FIXED;
    if segment.p_filesz > 0 {
        let request = MapRequest {
            address: start,
            len: skew + segment.p_filesz,
            protection,
            flags: fixed,
            file: Some((image.file.clone(), segment.p_offset - skew)),
            label: None,
        };
        memory.map(request, limits).await?;
    }
    let file_pages_end = if segment.p_filesz > 0 { page_round_up(file_end).ok_or(Errno::ENOEXEC)? } else { start };
    if memory_end > file_end
        && segment.p_filesz > 0
        && file_pages_end > file_end
        && protection.contains(Protection::WRITE)
    {
        let zeroes = vec![0u8; (file_pages_end - file_end) as usize];
        memory.user().write_bytes(file_end, &zeroes)?;
    }
    if memory_end > file_pages_end {
        let request = MapRequest {
            address: file_pages_end,
            len: memory_end - file_pages_end,
            protection,
            flags: fixed | MapFlags::ANONYMOUS,
            file: None,
            label: None,
        };
        memory.map(request, limits).await?;
    }
    Ok(())
}

fn record_layout(memory: &MemoryManager, loads: &[&ProgramHeader], bias: u64) {
    let range = |flag: u32| {
        let of: Vec<_> = loads.iter().filter(|s| s.p_flags & flag != 0).collect();
        let start = of.iter().map(|s| s.p_vaddr).min().unwrap_or(0);
        let end = of.iter().map(|s| s.p_vaddr + s.p_filesz).max().unwrap_or(0);
        (start.wrapping_add(bias), end.wrapping_add(bias))
    };
    let (code, data) = (range(abi::PF_X), range(abi::PF_W));
    memory.update_layout(|layout| {
        (layout.start_code, layout.end_code) = code;
        (layout.start_data, layout.end_data) = data;
    });
}

/// A random multiple of the page size, below `pages` pages.
pub(super) fn random_pages(pages: u64) -> Result<u64> {
    let mut bytes = [0u8; 8];
    moat_host::random::fill(&mut bytes).map_err(Errno::from_raw)?;
    Ok((u64::from_le_bytes(bytes) % pages) * PAGE_SIZE)
}
