//! eventfd(2): a counter that can be waited for.

use std::any::Any;
use std::sync::Arc;

use moat_abi::errno::Errno;
use moat_abi::fcntl::OpenFlags;
use moat_abi::poll::PollEvents;

use super::file::{FileOperations, OpenFile};
use crate::Result;
use crate::executor::wait::{WaitQueue, Waiter};
use crate::sync::{Mutex, Rank};

/// The operations of an eventfd.
pub struct EventFd {
    count: Mutex<u64>,
    semaphore: bool,
    changed: WaitQueue,
}

/// A new eventfd that counts from `count`.
pub fn open(count: u64, semaphore: bool, nonblocking: OpenFlags) -> Arc<OpenFile> {
    let operations = EventFd { count: Mutex::new(Rank::Leaf, count), semaphore, changed: WaitQueue::new() };
    OpenFile::new(Arc::new(operations), None, OpenFlags::RDWR | nonblocking)
}

impl FileOperations for EventFd {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn ignores_seeks(&self) -> bool {
        true
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], _: u64) -> Result<usize> {
        let out = buf.first_chunk_mut::<8>().ok_or(Errno::EINVAL)?;
        let taken = {
            let mut count = self.count.lock();
            let taken = if self.semaphore { (*count).min(1) } else { *count };
            *count -= taken;
            taken
        };
        if taken == 0 {
            return Err(Errno::EAGAIN);
        }
        *out = taken.to_ne_bytes();
        self.changed.wake(PollEvents::OUT | PollEvents::WRNORM);
        Ok(8)
    }

    fn write_at(&self, _: &OpenFile, buf: &[u8], _: u64) -> Result<usize> {
        let added = u64::from_ne_bytes(*buf.first_chunk::<8>().ok_or(Errno::EINVAL)?);
        if added == u64::MAX {
            return Err(Errno::EINVAL);
        }
        {
            let mut count = self.count.lock();
            // The greatest value is kept for overflows, which only the kernel makes.
            *count = count.checked_add(added).filter(|&sum| sum < u64::MAX).ok_or(Errno::EAGAIN)?;
        }
        self.changed.wake(PollEvents::IN | PollEvents::RDNORM);
        Ok(8)
    }

    fn poll(&self, _: &OpenFile, waiter: Option<&mut Waiter>) -> PollEvents {
        if let Some(waiter) = waiter {
            waiter.listen(&self.changed);
        }
        let count = *self.count.lock();
        let mut events = PollEvents::empty();
        if count > 0 {
            events |= PollEvents::IN | PollEvents::RDNORM;
        }
        if count < u64::MAX - 1 {
            events |= PollEvents::OUT | PollEvents::WRNORM;
        }
        events
    }

    fn anonymous_name(&self) -> String {
        "anon_inode:[eventfd]".to_owned()
    }

    fn fdinfo(&self) -> String {
        format!("eventfd-count: {:16x}\neventfd-semaphore: {}\n", *self.count.lock(), u8::from(self.semaphore))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &OpenFile) -> Result<u64> {
        let mut buf = [0; 8];
        file.operations()?.read_at(file, &mut buf, 0).map(|_| u64::from_ne_bytes(buf))
    }

    fn write(file: &OpenFile, value: u64) -> Result<usize> {
        file.operations()?.write_at(file, &value.to_ne_bytes(), 0)
    }

    #[test]
    fn a_read_takes_all_and_a_semaphore_gives_one() {
        let file = open(2, false, OpenFlags::empty());
        write(&file, 3).unwrap();
        assert_eq!(read(&file), Ok(5));
        assert_eq!(read(&file), Err(Errno::EAGAIN));
        let file = open(2, true, OpenFlags::empty());
        assert_eq!((read(&file), read(&file), read(&file)), (Ok(1), Ok(1), Err(Errno::EAGAIN)));
    }

    #[test]
    fn it_does_not_overflow() {
        let file = open(0, false, OpenFlags::empty());
        assert_eq!(write(&file, u64::MAX), Err(Errno::EINVAL));
        write(&file, u64::MAX - 1).unwrap();
        assert_eq!(write(&file, 1), Err(Errno::EAGAIN));
        assert_eq!(file.poll(None), PollEvents::IN | PollEvents::RDNORM);
    }
}
