//! The threads of a stub, each at a place of its own.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Lanes;
use super::code::{BLOCKED_IN_LEAD, Entry, action};
use super::context::TrapContext;
use super::deaths::Deaths;
use super::kick;
use super::patch::Patches;
use super::slots::{self, SLOT, Slot, SlotFile, offset};
use super::spin::Baton;
use crate::stub::layout;
use crate::stub::orders::Order;
use crate::stub::process::{Birth, HostThread, Stub};
use crate::stub::space::Threads;
use crate::{Change, Context, MemoryFault, PlatformError, Text};

/// So many threads that no task uses are kept for the next ones.
const IDLE: usize = 16;
/// How long other threads of a stub may take to end before an `execve`.
const PATIENCE: Duration = Duration::from_secs(2);

/// Tells of an end.
pub type Tell = Arc<dyn Fn() + Send + Sync>;

/// What all stubs of a sandbox share.
pub struct Shared {
    /// The slots.
    pub slots: Arc<SlotFile>,
    /// Their file's number in the mappers' descriptor table.
    pub number: i32,
    /// Tells of the ends of stubs.
    pub deaths: Deaths,
    /// What makes calls faster.
    pub lanes: Lanes,
    /// Who may spin.
    pub baton: Arc<Baton>,
}

/// A thread of a stub and its slot.
pub struct Place {
    /// Its slot, which stays its stub's to the end.
    pub slot: Arc<Slot>,
    /// The thread.
    pub thread: HostThread,
    /// How often it is known to have stopped.
    pub seen: u32,
    /// It has not stopped yet.
    pub fresh: bool,
    /// It stands in a call without a signal, not in its handler.
    pub in_call: bool,
}

/// The places of a stub.
pub struct Places {
    stub: Arc<Stub>,
    shared: Arc<Shared>,
    patches: Patches,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Every slot, in the order of their addresses.
    slots: Vec<Arc<Slot>>,
    /// The thread that a fork was born with, until its first context has it.
    first: Option<Place>,
    /// Threads that stand in their handler for who needs one.
    idle: Vec<Place>,
    /// Threads that were told to end, and are not known to have.
    ended: Vec<Place>,
    /// Slots of threads that have ended.
    free: Vec<Arc<Slot>>,
    /// How many places contexts have.
    used: usize,
    /// Who wants to hear of the stub's end, by the address of their slot.
    mourners: HashMap<u64, Tell>,
}

impl Places {
    /// Those of the lead, which has no application threads yet.
    pub fn of_lead(stub: Arc<Stub>, shared: Arc<Shared>, patches: Patches) -> Arc<Self> {
        Self::new(stub, shared, patches, State::default())
    }

    fn new(stub: Arc<Stub>, shared: Arc<Shared>, patches: Patches, state: State) -> Arc<Self> {
        let places = Arc::new(Self { stub, shared, patches, state: Mutex::new(state) });
        places.shared.deaths.watch(&places.stub, &places);
        places
    }

    /// Wakes whoever waits for a thread of the stub, which has ended.
    pub fn stub_has_ended(&self) {
        self.stub.kill();
        let (slots, mourners) = {
            let mut state = self.state.lock();
            (state.slots.clone(), std::mem::take(&mut state.mourners))
        };
        for slot in slots {
            slots::bump(slot.word(offset::POSTED));
        }
        mourners.into_values().for_each(|tell| tell());
    }

    /// Calls `tell` when the stub ends, if the context with this slot still has it then.
    pub fn mourn(&self, slot: &Slot, tell: Tell) {
        self.state.lock().mourners.insert(slot.address(), tell);
        if self.stub.is_dead() {
            self.stub_has_ended();
        }
    }

    /// A place for a context.
    fn take(&self) -> Result<Place, PlatformError> {
        let free = {
            let mut state = self.state.lock();
            if let Some(place) = state.first.take().or_else(|| state.idle.pop()) {
                state.used += 1;
                return Ok(place);
            }
            if state.free.is_empty() {
                self.collect(&mut state);
            }
            state.free.pop()
        };
        let (slot, orders) = match free {
            Some(slot) => (slot, Vec::new()),
            None => self.map_slot()?,
        };
        self.bear(slot, orders)
    }

    /// A new thread in a slot that no other has, after these orders.
    fn bear(&self, slot: Arc<Slot>, before: Vec<Order>) -> Result<Place, PlatformError> {
        let thread = self.stub.bear_thread(&birth_in(&slot, before))?;
        self.state.lock().used += 1;
        Ok(Place::of_newborn(slot, thread))
    }

    /// The patched texts.
    pub fn patches(&self) -> &Patches {
        &self.patches
    }

    /// Whether %gs of a thread whose application has asked for none is the address of its slot.
    pub fn are_found_by_gs(&self) -> bool {
        self.shared.lanes.patch
    }

    /// Whether calls that always answer the same are answered in the stub.
    pub fn answers_constants(&self) -> bool {
        self.shared.lanes.constants
    }

    /// What the one thread has that may spin; `None` if none may.
    pub fn baton(&self) -> Option<Arc<Baton>> {
        self.shared.lanes.spin.then(|| self.shared.baton.clone())
    }

    /// A new slot, and the orders that put it in place.
    fn map_slot(&self) -> Result<(Arc<Slot>, Vec<Order>), PlatformError> {
        let mut state = self.state.lock();
        let address = layout::SLOTS + (state.slots.len() * SLOT) as u64;
        if address + SLOT as u64 > layout::END {
            return Err(PlatformError::Host(libc::EAGAIN));
        }
        let blocked = if self.stub.is_lead() { BLOCKED_IN_LEAD } else { 0 };
        let slot = Arc::new(self.shared.slots.take(address, blocked)?);
        state.slots.push(slot.clone());
        let orders = self.shared.map(&slot);
        Ok((slot, orders))
    }

    /// Takes back the place of a context that is done with it.
    pub fn give_back(&self, place: Place) {
        let mut state = self.state.lock();
        state.used -= 1;
        let forgotten = state.mourners.remove(&place.slot.address());
        if state.idle.len() < IDLE {
            state.idle.push(place);
        } else {
            place.end();
            state.ended.push(place);
        }
        drop(state);
        drop(forgotten);
    }

    /// A context has ended whose thread is dead.
    pub fn give_up(&self) {
        self.state.lock().used -= 1;
    }

    /// Whether the host knows the thread no more. It is not to be asked of one that may still be wanted: one that lives is
    /// kicked.
    fn is_gone(&self, place: &Place) -> bool {
        let thread = [self.stub.inner_pid() as u64, place.thread.inner as u64, kick::SIGNAL as u64];
        self.stub.order(&[Order::new(libc::SYS_tgkill, &thread)]) == Err(PlatformError::Host(libc::ESRCH))
    }

    /// Frees the slots of threads that have ended, each of which is asked for once only: its number may come again.
    fn collect(&self, state: &mut State) {
        let (gone, left) = std::mem::take(&mut state.ended).into_iter().partition::<Vec<_>, _>(|p| self.is_gone(p));
        state.ended = left;
        state.free.extend(gone.into_iter().map(|place| place.slot));
    }

    /// Another thread for a context's, in whose registers nothing is left of the program that was there before: what the
    /// old one's slot says may be forged, and it stand elsewhere.
    ///
    /// # Errors
    /// `Dead` if the old one does not end.
    pub fn renew(&self, place: Place) -> Result<Place, PlatformError> {
        let slot = place.slot.clone();
        {
            let mut state = self.state.lock();
            state.used -= 1;
            place.end();
            state.ended.push(place);
        }
        self.wait_for_ends(0)?;
        self.state.lock().free.retain(|free| !Arc::ptr_eq(free, &slot));
        self.bear(slot, Vec::new())
    }

    /// Makes sure that no other threads live than those of so many contexts: what a program left behind must not run in
    /// the memory of the next, which may have other rights.
    fn wait_for_ends(&self, contexts: usize) -> Result<(), PlatformError> {
        let by = Instant::now() + PATIENCE;
        loop {
            let alone = {
                let mut state = self.state.lock();
                let State { idle, ended, .. } = &mut *state;
                for place in idle.drain(..) {
                    place.end();
                    ended.push(place);
                }
                self.collect(&mut state);
                state.used <= contexts && state.ended.is_empty()
            };
            if alone {
                return Ok(());
            }
            if self.stub.is_dead() || Instant::now() > by {
                self.stub.kill();
                return Err(PlatformError::Dead);
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

impl Shared {
    /// The orders that put a slot in place.
    fn map(&self, slot: &Slot) -> Vec<Order> {
        let flags = (libc::MAP_SHARED | libc::MAP_FIXED) as u64;
        let prot = (libc::PROT_READ | libc::PROT_WRITE) as u64;
        let (at, size) = (slot.address(), SLOT as u64);
        vec![
            Order::new(libc::SYS_mmap, &[at, size, prot, flags, self.number as u64, slot.offset()]),
            Order::new(libc::SYS_madvise, &[at, size, libc::MADV_DONTFORK as u64]),
        ]
    }
}

/// How a new thread is born in a slot that no other has.
fn birth_in(slot: &Slot, before: Vec<Order>) -> Birth {
    slot.reset();
    Birth { before, entry: Entry::Thread.address(), stack: slot.address() + SLOT as u64 }
}

impl Drop for Places {
    fn drop(&mut self) {
        // A slot goes to another stub after the end of this one.
        self.stub.keep_to_its_end(std::mem::take(&mut self.state.get_mut().slots));
    }
}

impl Place {
    fn of_newborn(slot: Arc<Slot>, thread: HostThread) -> Self {
        Self { slot, thread, seen: 0, fresh: true, in_call: false }
    }

    /// Lets the thread end.
    fn end(&self) {
        self.slot.word(offset::ACTION).store(action::EXIT, Ordering::SeqCst);
        slots::bump(self.slot.word(offset::ANSWERED));
    }
}

impl Threads for Arc<Places> {
    type Cradle = Arc<Slot>;

    fn prepare_fork(&self) -> Result<(Arc<Slot>, Birth), PlatformError> {
        let slot = Arc::new(self.shared.slots.take(layout::SLOTS, 0)?);
        let birth = birth_in(&slot, self.shared.map(&slot));
        Ok((slot, birth))
    }

    fn of_fork(&self, stub: Arc<Stub>, slot: Arc<Slot>, first: HostThread) -> Self {
        let first = Place::of_newborn(slot.clone(), first);
        let state = State { slots: vec![slot], first: Some(first), ..State::default() };
        Places::new(stub, self.shared.clone(), self.patches.copy(), state)
    }

    fn context(&self, stub: &Arc<Stub>) -> Result<Box<dyn Context>, PlatformError> {
        Ok(Box::new(TrapContext::new(stub.clone(), self.clone(), self.take()?)))
    }

    fn be_alone(&self) -> Result<(), PlatformError> {
        self.wait_for_ends(1)
    }

    fn was_cleared(&self) {
        self.patches.clear();
    }

    fn apply(&self, stub: &Stub, changes: &[Change]) -> Result<(), (usize, PlatformError)> {
        let mut all = self.patches.give_way(changes);
        if all.is_empty() {
            return stub.apply(changes);
        }
        let before = all.len();
        all.extend_from_slice(changes);
        stub.apply(&all).map_err(|(i, error)| (i.saturating_sub(before), error))
    }

    fn hasten(&self, stub: &Stub, text: &Text) -> Result<(), PlatformError> {
        if !self.shared.lanes.patch {
            return Ok(());
        }
        self.patches.patch(text, |changes| stub.apply(changes))
    }

    fn read(&self, stub: &Stub, from: u64, to: &mut [u8]) -> Result<(), MemoryFault> {
        let result = stub.read(from, to);
        self.patches.disguise(from, to, result)
    }

    fn close(&self) {
        // Who waits for a thread hears of the stub's end.
    }
}

/// Places as who watches for deaths knows them.
pub type Watched = Weak<Places>;
