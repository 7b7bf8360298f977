//! Pending signals.

use std::collections::VecDeque;

use moat_abi::signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, SigInfo, SigSet, Signal};

/// Signals that wait for delivery: at most one of each standard signal, real-time signals in order.
#[derive(Clone, Default)]
pub struct SignalQueue {
    set: SigSet,
    infos: VecDeque<(Signal, SigInfo)>,
}

/// Taken before all others, since they belong to the instruction that was just executed.
const SYNCHRONOUS: [Signal; 6] = [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS];

impl SignalQueue {
    /// Which signals are pending.
    pub fn set(&self) -> SigSet {
        self.set
    }

    /// How many are queued.
    pub fn len(&self) -> usize {
        self.infos.len()
    }

    /// Whether none is pending.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Adds a signal; false if it is a standard one that was pending already.
    pub fn push(&mut self, signal: Signal, info: SigInfo) -> bool {
        if !signal.is_real_time() && self.set.contains(signal) {
            return false;
        }
        self.set.insert(signal);
        self.infos.push_back((signal, info));
        true
    }

    /// Takes the first signal that is not in `blocked`: synchronous ones first, then the lowest number, then the
    /// oldest.
    pub fn pop(&mut self, blocked: SigSet) -> Option<(Signal, SigInfo)> {
        let ready = self.set.without(blocked);
        if ready.is_empty() {
            return None;
        }
        let signal = SYNCHRONOUS.into_iter().find(|&s| ready.contains(s)).or_else(|| ready.first())?;
        let at = self.infos.iter().position(|(s, _)| *s == signal)?;
        let (_, info) = self.infos.remove(at)?;
        if !self.infos.iter().any(|(s, _)| *s == signal) {
            self.set.remove(signal);
        }
        Some((signal, info))
    }

    /// Throws away all pending signals of these.
    pub fn discard(&mut self, signals: SigSet) {
        self.infos.retain(|(s, _)| !signals.contains(*s));
        self.set = self.set.without(signals);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moat_abi::signal::{SIGTERM, SIGUSR1};

    #[test]
    fn standard_signals_collapse_and_real_time_ones_queue() {
        let mut queue = SignalQueue::default();
        let rt = Signal::from_raw(40).unwrap();
        let info = SigInfo::default();
        assert!(queue.push(SIGUSR1, info));
        assert!(!queue.push(SIGUSR1, info));
        assert!(queue.push(rt, info));
        assert!(queue.push(rt, info));
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn faults_come_before_lower_numbers() {
        let mut queue = SignalQueue::default();
        queue.push(SIGUSR1, SigInfo::default());
        queue.push(SIGTERM, SigInfo::default());
        queue.push(SIGSEGV, SigInfo::default());
        assert_eq!(queue.pop(SigSet::EMPTY).map(|p| p.0), Some(SIGSEGV));
        assert_eq!(queue.pop(SigSet::EMPTY).map(|p| p.0), Some(SIGUSR1));
        assert_eq!(queue.pop(SigSet::EMPTY).map(|p| p.0), Some(SIGTERM));
        assert!(queue.is_empty());
    }
}
