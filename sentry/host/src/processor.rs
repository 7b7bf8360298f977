//! What the processor says of itself (CPUID).

use std::arch::x86_64::{__cpuid, __cpuid_count, _rdtsc, CpuidResult};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A processor, in the words of /proc/cpuinfo.
#[derive(Clone, Debug)]
pub struct Processor {
    /// `vendor_id`.
    pub vendor: String,
    /// `cpu family`.
    pub family: u32,
    /// `model`.
    pub model: u32,
    /// `stepping`.
    pub stepping: u32,
    /// `model name`.
    pub name: String,
    /// Frequency of its time-stamp counter, in MHz.
    pub megahertz: f64,
    /// Its largest cache, in KiB.
    pub cache: u32,
    /// The highest standard CPUID leaf.
    pub level: u32,
    /// Names of its features.
    pub flags: Vec<&'static str>,
    /// Size of a cache line, in bytes.
    pub line: u32,
    /// Bits of a physical address.
    pub physical_bits: u32,
    /// Bits of a virtual address.
    pub virtual_bits: u32,
}

/// The processor that the sentry runs on; asked once.
pub fn describe() -> &'static Processor {
    static PROCESSOR: OnceLock<Processor> = OnceLock::new();
    PROCESSOR.get_or_init(ask)
}

const LEAF1_EDX: [&str; 32] = [
    "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "", "sep", "mtrr", "pge", "mca", "cmov",
    "pat", "pse36", "pn", "clflush", "", "dts", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64", "pbe",
];
const LEAF1_ECX: [&str; 32] = [
    "pni",
    "pclmulqdq",
    "dtes64",
    "monitor",
    "ds_cpl",
    "vmx",
    "smx",
    "est",
    "tm2",
    "ssse3",
    "cid",
    "sdbg",
    "fma",
    "cx16",
    "xtpr",
    "pdcm",
    "",
    "pcid",
    "dca",
    "sse4_1",
    "sse4_2",
    "x2apic",
    "movbe",
    "popcnt",
    "tsc_deadline_timer",
    "aes",
    "xsave",
    "",
    "avx",
    "f16c",
    "rdrand",
    "hypervisor",
];
const EXTENDED_EDX: [(u32, &str); 9] = [
    (11, "syscall"),
    (19, "mp"),
    (20, "nx"),
    (22, "mmxext"),
    (25, "fxsr_opt"),
    (26, "pdpe1gb"),
    (27, "rdtscp"),
    (29, "lm"),
    (30, "3dnowext"),
];
const EXTENDED_ECX: [&str; 32] = [
    "lahf_lm",
    "cmp_legacy",
    "svm",
    "extapic",
    "cr8_legacy",
    "abm",
    "sse4a",
    "misalignsse",
    "3dnowprefetch",
    "osvw",
    "ibs",
    "xop",
    "skinit",
    "wdt",
    "",
    "lwp",
    "fma4",
    "tce",
    "",
    "nodeid_msr",
    "",
    "tbm",
    "topoext",
    "perfctr_core",
    "perfctr_nb",
    "",
    "bpext",
    "ptsc",
    "perfctr_llc",
    "mwaitx",
    "",
    "",
];
const LEAF7_EBX: [&str; 32] = [
    "fsgsbase",
    "tsc_adjust",
    "sgx",
    "bmi1",
    "hle",
    "avx2",
    "",
    "smep",
    "bmi2",
    "erms",
    "invpcid",
    "rtm",
    "cqm",
    "",
    "mpx",
    "rdt_a",
    "avx512f",
    "avx512dq",
    "rdseed",
    "adx",
    "smap",
    "avx512ifma",
    "",
    "clflushopt",
    "clwb",
    "intel_pt",
    "avx512pf",
    "avx512er",
    "avx512cd",
    "sha_ni",
    "avx512bw",
    "avx512vl",
];
const LEAF7_ECX: [&str; 32] = [
    "",
    "avx512vbmi",
    "umip",
    "pku",
    "ospke",
    "waitpkg",
    "avx512_vbmi2",
    "",
    "gfni",
    "vaes",
    "vpclmulqdq",
    "avx512_vnni",
    "avx512_bitalg",
    "tme",
    "avx512_vpopcntdq",
    "",
    "la57",
    "",
    "",
    "",
    "",
    "",
    "rdpid",
    "",
    "bus_lock_detect",
    "cldemote",
    "",
    "movdiri",
    "movdir64b",
    "enqcmd",
    "",
    "",
];
const LEAF7_EDX: [(u32, &str); 9] = [
    (2, "avx512_4vnniw"),
    (3, "avx512_4fmaps"),
    (4, "fsrm"),
    (8, "avx512_vp2intersect"),
    (14, "serialize"),
    (16, "tsxldtrk"),
    (22, "amx_bf16"),
    (23, "avx512_fp16"),
    (24, "amx_tile"),
];

fn named(bits: u32, names: &[&'static str; 32], into: &mut Vec<&'static str>) {
    into.extend((0..32).filter(|&bit| bits & (1 << bit) != 0).map(|bit| names[bit]).filter(|name| !name.is_empty()));
}

fn listed(bits: u32, names: &[(u32, &'static str)], into: &mut Vec<&'static str>) {
    into.extend(names.iter().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, name)| *name));
}

fn text(words: &[u32]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).take_while(|&b| b != 0).collect();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

fn cpuid(leaf: u32, sub: u32) -> CpuidResult {
    __cpuid_count(leaf, sub)
}

fn ask() -> Processor {
    let base = __cpuid(0);
    let one = cpuid(1, 0);
    let highest_extended = __cpuid(0x8000_0000).eax;
    let extended = |leaf: u32| if highest_extended >= leaf { Some(cpuid(leaf, 0)) } else { None };
    let mut flags = Vec::new();
    named(one.edx, &LEAF1_EDX, &mut flags);
    if let Some(leaf) = extended(0x8000_0001) {
        listed(leaf.edx, &EXTENDED_EDX, &mut flags);
        named(one.ecx, &LEAF1_ECX, &mut flags);
        named(leaf.ecx, &EXTENDED_ECX, &mut flags);
    }
    if base.eax >= 7 {
        let seven = cpuid(7, 0);
        named(seven.ebx, &LEAF7_EBX, &mut flags);
        named(seven.ecx, &LEAF7_ECX, &mut flags);
        listed(seven.edx, &LEAF7_EDX, &mut flags);
    }
    if base.eax >= 0xd {
        let xsave = cpuid(0xd, 1);
        listed(xsave.eax, &[(0, "xsaveopt"), (1, "xsavec"), (2, "xgetbv1"), (3, "xsaves")], &mut flags);
    }
    let mut name = Vec::new();
    for leaf in 0x8000_0002..=0x8000_0004 {
        if let Some(r) = extended(leaf) {
            name.extend([r.eax, r.ebx, r.ecx, r.edx]);
        }
    }
    let (family, model) = ((one.eax >> 8) & 0xf, (one.eax >> 4) & 0xf);
    let sizes = extended(0x8000_0008).map_or((36, 48), |r| (r.eax & 0xff, (r.eax >> 8) & 0xff));
    Processor {
        vendor: text(&[base.ebx, base.edx, base.ecx]),
        family: if family == 0xf { family + ((one.eax >> 20) & 0xff) } else { family },
        model: if family == 6 || family == 0xf { model | (((one.eax >> 16) & 0xf) << 4) } else { model },
        stepping: one.eax & 0xf,
        name: text(&name),
        megahertz: counter_frequency(),
        cache: extended(0x8000_0006).map_or(0, |r| r.ecx >> 16),
        level: base.eax,
        flags,
        line: ((one.ebx >> 8) & 0xff) * 8,
        physical_bits: sizes.0,
        virtual_bits: sizes.1,
    }
}

/// Ticks of the time-stamp counter in a microsecond, measured over a few milliseconds.
fn counter_frequency() -> f64 {
    const SPAN: Duration = Duration::from_millis(4);
    let begin = Instant::now();
    // SAFETY: every x86-64 processor has the counter; whether it may be read was decided when this process began.
    let first = unsafe { _rdtsc() };
    while begin.elapsed() < SPAN {
        std::hint::spin_loop();
    }
    // SAFETY: as above.
    let last = unsafe { _rdtsc() };
    last.wrapping_sub(first) as f64 / (begin.elapsed().as_nanos() as f64 / 1000.0)
}
