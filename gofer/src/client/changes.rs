//! What others did to the files of a root that the gofer watches for us.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use moat_abi::errno::Errno;
use rustix::fs::inotify::{ReadFlags, Reader};

use crate::protocol::wire::is_name;

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameChange {
    /// It was made.
    Created,
    /// It was removed.
    Deleted,
    /// It was moved away.
    MovedFrom,
    /// Something was moved to it, in the place of what it was perhaps.
    MovedTo,
}

/// Something that happened to a watched file. Watches are told by their numbers.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A name in a directory changed.
    Name {
        /// The directory's watch.
        watch: i32,
        /// The name.
        name: &'a [u8],
        /// How.
        change: NameChange,
    },
    /// The contents or attributes of a file changed.
    Contents {
        /// The file's watch, or its directory's.
        watch: i32,
        /// Which file in that directory.
        name: Option<&'a [u8]>,
    },
    /// There is no such watch any more.
    Ended {
        /// Which.
        watch: i32,
    },
    /// More happened than could be told.
    Overflow,
}

/// Where it is told. A change is there to be read as soon as whoever made it can know that it was made.
#[derive(Debug)]
pub struct Changes {
    inotify: OwnedFd,
}

impl Changes {
    pub(super) fn new(inotify: OwnedFd) -> Self {
        Self { inotify }
    }

    /// Takes all that happened and was not read yet. Never waits.
    ///
    /// # Errors
    /// The host's; nothing can be read any more then.
    pub fn read(&self, mut each: impl FnMut(Event<'_>)) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); 8192];
        let mut reader = Reader::new(&self.inotify, &mut space);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => continue,
                Err(e) => return Err(Errno::from_raw(e.raw_os_error())),
            };
            let (watch, flags) = (event.wd(), event.events());
            let name = event.file_name().map(std::ffi::CStr::to_bytes).filter(|name| is_name(name));
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                each(Event::Overflow);
            } else if flags.contains(ReadFlags::IGNORED) {
                each(Event::Ended { watch });
            } else if let (Some(change), Some(name)) = (name_change(flags), name) {
                each(Event::Name { watch, name, change });
            } else {
                each(Event::Contents { watch, name });
            }
        }
    }
}

fn name_change(flags: ReadFlags) -> Option<NameChange> {
    [
        (ReadFlags::CREATE, NameChange::Created),
        (ReadFlags::DELETE, NameChange::Deleted),
        (ReadFlags::MOVED_FROM, NameChange::MovedFrom),
        (ReadFlags::MOVED_TO, NameChange::MovedTo),
    ]
    .into_iter()
    .find_map(|(flag, change)| flags.contains(flag).then_some(change))
}
