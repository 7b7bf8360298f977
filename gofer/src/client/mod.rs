//! The client: the sentry's side. One blocking method a request; errors are Linux's.
//!
//! The gofer is not trusted with more than its files: every answer is checked, and one that breaks the protocol, comes too
//! late or not at all ends the client. From then on each request gives `EIO` at once.

mod changes;
mod channel;
mod requests;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use moat_abi::errno::Errno;
use parking_lot::{Condvar, Mutex};

use crate::protocol::wire::{Malformed, Reader, Writer};
use crate::protocol::{self, CLOSE_MAX, Opcode};
pub use changes::{Changes, Event, NameChange};
use channel::{Broken, Channel};
pub use requests::{DirectoryEntry, Listing, NewFile, Node};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the answer to a sync may take, which writes any amount of data to any kind of disk.
const SYNC_PATIENCE: Duration = Duration::from_secs(600);
/// How many handles are let go of together.
const CLOSE_TOGETHER: usize = 64;

/// See the module.
pub struct Client {
    sockets: Vec<Arc<OwnedFd>>,
    /// Connections that carry no request now; the one that was used last is on top.
    free: Mutex<Vec<Channel>>,
    freed: Condvar,
    dead: AtomicBool,
    /// Handles that nobody uses any more and that the gofer still holds.
    unused: Mutex<Vec<u64>>,
    /// Whether whoever gives a connection back is to tell the gofer of them.
    pressing: AtomicBool,
    patience: Duration,
    handles: u64,
    roots: u32,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("dead", &self.is_dead()).finish_non_exhaustive()
    }
}

/// A file, or a directory stream, that the gofer holds for us. Let go of when dropped, though not at once (see
/// [`Client::release_unused`]).
#[derive(Debug)]
pub struct Handle {
    client: Arc<Client>,
    id: u64,
}

impl Handle {
    /// Whom to ask about it.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let full = {
            let mut unused = self.client.unused.lock();
            unused.push(self.id);
            unused.len() >= CLOSE_TOGETHER
        };
        if full {
            self.client.release_unused();
        }
    }
}

impl Client {
    /// Greets the gofer on each of these connections.
    ///
    /// # Errors
    /// `EIO` if the gofer is not there; `EPROTO` if it is of another version; `EINVAL` without connections.
    pub fn new(connections: Vec<OwnedFd>) -> Result<Arc<Self>, Errno> {
        Self::with_patience(connections, PATIENCE)
    }

    /// The same, waiting no longer than this for an answer (but for a sync's).
    ///
    /// # Errors
    /// As of [`Client::new`].
    pub fn with_patience(connections: Vec<OwnedFd>, patience: Duration) -> Result<Arc<Self>, Errno> {
        let mut channels = Vec::with_capacity(connections.len());
        let mut said = None;
        for connection in connections {
            let mut channel = Channel::new(connection, patience).map_err(|_| Errno::EIO)?;
            let write = |writer: &mut Writer<'_>| {
                writer.put(&protocol::Hello { magic: protocol::MAGIC, version: protocol::VERSION });
            };
            let answer = channel.transact(Opcode::Hello, patience, write).map_err(|Broken| Errno::EIO)?;
            let (mut body, _) = answer?;
            let hello: protocol::HelloReply = body.take().map_err(|Malformed| Errno::EIO)?;
            if hello.version != protocol::VERSION {
                return Err(Errno::EPROTO);
            }
            said = Some(hello);
            channels.push(channel);
        }
        let said = said.ok_or(Errno::EINVAL)?;
        Ok(Arc::new(Self {
            sockets: channels.iter().map(|c| c.socket().clone()).collect(),
            free: Mutex::new(channels),
            freed: Condvar::new(),
            dead: AtomicBool::new(false),
            unused: Mutex::new(Vec::new()),
            pressing: AtomicBool::new(false),
            patience,
            handles: said.handles,
            roots: said.roots,
        }))
    }

    /// How many handles the gofer can hold at a time; beyond, lookups give `EMFILE`.
    pub fn handles(&self) -> u64 {
        self.handles
    }

    /// How many roots it serves.
    pub fn roots(&self) -> u32 {
        self.roots
    }

    /// Whether the gofer is gone, or is not to be spoken to any more.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Tells the gofer now, or as soon as a connection is free, of all handles that were dropped. Only from then on needs
    /// what was deleted no space on the host. Never waits: whoever drops a handle may hold the last free connection.
    pub fn release_unused(&self) {
        let channel = self.free.lock().pop();
        match channel {
            Some(channel) => self.release_through(channel),
            None => self.pressing.store(true, Ordering::Release),
        }
    }

    fn release_through(&self, mut channel: Channel) {
        let unused = std::mem::take(&mut *self.unused.lock());
        for handles in unused.chunks(CLOSE_MAX) {
            let write = |writer: &mut Writer<'_>| handles.iter().for_each(|h| writer.put(h));
            if channel.send(Opcode::Close, write).is_err() {
                return self.die("it takes no more requests");
            }
        }
        self.give_back(channel);
    }

    /// Asks and waits; `read` takes the answer apart, with which at most one descriptor comes.
    fn ask<T>(
        self: &Arc<Self>,
        opcode: Opcode,
        write: impl FnOnce(&mut Writer<'_>),
        read: impl FnOnce(&mut Reader<'_>, Option<OwnedFd>) -> Result<T, Malformed>,
    ) -> Result<T, Errno> {
        self.ask_for_many(opcode, write, |body, mut descriptors| {
            let descriptor = descriptors.pop();
            if descriptors.is_empty() { read(body, descriptor) } else { Err(Malformed) }
        })
    }

    /// The same for an answer with any number of descriptors.
    fn ask_for_many<T>(
        self: &Arc<Self>,
        opcode: Opcode,
        write: impl FnOnce(&mut Writer<'_>),
        read: impl FnOnce(&mut Reader<'_>, Vec<OwnedFd>) -> Result<T, Malformed>,
    ) -> Result<T, Errno> {
        let mut channel = self.take_channel()?;
        let patience = if opcode == Opcode::Sync { SYNC_PATIENCE } else { self.patience };
        let result = match channel.transact(opcode, patience, write) {
            Ok(Ok((mut body, descriptors))) => {
                match read(&mut body, descriptors).and_then(|value| body.finish().map(|()| value)) {
                    Ok(value) => Ok(value),
                    Err(Malformed) => {
                        self.die("an answer was malformed");
                        return Err(Errno::EIO);
                    }
                }
            }
            Ok(Err(e)) => Err(e),
            Err(Broken) => {
                self.die("it gave no answer");
                return Err(Errno::EIO);
            }
        };
        self.give_back(channel);
        result
    }

    /// A connection of one's own, when one is free.
    fn take_channel(&self) -> Result<Channel, Errno> {
        let mut free = self.free.lock();
        loop {
            if self.is_dead() {
                return Err(Errno::EIO);
            }
            match free.pop() {
                Some(channel) => return Ok(channel),
                None => self.freed.wait(&mut free),
            }
        }
    }

    fn give_back(&self, channel: Channel) {
        if self.pressing.swap(false, Ordering::AcqRel) {
            return self.release_through(channel);
        }
        self.free.lock().push(channel);
        self.freed.notify_one();
    }

    /// Ends all of it: who waits for an answer or for a connection gets `EIO`.
    fn die(&self, why: &str) {
        if self.dead.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::error!("the gofer is lost: {why}");
        for socket in &self.sockets {
            channel::shut_down(socket);
        }
        // Under the lock, so that nobody is between looking and waiting.
        let free = self.free.lock();
        self.freed.notify_all();
        drop(free);
    }
}
