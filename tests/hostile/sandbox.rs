//! A sandbox with a victim in it, and what its host processes use.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use moat_tests::bundle::Bundle;
use moat_tests::process::number;
use moat_tests::said::Said;
use serde_json::{Value, json};

use crate::{key, stub};

const SOURCES: &[&str] = &["main.c", "jump.c", "slots.c", "returns.c", "memory.c", "others.c"];
const ID: &str = "hostile";
/// Processes and threads that a sandbox may have.
const PIDS: u32 = 120;
/// How long what an attack has used may take to be given back.
const PATIENCE: Duration = Duration::from_secs(30);

/// The compiled programs.
pub struct Programs {
    directory: tempfile::TempDir,
}

impl Programs {
    pub fn compile() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile/programs");
        fs::write(directory.path().join("stub.h"), stub::header()).unwrap();
        let prize = &["-Wl,--section-start=.taken=0x20000000"][..];
        for (name, files, flags) in
            [("attack", SOURCES, &[][..]), ("victim", &["victim.c"], &[]), ("prize", &["prize.c"], prize)]
        {
            let mut gcc = Command::new("gcc");
            gcc.args(["-static", "-no-pie", "-O2", "-w", "-pthread", "-I"]).arg(directory.path()).args(flags);
            gcc.arg("-o").arg(directory.path().join(name)).args(files.iter().map(|file| sources.join(file)));
            assert!(gcc.status().expect("package gcc").success(), "{name}");
        }
        Self { directory }
    }
}

/// A process of the host's, which another one with its number is not.
#[derive(PartialEq, Eq, Debug)]
struct Process {
    pid: u64,
    started: String,
}

/// What sandbox and gofer use, and how many processes the container has on the host.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    threads: u64,
    descriptors: usize,
    resident: u64,
    stubs: usize,
}

/// A sandbox whose init is the victim.
pub struct Sandbox {
    bundle: Bundle,
    lead: u64,
    helpers: Vec<Process>,
}

fn stat(pid: u64) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(") ").map(|(_, fields)| fields.to_owned()).unwrap_or_default();
    fields.split_whitespace().map(str::to_owned).collect()
}

/// Fields of `stat`, from the state on.
const STARTED: usize = 19;
const TICKS: std::ops::Range<usize> = 11..13;

fn process(pid: u64) -> Process {
    Process { pid, started: stat(pid).get(STARTED).cloned().unwrap_or_default() }
}

impl Sandbox {
    pub fn start(programs: &Programs) -> Self {
        let bundle = Bundle::new(&["victim"]);
        for name in ["attack", "victim", "prize"] {
            fs::copy(programs.directory.path().join(name), bundle.file("rootfs/bin").join(name)).unwrap();
        }
        let prize = bundle.file("rootfs/bin/prize");
        fs::set_permissions(prize, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
        bundle.edit(|config| {
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = json!(["CAP_SETUID", "CAP_SETGID", "CAP_KILL"]);
            }
            config["process"]["noNewPrivileges"] = false.into();
            config["linux"]["resources"]["pids"] = json!({ "limit": PIDS });
        });
        let created = bundle.run(&["--platform=trap", "create", "--bundle", bundle.path(), ID]);
        assert_eq!(created.code, 0, "{created:?}");
        bundle.succeed(&["start", ID]);
        let state = fs::read(bundle.file("state").join(ID).join("state.json")).unwrap();
        let state: Value = serde_json::from_slice(&state).unwrap();
        let helpers = state["helpers"].as_array().unwrap().iter().map(|helper| helper["pid"].as_u64().unwrap());
        let helpers = helpers.map(process).collect();
        let lead = bundle.state(ID)["pid"].as_u64().unwrap();
        let sandbox = Self { bundle, lead, helpers };
        sandbox.assert_well("start");
        sandbox
    }

    /// Makes these attacks at the same time.
    pub fn attack(&self, names: &[&str], seed: u64, seconds: f64) {
        let (seed, seconds) = (seed.to_string(), seconds.to_string());
        std::thread::scope(|scope| {
            for name in names {
                let command = self.bundle.command(&["exec", ID, "attack", name, &seed, &seconds]);
                let seed = &seed;
                scope.spawn(move || {
                    let streams = tempfile::tempdir().unwrap();
                    let said = Said::of(command, streams.path());
                    assert_eq!((said.code, said.out.as_str()), (0, "ended\n"), "{name}, seed {seed}: {said:?}");
                });
            }
            std::thread::sleep(Duration::from_secs(1));
            self.assert_key_is_hidden(names);
        });
    }

    /// The victim's rounds, and those that went wrong.
    fn rounds(&self) -> (u64, u64) {
        let bytes = fs::read(self.bundle.file("rootfs/progress")).unwrap_or_default();
        let count = |at| bytes.get(at..at + 8).map_or(0, |b| u64::from_le_bytes(b.try_into().unwrap()));
        (count(0), count(8))
    }

    /// The victim goes on, with correct results, and the processes are those that were there before.
    pub fn assert_well(&self, after: &str) {
        let before = self.rounds().0;
        let began = Instant::now();
        while self.rounds().0 < before + 5 {
            assert!(began.elapsed() < Duration::from_secs(20), "after {after} the victim does not go on");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.rounds().1, 0, "after {after} the victim's results are wrong");
        for helper in &self.helpers {
            assert_eq!(&process(helper.pid), helper, "after {after}");
        }
    }

    fn assert_key_is_hidden(&self, during: &[&str]) {
        let key = key::of(self.lead);
        for stub in self.stubs() {
            let places = key::places(stub, key);
            assert!(places.is_empty(), "during {during:?} the key stands in {stub} at {places:x?}");
        }
    }

    /// The container's processes on the host.
    fn stubs(&self) -> Vec<u64> {
        let namespace = |pid: u64| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = namespace(self.lead);
        let all = fs::read_dir("/proc").unwrap().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(|&pid| own.is_some() && namespace(pid) == own).collect()
    }

    fn used(&self) -> Use {
        let sum = |name: &str| self.helpers.iter().map(|helper| number(helper.pid, name)).sum();
        let descriptors = |pid| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Use {
            threads: sum("Threads:"),
            descriptors: self.helpers.iter().map(|helper| descriptors(helper.pid)).sum(),
            resident: sum("VmRSS:"),
            stubs: self.stubs().len(),
        }
    }

    /// What is used when nothing is on its way any more.
    pub fn settled_use(&self) -> Use {
        std::thread::sleep(Duration::from_millis(100));
        self.used()
    }

    /// All that an attack made is gone, but for what is kept for the next tasks.
    pub fn assert_nothing_is_left(&self, after: &str, before: &Use) {
        let began = Instant::now();
        loop {
            let now = self.used();
            let few = now.threads <= before.threads + 16 && now.descriptors <= before.descriptors + 24;
            if few && now.stubs <= before.stubs && now.resident <= before.resident + (64 << 10) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "after {after}: {now:?}; before: {before:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// While the victim rests, nothing takes the processor's time.
    pub fn assert_idle(&self) {
        self.bundle.succeed(&["kill", ID, "USR1"]);
        std::thread::sleep(Duration::from_secs(1));
        let ticks = || -> u64 {
            let of = |pid| stat(pid).get(TICKS).map_or(0, |f| f.iter().filter_map(|n| n.parse::<u64>().ok()).sum());
            self.helpers.iter().map(|helper| of(helper.pid)).sum()
        };
        let (before, rounds) = (ticks(), self.rounds());
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(self.rounds(), rounds, "the victim does not rest");
        let used = ticks() - before;
        assert!(used <= 3, "idle, but {used} ticks in two seconds");
    }
}
