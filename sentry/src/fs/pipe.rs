//! Pipes and FIFOs (pipe(7), fifo(7)).

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::ioctl::FIONREAD;
use moat_abi::poll::PollEvents;
use moat_abi::stat::{FileType, Mode};
use moat_abi::time::Timespec;

use super::file::{FileOperations, OpenFile};
use super::inode::{Attributes, Inode};
use crate::Result;
use crate::executor::wait::{WaitQueue, Waiter};
use crate::kernel::Current;
use crate::sync::{Mutex, Rank};

/// Bytes that a pipe holds until F_SETPIPE_SZ changes it.
pub const CAPACITY: usize = 65_536;
/// The most that F_SETPIPE_SZ gives without privilege (`fs.pipe-max-size`).
pub const CAPACITY_MAX: usize = 1 << 20;
/// Writes of up to this many bytes are not torn.
pub const PIPE_BUF: usize = 4096;

/// A pipe.
pub struct Pipe {
    id: u64,
    ring: Mutex<Ring>,
    /// Bytes came, went, or an end was closed or opened.
    pub changed: WaitQueue,
}

struct Ring {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// O_DIRECT packets: the lengths of what was written, in order.
    packets: VecDeque<usize>,
    readers: usize,
    writers: usize,
    /// How often each side was opened so far: what an opening FIFO waits for.
    reader_opens: u64,
    writer_opens: u64,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// One side of a pipe, or both (a FIFO opened O_RDWR).
pub struct PipeEnd {
    pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
    /// What [`Ring::peer_opens`] gave in the moment in which this side was opened.
    peer_before: (u64, bool),
}

impl Ring {
    /// How often the other side than this was opened so far, and whether it is open now.
    fn peer_opens(&self, reads: bool) -> (u64, bool) {
        if reads { (self.writer_opens, self.writers > 0) } else { (self.reader_opens, self.readers > 0) }
    }
}

impl Pipe {
    fn new() -> Arc<Self> {
        let ring = Ring {
            bytes: VecDeque::new(),
            capacity: CAPACITY,
            packets: VecDeque::new(),
            readers: 0,
            writers: 0,
            reader_opens: 0,
            writer_opens: 0,
        };
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed) + 10_000,
            ring: Mutex::new(Rank::Pipe, ring),
            changed: WaitQueue::new(),
        })
    }

    fn end(self: &Arc<Self>, reads: bool, writes: bool) -> Arc<PipeEnd> {
        let peer_before = {
            let mut ring = self.ring.lock();
            ring.readers += usize::from(reads);
            ring.writers += usize::from(writes);
            ring.reader_opens += u64::from(reads);
            ring.writer_opens += u64::from(writes);
            ring.peer_opens(reads)
        };
        self.changed.wake_all();
        Arc::new(PipeEnd { pipe: self.clone(), reads, writes, peer_before })
    }
}

/// `pipe2`: the reading and the writing end.
pub fn pair(flags: OpenFlags) -> (Arc<OpenFile>, Arc<OpenFile>) {
    let pipe = Pipe::new();
    let status = flags & (OpenFlags::NONBLOCK | OpenFlags::DIRECT);
    let reader = OpenFile::new(pipe.end(true, false), None, status);
    let writer = OpenFile::new(pipe.end(false, true), None, OpenFlags::WRONLY | status);
    (reader, writer)
}

/// Pipes by the device and inode of their FIFOs.
type Fifos = HashMap<(u64, u64), Weak<Pipe>>;

/// The pipes behind the FIFOs that are open.
static FIFOS: Mutex<Option<Fifos>> = Mutex::new(Rank::Leaf, None);

/// Opens a FIFO. The caller waits for the other side by [`PipeEnd::has_met_peer`] where it has to.
pub fn open_fifo(inode: &Arc<dyn Inode>, flags: OpenFlags) -> Result<Arc<PipeEnd>> {
    let attributes = inode.attributes()?;
    let pipe = {
        let mut fifos = FIFOS.lock();
        let fifos = fifos.get_or_insert_with(HashMap::new);
        fifos.retain(|_, pipe| pipe.strong_count() > 0);
        let slot = fifos.entry((attributes.device, attributes.inode)).or_default();
        slot.upgrade().unwrap_or_else(|| {
            let pipe = Pipe::new();
            *slot = Arc::downgrade(&pipe);
            pipe
        })
    };
    let (reads, writes) = (flags.readable(), flags.writable());
    if writes && !reads && flags.contains(OpenFlags::NONBLOCK) && pipe.ring.lock().readers == 0 {
        return Err(Errno::ENXIO);
    }
    Ok(pipe.end(reads, writes))
}

impl PipeEnd {
    /// The pipe, for splice and the wait of an opening FIFO.
    pub fn pipe(&self) -> &Arc<Pipe> {
        &self.pipe
    }

    /// Whether it can be read from.
    pub fn reads(&self) -> bool {
        self.reads
    }

    /// Whether it can be written to.
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// Whether the other side is open, or has been for however short a time, since this side was opened.
    pub fn has_met_peer(&self) -> bool {
        let (opens, open) = self.peer_before;
        open || self.pipe.ring.lock().peer_opens(self.reads).0 != opens
    }

    /// The capacity in bytes.
    pub fn capacity(&self) -> usize {
        self.pipe.ring.lock().capacity
    }

    /// F_SETPIPE_SZ: rounded up to a power of two pages; the new capacity. `EBUSY` if more is in it.
    pub fn set_capacity(&self, wanted: usize, privileged: bool) -> Result<usize> {
        let rounded = wanted.max(4096).checked_next_power_of_two().filter(|&c| c <= 1 << 31).ok_or(Errno::EINVAL)?;
        if rounded > CAPACITY_MAX && !privileged {
            return Err(Errno::EPERM);
        }
        let mut ring = self.pipe.ring.lock();
        if ring.bytes.len() > rounded {
            return Err(Errno::EBUSY);
        }
        ring.capacity = rounded;
        drop(ring);
        self.pipe.changed.wake_all();
        Ok(rounded)
    }

    /// How many bytes can be written now; `EAGAIN` if none, `EPIPE` without a reader.
    pub fn room(&self) -> Result<usize> {
        let ring = self.pipe.ring.lock();
        if ring.readers == 0 {
            return Err(Errno::EPIPE);
        }
        match ring.capacity - ring.bytes.len() {
            0 => Err(Errno::EAGAIN),
            room => Ok(room),
        }
    }

    /// Copies what could be read without taking it (tee); `EAGAIN` if nothing is there yet.
    pub fn peek(&self, limit: usize) -> Result<Vec<u8>> {
        let ring = self.pipe.ring.lock();
        if ring.bytes.is_empty() {
            return if ring.writers == 0 { Ok(Vec::new()) } else { Err(Errno::EAGAIN) };
        }
        Ok(ring.bytes.iter().take(limit).copied().collect())
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        {
            let mut ring = self.pipe.ring.lock();
            ring.readers -= usize::from(self.reads);
            ring.writers -= usize::from(self.writes);
        }
        self.pipe.changed.wake_all();
    }
}

impl FileOperations for PipeEnd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn has_fasync(&self) -> bool {
        true
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], _: u64) -> Result<usize> {
        if !self.reads {
            return Err(Errno::EBADF);
        }
        if buf.is_empty() {
            return Ok(0);
        }
        let n = {
            let mut ring = self.pipe.ring.lock();
            if ring.bytes.is_empty() {
                return if ring.writers == 0 { Ok(0) } else { Err(Errno::EAGAIN) };
            }
            let packet = ring.packets.pop_front();
            let n = buf.len().min(packet.unwrap_or(ring.bytes.len()));
            let (front, back) = ring.bytes.as_slices();
            let head = n.min(front.len());
            buf[..head].copy_from_slice(&front[..head]);
            buf[head..n].copy_from_slice(&back[..n - head]);
            // What a packet's reader leaves is thrown away.
            ring.bytes.drain(..packet.unwrap_or(n));
            n
        };
        self.pipe.changed.wake(PollEvents::OUT | PollEvents::WRNORM);
        Ok(n)
    }

    fn write_at(&self, file: &OpenFile, buf: &[u8], _: u64) -> Result<usize> {
        if !self.writes {
            return Err(Errno::EBADF);
        }
        let n = {
            let mut ring = self.pipe.ring.lock();
            // Nothing to write is no error, even if nobody could read it.
            if buf.is_empty() {
                return Ok(0);
            }
            if ring.readers == 0 {
                return Err(Errno::EPIPE);
            }
            let room = ring.capacity - ring.bytes.len();
            if room == 0 || (buf.len() <= PIPE_BUF && room < buf.len()) {
                return Err(Errno::EAGAIN);
            }
            let mut n = buf.len().min(room);
            if file.flags().contains(OpenFlags::DIRECT) {
                n = n.min(PIPE_BUF);
                ring.packets.push_back(n);
            }
            ring.bytes.extend(&buf[..n]);
            n
        };
        self.pipe.changed.wake(PollEvents::IN | PollEvents::RDNORM);
        Ok(n)
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.pipe.changed);
        }
        let ring = self.pipe.ring.lock();
        let mut events = PollEvents::empty();
        if self.reads {
            if !ring.bytes.is_empty() {
                events |= PollEvents::IN | PollEvents::RDNORM;
            }
            if ring.writers == 0 && ring.writer_opens > 0 {
                events |= PollEvents::HUP;
            }
        }
        if self.writes {
            if ring.capacity - ring.bytes.len() >= PIPE_BUF {
                events |= PollEvents::OUT | PollEvents::WRNORM;
            }
            if ring.readers == 0 {
                events |= PollEvents::ERR;
            }
        }
        events
    }

    fn ioctl(&self, current: &mut Current, _: &Arc<OpenFile>, command: u32, argument: u64) -> Result<u64> {
        match command {
            FIONREAD => {
                let n = self.pipe.ring.lock().bytes.len() as i32;
                current.memory().write(argument, &n)?;
                Ok(0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn anonymous_attributes(&self) -> Result<Attributes> {
        let now: Timespec = moat_host::clock::now(moat_abi::time::CLOCK_REALTIME).into();
        Ok(Attributes {
            device: 13,
            inode: self.pipe.id,
            mode: Mode::new(FileType::Fifo, 0o600),
            links: 1,
            block_size: 4096,
            atime: now,
            mtime: now,
            ctime: now,
            ..Attributes::default()
        })
    }

    fn reopen(self: Arc<Self>, flags: OpenFlags) -> Result<Arc<dyn FileOperations>> {
        Ok(self.pipe.end(flags.readable(), flags.writable()))
    }

    fn anonymous_name(&self) -> String {
        format!("pipe:[{}]", self.pipe.id)
    }
}
