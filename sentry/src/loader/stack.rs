//! The first stack of a program: strings, auxiliary vector, envp, argv (the x86-64 psABI, "Process Initialization").

use moat_abi::errno::Errno;
use moat_abi::mman::MapFlags;
use moat_abi::system as at;
use moat_platform::{APPLICATION_END, PAGE_SIZE, Protection};

use super::Program;
use super::elf::{Mapped, random_pages};
use crate::Result;
use crate::mm::MemoryManager;
use crate::mm::map::{MapLimits, MapRequest};
use crate::mm::page_round_up;

/// How much of the stack is mapped at first; the rest grows by faults.
const INITIAL: u64 = 132 << 10;
/// Room that mmap leaves below the stack, at least and at most (arch/x86/mm/mmap.c).
const GAP_MIN: u64 = 128 << 20;
const GAP_MAX: u64 = APPLICATION_END / 6 * 5;

/// Writes the stack; returns the stack pointer.
pub(super) async fn build(
    memory: &MemoryManager,
    program: &Program,
    image: &Mapped,
    interpreter: Option<&Mapped>,
) -> Result<u64> {
    let top = APPLICATION_END - PAGE_SIZE - random_pages(1 << 16)?;
    let mut strings = Block { bytes: Vec::new(), top };
    strings.push(&[0; 8]);
    let file_name = strings.push_string(&program.file_name);
    let environment: Vec<u64> = program.environment.iter().rev().map(|s| strings.push_string(s)).collect();
    let environment_start = strings.at();
    let environment_end = file_name;
    let arguments: Vec<u64> = program.arguments.iter().rev().map(|s| strings.push_string(s)).collect();
    let arguments_start = strings.at();
    let platform = strings.push_string(b"x86_64");
    let mut random = [0u8; 16];
    moat_host::random::fill(&mut random).map_err(Errno::from_raw)?;
    let random = strings.push(&random);
    let skew = random_pages(512)? / PAGE_SIZE * 16;
    strings.push(&vec![0; skew as usize]);
    strings.align(16);

    let vdso = memory.layout().vdso;
    let auxv = auxiliary_vector(program, image, interpreter, Pointers { vdso, file_name, platform, random });
    let words = 1 + arguments.len() + 1 + environment.len() + 1 + auxv.len();
    let mut block = Vec::with_capacity(8 * words + 8);
    if words % 2 == 1 {
        // The stack pointer is a multiple of 16 at the entry.
        strings.push(&[0; 8]);
    }
    block.push(arguments.len() as u64);
    block.extend(arguments.iter().rev());
    block.push(0);
    block.extend(environment.iter().rev());
    block.push(0);
    block.extend(&auxv);
    let bytes: Vec<u8> = block.iter().flat_map(|w| w.to_le_bytes()).collect();
    let pointer = strings.push(&bytes);

    let size = page_round_up(top - pointer).ok_or(Errno::E2BIG)? + INITIAL;
    let protection = match program.image.executable_stack {
        true => Protection::READ | Protection::WRITE | Protection::EXEC,
        false => Protection::READ | Protection::WRITE,
    };
    let start = (top - size) & !(PAGE_SIZE - 1);
    let request = MapRequest {
        address: start,
        len: page_round_up(top).ok_or(Errno::ENOMEM)? - start,
        protection,
        flags: MapFlags::PRIVATE | MapFlags::ANONYMOUS | MapFlags::FIXED | MapFlags::GROWSDOWN,
        file: None,
        label: Some("[stack]"),
    };
    memory.map(request, MapLimits { address_space: u64::MAX, data: u64::MAX }).await?;
    memory.user().write_bytes(pointer, &strings.into_bytes())?;
    let gap = program.stack_limit.clamp(GAP_MIN, GAP_MAX);
    memory.update_layout(|layout| {
        layout.start_stack = pointer;
        layout.arg_start = arguments_start;
        layout.arg_end = environment_start;
        layout.env_start = environment_start;
        layout.env_end = environment_end;
        layout.mmap_top = layout.mmap_top.min((top - gap) & !(PAGE_SIZE - 1));
    });
    memory.set_auxv(auxv.iter().flat_map(|w| w.to_le_bytes()).collect());
    Ok(pointer)
}

struct Pointers {
    vdso: u64,
    file_name: u64,
    platform: u64,
    random: u64,
}

fn auxiliary_vector(program: &Program, image: &Mapped, interpreter: Option<&Mapped>, p: Pointers) -> Vec<u64> {
    let credentials = &program.credentials;
    let (hwcap, hwcap2) = moat_platform::hardware_capabilities();
    let mut pairs = vec![
        (at::AT_HWCAP, hwcap),
        (at::AT_PAGESZ, PAGE_SIZE),
        (at::AT_CLKTCK, 100),
        (at::AT_PHDR, image.headers),
        (at::AT_PHENT, 56),
        (at::AT_PHNUM, image.header_count),
        (at::AT_BASE, interpreter.map_or(0, |i| i.bias)),
        (at::AT_FLAGS, 0),
        (at::AT_ENTRY, image.entry),
        (at::AT_UID, u64::from(credentials.uid)),
        (at::AT_EUID, u64::from(credentials.euid)),
        (at::AT_GID, u64::from(credentials.gid)),
        (at::AT_EGID, u64::from(credentials.egid)),
        (at::AT_SECURE, u64::from(program.secure)),
        (at::AT_RANDOM, p.random),
        (at::AT_HWCAP2, hwcap2),
        (at::AT_EXECFN, p.file_name),
        (at::AT_PLATFORM, p.platform),
        (at::AT_MINSIGSTKSZ, moat_platform::minimum_signal_stack()),
    ];
    pairs.insert(0, (at::AT_SYSINFO_EHDR, p.vdso));
    pairs.push((at::AT_NULL, 0));
    pairs.into_iter().flat_map(|(k, v)| [k, v]).collect()
}

/// Bytes that grow downwards from an address.
struct Block {
    /// In reverse order.
    bytes: Vec<u8>,
    top: u64,
}

impl Block {
    fn at(&self) -> u64 {
        self.top - self.bytes.len() as u64
    }

    fn push(&mut self, bytes: &[u8]) -> u64 {
        self.bytes.extend(bytes.iter().rev());
        self.at()
    }

    fn push_string(&mut self, bytes: &[u8]) -> u64 {
        self.bytes.push(0);
        self.push(bytes)
    }

    fn align(&mut self, to: u64) {
        while !self.at().is_multiple_of(to) {
            self.bytes.push(0);
        }
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.reverse();
        self.bytes
    }
}
