//! What others do to a tree that the container owns, such as `podman cp`: heard of through the gofer's watches, and acted
//! on before anything that is cached is relied on.
//!
//! The host queues an event before the call that caused it returns, and the sentry reads the queue at the beginning of
//! each walk, so that whoever knows of a change never sees the sentry without it. The sentry's own changes come back the
//! same way: the names of those are *expected*, and pass unnoticed once each. If such a change fails, its directory counts
//! as changed, since what came back may have been somebody else's.
//!
//! An event can concern a file that a lookup under way is about to tell us of. [`Watch::epoch`] counts events that fit
//! nothing known, and names that others changed: what was asked for before, and answered after one, is not relied on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use moat_gofer::client::{Changes, Event, NameChange};

use super::GoferFs;
use super::node::Node;
use crate::sync::{Mutex, Rank};

/// How many expected events may be outstanding before the queue is read for their sake.
const EXPECTED_MAX: usize = 4096;

/// See the module.
pub(super) struct Watch {
    changes: Changes,
    /// Held while events are read and acted on, so that who finds none knows that all were.
    state: Mutex<State>,
    epoch: AtomicU64,
}

#[derive(Default)]
struct State {
    /// By the number of the watch, what is watched.
    nodes: HashMap<i32, Weak<Node>>,
    /// Changes of our own that will be told.
    expected: HashMap<NameEvent, u32>,
    /// Nothing can be read any more: nothing is cached either.
    broken: bool,
}

/// What will be told of a change of a name: the directory's watch, the name, and how it changes.
type NameEvent = (i32, Box<[u8]>, NameChange);

/// A change of names that the sentry has asked for.
pub(super) struct Expectation<'a> {
    watch: Option<&'a Watch>,
    events: Vec<(Arc<Node>, NameEvent)>,
}

impl Expectation<'_> {
    /// The change was made.
    pub fn met(mut self) {
        self.events.clear();
    }
}

impl Drop for Expectation<'_> {
    fn drop(&mut self) {
        let Some(watch) = self.watch.filter(|_| !self.events.is_empty()) else { return };
        let mut state = watch.state.lock();
        for (node, event) in self.events.drain(..) {
            state.take_expected(&event);
            node.names_changed();
            watch.epoch.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl State {
    /// Whether this was expected, once.
    fn take_expected(&mut self, event: &NameEvent) -> bool {
        match self.expected.get_mut(event) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => drop(self.expected.remove(event)),
            None => return false,
        }
        true
    }
}

impl Watch {
    pub fn new(changes: Changes) -> Self {
        let state = Mutex::new(Rank::OutsideChanges, State::default());
        Self { changes, state, epoch: AtomicU64::new(0) }
    }

    /// See the module.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What is told of this watch concerns `node`.
    pub fn enter(&self, number: i32, node: &Arc<Node>) {
        let mut state = self.state.lock();
        if state.nodes.len() > 1024 && state.nodes.len().is_power_of_two() {
            state.nodes.retain(|_, node| node.strong_count() > 0);
        }
        state.nodes.insert(number, Arc::downgrade(node));
        if state.broken {
            node.unwatched();
        }
    }

    /// A change of these names is about to be asked for.
    pub fn expect<'a>(this: Option<&'a Self>, names: &[(&Arc<Node>, &[u8], NameChange)]) -> Expectation<'a> {
        let mut expectation = Expectation { watch: this, events: Vec::new() };
        let Some(watch) = this else { return expectation };
        let mut state = watch.state.lock();
        for &(node, name, change) in names {
            if let Some(number) = node.watch() {
                let event: NameEvent = (number, name.into(), change);
                *state.expected.entry(event.clone()).or_default() += 1;
                expectation.events.push((node.clone(), event));
            }
        }
        expectation
    }

    /// Reads what has happened and marks what is not true any more.
    pub fn catch_up(&self, filesystem: &GoferFs) {
        let mut state = self.state.lock();
        if state.broken {
            return;
        }
        let mut overflow = false;
        let read = self.changes.read(|event| match event {
            Event::Overflow => overflow = true,
            Event::Ended { watch } => {
                if let Some(node) = state.nodes.remove(&watch).and_then(|node| node.upgrade()) {
                    node.unwatched();
                    node.changed();
                }
                state.expected.retain(|(number, ..), _| *number != watch);
            }
            Event::Name { watch, name, change } => {
                let expected = state.take_expected(&(watch, name.into(), change));
                match state.nodes.get(&watch).and_then(Weak::upgrade) {
                    Some(_) if expected => {}
                    Some(node) => {
                        tracing::debug!("others changed a name: {change:?} {:?}", String::from_utf8_lossy(name));
                        node.names_changed();
                        node.changed();
                        node.child_changed(name);
                        if matches!(change, NameChange::MovedFrom | NameChange::Deleted) {
                            node.child_left(name);
                        }
                        self.epoch.fetch_add(1, Ordering::AcqRel);
                    }
                    None => drop(self.epoch.fetch_add(1, Ordering::AcqRel)),
                }
            }
            Event::Contents { watch, name } => {
                let known = state.nodes.get(&watch).and_then(Weak::upgrade);
                let told = match (&known, name) {
                    (Some(node), Some(name)) => node.child_changed(name),
                    (Some(node), None) => {
                        node.changed();
                        true
                    }
                    (None, _) => false,
                };
                if !told {
                    self.epoch.fetch_add(1, Ordering::AcqRel);
                }
            }
        });
        if let Err(errno) = read {
            tracing::error!("changes by others are not told any more: {}", errno.description());
            state.broken = true;
        }
        if overflow || state.broken || state.expected.len() > EXPECTED_MAX {
            state.expected.clear();
            for node in state.nodes.values().filter_map(Weak::upgrade) {
                node.names_changed();
                if state.broken {
                    node.unwatched();
                }
            }
            self.epoch.fetch_add(1, Ordering::AcqRel);
            filesystem.all_changed();
        }
    }
}
