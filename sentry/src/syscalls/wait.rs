//! wait4(2), waitid(2).

use moat_abi::errno::Errno;
use moat_abi::resource::Rusage;
use moat_abi::signal::{SIGCHLD, SigInfo};
use moat_abi::wait as w;

use super::arguments::{Out, Pid};
use crate::Result;
use crate::fs::pidfd::PidFd;
use crate::kernel::Current;
use crate::kernel::usage::Usage;
use crate::kernel::wait::{self, Found, Query, Which};

/// `struct rusage` of counters.
pub fn rusage_of(usage: &Usage) -> Rusage {
    Rusage {
        ru_utime: usage.user.into(),
        ru_stime: usage.system.into(),
        ru_maxrss: usage.max_resident as i64,
        ru_minflt: usage.minor_faults as i64,
        ru_nvcsw: usage.voluntary_switches as i64,
        ..Rusage::default()
    }
}

async fn wait_for_child(current: &mut Current, query: Query, hang: bool) -> Result<Option<Found>> {
    let kernel = current.kernel().clone();
    let pid = current.pid();
    let group = current.group();
    let look = || match wait::look(&mut kernel.tree(), pid, &query) {
        Ok(None) => None,
        Ok(found) => Some(Ok(found)),
        Err(e) => Some(Err(e)),
    };
    if !hang {
        return look().unwrap_or(Ok(None));
    }
    current
        .wait_for(None, |waiter| {
            waiter.listen(&group.children_changed);
            look()
        })
        .await
        .unwrap_or(Err(Errno::ERESTARTSYS))
}

fn clones(options: u32) -> Option<bool> {
    if options & w::WALL != 0 { None } else { Some(options & w::WCLONE != 0) }
}

/// wait4(2).
pub async fn wait4(current: &mut Current, pid: Pid, status: Out<u32>, options: u32, usage: Out<Rusage>) -> Result<u32> {
    let known = w::WNOHANG | w::WUNTRACED | w::WCONTINUED | w::WNOTHREAD | w::WCLONE | w::WALL;
    if options & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let which = match pid.0 {
        -1 => Which::Any,
        0 => Which::ProcessGroup(current.kernel().tree().process(current.pid()).map_or(0, |p| p.process_group)),
        i32::MIN => return Err(Errno::ESRCH),
        p if p < -1 => Which::ProcessGroup(p.unsigned_abs()),
        p => Which::Pid(p as u32),
    };
    let query = Query {
        which,
        exited: true,
        stopped: options & w::WUNTRACED != 0,
        continued: options & w::WCONTINUED != 0,
        keep: false,
        clones: clones(options),
    };
    let Some(found) = wait_for_child(current, query, options & w::WNOHANG == 0).await? else { return Ok(0) };
    let memory = current.memory();
    status.write_if(&memory, &found.status)?;
    usage.write_if(&memory, &rusage_of(&found.usage))?;
    Ok(found.pid)
}

/// waitid(2).
pub async fn waitid(
    current: &mut Current,
    kind: u32,
    id: Pid,
    info: Out<SigInfo>,
    options: u32,
    usage: Out<Rusage>,
) -> Result<()> {
    let events = w::WEXITED | w::WSTOPPED | w::WCONTINUED;
    let known = events | w::WNOHANG | w::WNOWAIT | w::WNOTHREAD | w::WCLONE | w::WALL;
    if options & !known != 0 || options & events == 0 {
        return Err(Errno::EINVAL);
    }
    let mut hang = options & w::WNOHANG == 0;
    let mut pidfd_nonblocking = false;
    let which = match kind {
        w::P_ALL => Which::Any,
        w::P_PID if id.0 > 0 => Which::Pid(id.0 as u32),
        w::P_PGID if id.0 >= 0 => Which::ProcessGroup(match id.0 {
            0 => current.kernel().tree().process(current.pid()).map_or(0, |p| p.process_group),
            group => group as u32,
        }),
        w::P_PIDFD if id.0 >= 0 => {
            let file = current.files().get(id.0)?;
            let pid = file.downcast::<PidFd>().ok_or(Errno::EBADF)?.group.pid();
            pidfd_nonblocking = file.nonblocking();
            hang &= !pidfd_nonblocking;
            Which::Pid(pid)
        }
        _ => return Err(Errno::EINVAL),
    };
    let query = Query {
        which,
        exited: options & w::WEXITED != 0,
        stopped: options & w::WSTOPPED != 0,
        continued: options & w::WCONTINUED != 0,
        keep: options & w::WNOWAIT != 0,
        clones: clones(options),
    };
    let found = wait_for_child(current, query, hang).await?;
    let memory = current.memory();
    let shown = match &found {
        None if pidfd_nonblocking && options & w::WNOHANG == 0 => return Err(Errno::EAGAIN),
        None => SigInfo::default(),
        Some(found) => {
            usage.write_if(&memory, &rusage_of(&found.usage))?;
            let (code, status) = match found.status {
                w::CONTINUED => (SigInfo::CLD_CONTINUED, moat_abi::signal::SIGCONT.raw()),
                s if s & 0xff == 0x7f => (SigInfo::CLD_STOPPED, (s >> 8) as i32),
                s if s & 0x7f == 0 => (SigInfo::CLD_EXITED, (s >> 8) as i32 & 0xff),
                s if s & 0x80 != 0 => (SigInfo::CLD_DUMPED, (s & 0x7f) as i32),
                s => (SigInfo::CLD_KILLED, (s & 0x7f) as i32),
            };
            SigInfo::child(SIGCHLD, code, found.pid as i32, found.uid, status, 0, 0)
        }
    };
    info.write_if(&memory, &shown)
}
