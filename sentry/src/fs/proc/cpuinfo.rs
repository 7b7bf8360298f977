//! `cpuinfo`.

use std::fmt::Write;

use moat_host::processor;

use crate::kernel::Kernel;

/// A paragraph for each processor that the guest sees, of what the host's says of itself.
pub fn text(kernel: &Kernel) -> String {
    let cpu = processor::describe();
    let mut out = String::new();
    for number in 0..kernel.cpus {
        let _ = write!(
            out,
            "processor\t: {number}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\nstepping\t: {}\n\
             cpu MHz\t\t: {:.3}\ncache size\t: {} KB\nphysical id\t: 0\nsiblings\t: {cpus}\ncore id\t\t: {number}\n\
             cpu cores\t: {cpus}\napicid\t\t: {number}\ninitial apicid\t: {number}\nfpu\t\t: yes\nfpu_exception\t: yes\n\
             cpuid level\t: {}\nwp\t\t: yes\nflags\t\t: {}\nbugs\t\t:\nbogomips\t: {:.2}\nclflush size\t: {line}\n\
             cache_alignment\t: {line}\naddress sizes\t: {} bits physical, {} bits virtual\npower management:\n\n",
            cpu.vendor,
            cpu.family,
            cpu.model,
            cpu.name,
            cpu.stepping,
            cpu.megahertz,
            cpu.cache,
            cpu.level,
            cpu.flags.join(" "),
            cpu.megahertz * 2.0,
            cpu.physical_bits,
            cpu.virtual_bits,
            cpus = kernel.cpus,
            line = cpu.line,
        );
    }
    out
}
