//! Lines that strace itself prints for the same calls.

use std::io::Read;

use moat_abi::errno::Errno;
use moat_abi::signal::{SIGCHLD, SIGSEGV, SigInfo};

use super::show::{Memory, Show};
use super::{Tracer, begin, rest, result};
use crate::syscalls::table;

/// Application memory that begins at [`BASE`].
struct Fake(Vec<u8>);

const BASE: u64 = 0x1000;

impl Memory for Fake {
    fn read(&self, from: u64, to: &mut [u8]) -> bool {
        let Some(at) = from.checked_sub(BASE) else { return false };
        match self.0.get(at as usize..(at as usize).saturating_add(to.len())) {
            Some(bytes) => {
                to.copy_from_slice(bytes);
                true
            }
            None => false,
        }
    }
}

impl Fake {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// Puts bytes behind what is there; where they lie.
    fn put(&mut self, bytes: &[u8]) -> u64 {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let at = BASE + self.0.len() as u64;
        self.0.extend_from_slice(bytes);
        at
    }

    fn words(&mut self, words: &[u64]) -> u64 {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.put(&bytes)
    }

    fn string(&mut self, text: &str) -> u64 {
        let at = self.put(text.as_bytes());
        // Strings are read in pieces, beyond their end.
        self.0.extend_from_slice(&[0; 72]);
        at
    }

    fn trace(&self, name: &str, arguments: &[u64], outcome: Result<u64, Errno>) -> String {
        let call = table::CALLS.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("{name} is not there"));
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        let mut show = Show::new(self, all, 32);
        let first = begin(call, &mut show);
        show.set_result(outcome);
        let late = rest(call, &mut show);
        format!("{first}{late}) = {}", result(Some(call), outcome, &mut show))
    }
}

const ENOENT: Result<u64, Errno> = Err(Errno::ENOENT);
const CWD: u64 = -100i64 as u64;

#[test]
fn opening_a_file() {
    let mut m = Fake::new();
    let path = m.string("/etc/passwd");
    assert_eq!(
        m.trace("openat", &[CWD, path, 0o2000000, 0], Ok(3)),
        r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3"#
    );
    assert_eq!(
        m.trace("openat", &[CWD, path, 0o102 | 0o2000000, 0o600], ENOENT),
        r#"openat(AT_FDCWD, "/etc/passwd", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = -1 ENOENT (No such file or directory)"#
    );
    assert_eq!(
        m.trace("openat", &[CWD, path, 0o4000 | 0o200000 | 0o2000000, 0], Ok(3)),
        r#"openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_DIRECTORY) = 3"#
    );
    assert_eq!(
        m.trace("access", &[path, 4], ENOENT),
        r#"access("/etc/passwd", R_OK) = -1 ENOENT (No such file or directory)"#
    );
    assert_eq!(m.trace("umask", &[0o77], Ok(0o22)), "umask(077) = 022");
    assert_eq!(m.trace("lseek", &[3, 0, 1], Err(Errno::ESPIPE)), "lseek(3, 0, SEEK_CUR) = -1 ESPIPE (Illegal seek)");
}

#[test]
fn reading_and_writing() {
    let mut m = Fake::new();
    let data = m.put(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(
        m.trace("read", &[3, data, 34], Ok(34)),
        r#"read(3, "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0>\0\1\0\0\0\0\0\0\0\0\0\0\0"..., 34) = 34"#
    );
    assert_eq!(m.trace("read", &[3, data, 34], Ok(0)), r#"read(3, "", 34) = 0"#);
    assert_eq!(
        m.trace("read", &[0, data, 34], Err(Errno::ERESTARTSYS)),
        format!("read(0, {data:#x}, 34) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)")
    );
    assert_eq!(m.trace("write", &[1, 0, 5], Err(Errno::EFAULT)), "write(1, NULL, 5) = -1 EFAULT (Bad address)");
    let (a, b) = (m.put(b"a"), m.put(b"b"));
    let vector = m.words(&[a, 1, b, 1]);
    assert_eq!(
        m.trace("writev", &[1, vector, 2], Ok(2)),
        r#"writev(1, [{iov_base="a", iov_len=1}, {iov_base="b", iov_len=1}], 2) = 2"#
    );
    assert_eq!(m.trace("getrandom", &[a, 1, 1], Ok(1)), r#"getrandom("\x61", 1, GRND_NONBLOCK) = 1"#);
    let fds = m.words(&[3 | 4 << 32]);
    assert_eq!(m.trace("pipe2", &[fds, 0o2000000], Ok(0)), "pipe2([3, 4], O_CLOEXEC) = 0");
}

#[test]
fn memory() {
    let m = Fake::new();
    assert_eq!(
        m.trace("mmap", &[0, 8192, 3, 0x22, u64::MAX, 0], Ok(0x7f00_0000_0000)),
        "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000"
    );
    assert_eq!(
        m.trace("mmap", &[0x7f00_0000_0000, 4096, 5, 0x812, 3, 0x4000], Ok(0x7f00_0000_0000)),
        "mmap(0x7f0000000000, 4096, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE, 3, 0x4000) = 0x7f0000000000"
    );
    assert_eq!(m.trace("mprotect", &[0x4000, 4096, 0], Ok(0)), "mprotect(0x4000, 4096, PROT_NONE) = 0");
    assert_eq!(m.trace("brk", &[0], Ok(0x5555_0000)), "brk(NULL) = 0x55550000");
    assert_eq!(m.trace("madvise", &[0x4000, 8192, 4], Ok(0)), "madvise(0x4000, 8192, MADV_DONTNEED) = 0");
    assert_eq!(m.trace("msync", &[0x4000, 8192, 4], Ok(0)), "msync(0x4000, 8192, MS_SYNC) = 0");
}

#[test]
fn signals() {
    let mut m = Fake::new();
    let new = m.words(&[0x40_1000, 0x0c00_0000, 0x7f00_0000_2050, 0]);
    let old = m.words(&[0, 0, 0, 0]);
    assert_eq!(
        m.trace("rt_sigaction", &[2, new, old, 8], Ok(0)),
        "rt_sigaction(SIGINT, {sa_handler=0x401000, sa_mask=[], sa_flags=SA_RESTORER|SA_ONSTACK, \
         sa_restorer=0x7f0000002050}, {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, 8) = 0"
    );
    let set = m.words(&[1 << 1 | 1 << 16]);
    assert_eq!(m.trace("rt_sigprocmask", &[0, set, old, 8], Ok(0)), "rt_sigprocmask(SIG_BLOCK, [INT CHLD], [], 8) = 0");
    let all = m.words(&[!0x7fff_ffff & !(1 << 31 | 1 << 32) | 0x7fff_ffff]);
    assert_eq!(
        m.trace("rt_sigprocmask", &[0, all, 0, 8], Ok(0)),
        "rt_sigprocmask(SIG_BLOCK, ~[RTMIN RT_1], NULL, 8) = 0"
    );
    assert_eq!(m.trace("kill", &[7, 10], Ok(0)), "kill(7, SIGUSR1) = 0");
}

#[test]
fn processes() {
    let mut m = Fake::new();
    let path = m.string("/bin/ls");
    let argument = m.string("ls");
    let (argv, envp) = (m.words(&[argument, 0]), m.words(&[path, path, 0]));
    assert_eq!(
        m.trace("execve", &[path, argv, envp], Ok(0)),
        format!(r#"execve("/bin/ls", ["ls"], {envp:#x} /* 2 vars */) = 0"#)
    );
    assert_eq!(
        m.trace("clone", &[0x0120_0011, 0, 0, 0x7f5e_64dd_2a10, 0], Ok(7121)),
        "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f5e64dd2a10) = 7121"
    );
    assert_eq!(m.trace("clone", &[0x11, 0, 0, 0, 0], Ok(5)), "clone(child_stack=NULL, flags=SIGCHLD) = 5");
    let status = m.words(&[3 << 8]);
    assert_eq!(
        m.trace("wait4", &[u64::MAX, status, 2, 0], Ok(9)),
        "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], WUNTRACED, NULL) = 9"
    );
    let killed = m.words(&[15]);
    assert_eq!(
        m.trace("wait4", &[u64::MAX, killed, 0, 0], Ok(9)),
        "wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM}], 0, NULL) = 9"
    );
    assert_eq!(
        m.trace("wait4", &[u64::MAX, status, 0, 0], Err(Errno::ECHILD)),
        format!("wait4(-1, {status:#x}, 0, NULL) = -1 ECHILD (No child processes)")
    );
    let limit = m.words(&[8192 * 1024, u64::MAX]);
    assert_eq!(
        m.trace("prlimit64", &[0, 3, 0, limit], Ok(0)),
        "prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0"
    );
    assert_eq!(m.trace("setresuid", &[u64::MAX, 5, u64::MAX], Ok(0)), "setresuid(-1, 5, -1) = 0");
    assert_eq!(m.trace("futex", &[0x5000, 0x81, 1, 0, 0, 0], Ok(0)), "futex(0x5000, FUTEX_WAKE_PRIVATE, 1) = 0");
    let time = m.words(&[1, 500]);
    assert_eq!(
        m.trace("futex", &[0x5000, 0x189, 0, time, 0, u64::from(u32::MAX)], Err(Errno::ETIMEDOUT)),
        "futex(0x5000, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 0, {tv_sec=1, tv_nsec=500}, \
         FUTEX_BITSET_MATCH_ANY) = -1 ETIMEDOUT (Connection timed out)"
    );
    assert_eq!(m.trace("arch_prctl", &[0x1002, 0x7f00], Ok(0)), "arch_prctl(ARCH_SET_FS, 0x7f00) = 0");
    assert_eq!(m.trace("prctl", &[38, 1, 0, 0, 0], Ok(0)), "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) = 0");
    let name = m.string("worker");
    assert_eq!(m.trace("prctl", &[15, name], Ok(0)), r#"prctl(PR_SET_NAME, "worker") = 0"#);
}

#[test]
fn attributes() {
    let mut m = Fake::new();
    let path = m.string("/etc");
    let directory = m.words(&[1, 2, 3, 0o040755, 0, 0, 4096, 4096, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        m.trace("newfstatat", &[CWD, path, directory, 0], Ok(0)),
        r#"newfstatat(AT_FDCWD, "/etc", {st_mode=S_IFDIR|0755, st_size=4096, ...}, 0) = 0"#
    );
    let device = m.words(&[1, 2, 3, 0o020666, 0, 0x103, 0, 4096, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        m.trace("fstat", &[0, device], Ok(0)),
        "fstat(0, {st_mode=S_IFCHR|0666, st_rdev=makedev(0x1, 0x3), ...}) = 0"
    );
    let times = m.words(&[1, 0, 2, 0]);
    assert_eq!(
        m.trace("utimensat", &[CWD, path, times, 0], Ok(0)),
        "utimensat(AT_FDCWD, \"/etc\", [{tv_sec=1, tv_nsec=0} /* 1970-01-01T00:00:01+0000 */, \
         {tv_sec=2, tv_nsec=0} /* 1970-01-01T00:00:02+0000 */], 0) = 0"
    );
    assert_eq!(
        m.trace("ioctl", &[0, 0x5401, 0x7ffc_4279_8590], Err(Errno::ENOTTY)),
        "ioctl(0, TCGETS, 0x7ffc42798590) = -1 ENOTTY (Inappropriate ioctl for device)"
    );
    assert_eq!(m.trace("fcntl", &[0, 3], Ok(0x8000)), "fcntl(0, F_GETFL) = 0x8000 (flags O_RDONLY|O_LARGEFILE)");
    assert_eq!(m.trace("fcntl", &[0, 1], Ok(0)), "fcntl(0, F_GETFD) = 0");
    assert_eq!(m.trace("fcntl", &[0, 2, 1], Ok(0)), "fcntl(0, F_SETFD, FD_CLOEXEC) = 0");
    let lock = m.words(&[1, 0, 0, 0]);
    assert_eq!(
        m.trace("fcntl", &[13, 7, lock], Ok(0)),
        "fcntl(13, F_SETLKW, {l_type=F_WRLCK, l_whence=SEEK_SET, l_start=0, l_len=0}) = 0"
    );
}

#[test]
fn waiting_for_files() {
    let mut m = Fake::new();
    let fds = m.words(&[3 | 1 << 32 | 1 << 48, 4 | 4 << 32]);
    assert_eq!(
        m.trace("poll", &[fds, 2, 100], Ok(1)),
        "poll([{fd=3, events=POLLIN}, {fd=4, events=POLLOUT}], 2, 100) = 1 ([{fd=3, revents=POLLIN}])"
    );
    assert_eq!(
        m.trace("poll", &[fds, 2, 100], Ok(0)),
        "poll([{fd=3, events=POLLIN}, {fd=4, events=POLLOUT}], 2, 100) = 0 (Timeout)"
    );
    let (read, write, time) = (m.words(&[8]), m.words(&[16]), m.words(&[1, 0]));
    assert_eq!(
        m.trace("pselect6", &[5, read, write, 0, time, 0], Ok(2)),
        "pselect6(5, [3], [4], NULL, {tv_sec=1, tv_nsec=0}, NULL) = 2 (in [3], out [4], left {tv_sec=1, tv_nsec=0})"
    );
    let event = m.put(&[1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        m.trace("epoll_ctl", &[5, 1, 3, event], Ok(0)),
        "epoll_ctl(5, EPOLL_CTL_ADD, 3, {events=EPOLLIN, data={u32=3, u64=3}}) = 0"
    );
    assert_eq!(
        m.trace("epoll_wait", &[5, event, 5, 100], Ok(1)),
        "epoll_wait(5, [{events=EPOLLIN, data={u32=3, u64=3}}], 5, 100) = 1"
    );
}

#[test]
fn sockets() {
    let mut m = Fake::new();
    assert_eq!(
        m.trace("socket", &[2, 0o2000001, 0], Ok(9)),
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 9"
    );
    let address = m.put(&[2, 0, 0x84, 0x83, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    let length = m.words(&[16]);
    assert_eq!(
        m.trace("bind", &[9, address, 16], Ok(0)),
        r#"bind(9, {sa_family=AF_INET, sin_port=htons(33923), sin_addr=inet_addr("127.0.0.1")}, 16) = 0"#
    );
    assert_eq!(
        m.trace("getsockname", &[9, address, length], Ok(0)),
        r#"getsockname(9, {sa_family=AF_INET, sin_port=htons(33923), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0"#
    );
    assert_eq!(
        m.trace("accept4", &[9, address, length, 0o2000000], Err(Errno::EAGAIN)),
        format!("accept4(9, {address:#x}, [16], SOCK_CLOEXEC) = -1 EAGAIN (Resource temporarily unavailable)")
    );
    let one = m.words(&[1]);
    assert_eq!(m.trace("setsockopt", &[9, 1, 2, one, 4], Ok(0)), "setsockopt(9, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
    let hi = m.put(b"hi");
    assert_eq!(m.trace("sendto", &[6, hi, 2, 0, 0, 0], Ok(2)), r#"sendto(6, "hi", 2, 0, NULL, 0) = 2"#);
    assert_eq!(m.trace("recvfrom", &[7, hi, 10, 0, 0, 0], Ok(2)), r#"recvfrom(7, "hi", 10, 0, NULL, NULL) = 2"#);
    let vector = m.words(&[hi, 1, hi + 1, 1]);
    let control = m.words(&[20, 1 | 1 << 32, 0]);
    let message = m.words(&[0, 0, vector, 2, control, 24, 0]);
    assert_eq!(
        m.trace("sendmsg", &[6, message, 0], Ok(2)),
        "sendmsg(6, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base=\"h\", iov_len=1}, {iov_base=\"i\", iov_len=1}], \
         msg_iovlen=2, msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[0]}], \
         msg_controllen=24, msg_flags=0}, 0) = 2"
    );
}

/// What a tracer writes while `act` uses it.
fn written(act: impl FnOnce(&Tracer)) -> String {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let tracer = Tracer::new(writer.into(), 32);
    act(&tracer);
    drop(tracer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn lines_of_several_tasks_are_taken_up_again() {
    let text = written(|tracer| {
        tracer.begin_task(1);
        tracer.begin_call(1, "brk(NULL");
        tracer.end_call(1, 1, "brk", "", "0x5555");
        tracer.begin_task(12);
        tracer.begin_call(1, "read(0, ");
        tracer.block_call(1);
        tracer.begin_call(12, "getpid(");
        tracer.end_call(12, 12, "getpid", "", "12");
        tracer.end_call(1, 1, "read", "\"x\", 1", "1");
        tracer.begin_call(12, "exit_group(3");
        tracer.end_call(12, 12, "exit_group", "", "?");
        tracer.end_task(12, 3 << 8);
        tracer.signal(1, &SigInfo::child(SIGCHLD, SigInfo::CLD_EXITED, 12, 0, 3, 6, 0));
        tracer.signal(1, &SigInfo::fault(SIGSEGV, SigInfo::SEGV_MAPERR, 0));
        tracer.end_task(1, 11);
    });
    assert_eq!(
        text,
        "brk(NULL)                               = 0x5555\n\
         [pid     1] read(0,  <unfinished ...>\n\
         [pid    12] getpid()                    = 12\n\
         [pid     1] <... read resumed>\"x\", 1)   = 1\n\
         [pid    12] exit_group(3)               = ?\n\
         [pid    12] +++ exited with 3 +++\n\
         --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=12, si_uid=0, si_status=3, \
         si_utime=6 /* 0.06 s */, si_stime=0} ---\n\
         --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---\n\
         +++ killed by SIGSEGV +++\n"
    );
}

#[test]
fn numbers_before_the_call_are_remembered() {
    let mut m = Fake::new();
    let address = m.put(&[1, 0]);
    let length = m.words(&[2]);
    let call = table::CALLS.iter().find(|c| c.name == "getsockname").unwrap();
    let mut show = Show::new(&m, [6, address, length, 0, 0, 0], 32);
    show.set_result(Ok(0));
    show.set_remembered(vec![(length, 128)]);
    assert_eq!(rest(call, &mut show), "{sa_family=AF_UNIX}, [128 => 2]");
}
