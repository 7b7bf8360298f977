//! The spinning lane: while calls come close upon each other and a core is spare, a task's pair of threads runs on two
//! cores, and each side spins for the other's word: a call then costs two journeys of a line of the cache.
//!
//! * The sentry's thread spins for the next call, for some microseconds of silence at most; then it goes back to the core of
//!   the application's thread, and to yields and sleep. So what does not make calls has its pair on one core, and what is idle
//!   uses no core.
//! * The application's thread spins for the answer as long as a word of its slot says so, and for a number of pauses at most.
//!   The application can write that word: it then spends time of its own.
//! * One thread of a sandbox spins at a time, the one that has the [`Baton`], and none while as much runs as there are cores
//!   ([`Placement::is_crowded`]).
//! * When to try, and how long not to after a try that did not pay, says the [`Policy`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::slots::{Slot, offset};
use crate::stub::placement::Placement;

/// A task whose application runs so long between calls, and whose calls take so long, is worth the while.
const CLOSE: Duration = Duration::from_micros(8);
/// One whose application runs so long is not any more.
const FAR: Duration = Duration::from_micros(12);
/// The most that a single time counts, so that what was one sleep is soon forgotten.
const MOST: Duration = Duration::from_micros(64);
/// A time counts for this part of the smoothed one.
const WEIGHT: u64 = 8;

/// How long the sentry's thread spins in silence.
const SILENCE: Duration = Duration::from_micros(15);
/// The same when the application's thread has just been sent to another core, where it has to be woken first.
const ARRIVAL: Duration = Duration::from_micros(100);
/// So many looks, with a pause between, and it looks at the clock and at the baton.
const LOOKS: u32 = 32;
/// The application did not run so long, since that would have been silence: somebody else had the core of the sentry's thread.
const TAKEN_AWAY: Duration = Duration::from_micros(200);

/// So many calls, and a try has paid for the two journeys that it costs.
const PAYS: u32 = 32;
/// How long no other try is made after one that paid, or that came to nothing for no fault of the task's.
const SHORT_REST: Duration = Duration::from_micros(200);
/// The longest that none is made after several that did not pay.
const LONG_REST: Duration = Duration::from_millis(200);

/// When the lane is tried: a matter of times alone.
#[derive(Debug)]
struct Policy {
    /// How long the application runs between calls, smoothed.
    gap: Smoothed,
    /// How long its calls take, smoothed.
    service: Smoothed,
    /// The calls of the try that is under way.
    calls: u32,
    /// How long the next rest is.
    rest: Duration,
    /// When the present one ends.
    resting_until: Option<Instant>,
}

/// Why a try has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The lane has no more to give: the one side has waited for the other in vain.
    InVain,
    /// Others need the core, or the baton.
    GaveWay,
}

/// A time that follows those that it is told, in nanoseconds.
#[derive(Debug)]
struct Smoothed(u64);

impl Smoothed {
    fn follow(&mut self, time: Duration) {
        self.0 = (self.0 * (WEIGHT - 1) + time.min(MOST).as_nanos() as u64) / WEIGHT;
    }

    fn is_less_than(&self, limit: Duration) -> bool {
        u128::from(self.0) < limit.as_nanos()
    }
}

impl Policy {
    fn new() -> Self {
        let (gap, service) = (Smoothed(MOST.as_nanos() as u64), Smoothed(0));
        Self { gap, service, calls: 0, rest: SHORT_REST, resting_until: None }
    }

    /// The application has run so long.
    fn ran(&mut self, gap: Duration) {
        self.gap.follow(gap);
        self.calls = self.calls.saturating_add(1);
    }

    /// The call that it then made has taken so long.
    fn served(&mut self, service: Duration) {
        self.service.follow(service);
    }

    /// Whether to try.
    fn wants(&self, now: Instant) -> bool {
        self.gap.is_less_than(CLOSE)
            && self.service.is_less_than(CLOSE)
            && self.resting_until.is_none_or(|until| now >= until)
    }

    /// Whether to go on with a try.
    fn goes_on(&self) -> bool {
        self.gap.is_less_than(FAR)
    }

    /// A try begins.
    fn begin(&mut self) {
        self.calls = 0;
    }

    /// It has ended; or could not begin, for [`End::GaveWay`].
    fn end(&mut self, now: Instant, end: End) {
        let rest = match end {
            End::InVain if self.calls < PAYS => self.rest,
            _ => SHORT_REST,
        };
        self.resting_until = Some(now + rest);
        match end {
            End::InVain => self.rest = if self.calls < PAYS { (rest * 2).min(LONG_REST) } else { SHORT_REST },
            End::GaveWay => {}
        }
    }
}

/// What the one thread of a sandbox has that may spin: 0 if none, else the number of its slot, and perhaps [`WANTED`].
#[derive(Debug, Default)]
pub struct Baton(AtomicU32);

/// Somebody has asked for the baton since its holder last spun.
const WANTED: u32 = 1 << 31;

impl Baton {
    /// Whether `me` has it from now on. One whose holder has not spun between two requests, since it waits in a call, is
    /// taken from it.
    fn take(&self, me: u32) -> bool {
        let held = self.0.load(Ordering::Relaxed);
        let (next, taken) = match held {
            0 => (me, true),
            _ if held & WANTED != 0 => (me, true),
            _ => (held | WANTED, false),
        };
        self.0.compare_exchange(held, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() && taken
    }

    /// Whether `me` still has it, and thus may spin.
    fn hold(&self, me: u32) -> bool {
        let held = self.0.load(Ordering::Relaxed);
        held == me
            || held == me | WANTED && self.0.compare_exchange(held, me, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// `me` has it no more.
    fn give(&self, me: u32) {
        let given = |held| (held & !WANTED == me).then_some(0);
        // If it was taken, somebody else has it.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, given);
    }
}

/// The lane of one context.
pub struct Spinning {
    slot: Arc<Slot>,
    /// `None` if the lane is left out.
    baton: Option<Arc<Baton>>,
    policy: Policy,
    /// Both sides spin, on two cores.
    apart: bool,
    /// The application's thread has not come from its new core yet.
    arriving: bool,
    /// Somebody else uses the core of the sentry's thread.
    taken_away: bool,
}

impl Spinning {
    /// That of the thread with this slot.
    pub fn new(slot: Arc<Slot>, baton: Option<Arc<Baton>>) -> Self {
        // The application may have written it.
        slot.word(offset::SPINS).store(0, Ordering::Relaxed);
        Self { slot, baton, policy: Policy::new(), apart: false, arriving: false, taken_away: false }
    }

    fn me(&self) -> u32 {
        self.slot.number() + 1
    }

    /// The application's thread is about to be answered at `now`, after a call that took so long: does what it takes for
    /// both to spin from here on, or not to any more.
    pub fn before_answer(&mut self, now: Instant, service: Duration, placement: &mut Placement) {
        let Some(baton) = &self.baton else { return };
        self.policy.served(service);
        if self.apart {
            let stub_sleeps = self.slot.word(offset::STUB_WAITS).load(Ordering::Relaxed) != 0;
            if stub_sleeps || self.taken_away {
                self.rejoin(now, End::InVain, stub_sleeps && !self.taken_away, placement);
            } else if placement.is_crowded() || !baton.hold(self.me()) {
                self.rejoin(now, End::GaveWay, false, placement);
            } else if !self.policy.goes_on() {
                self.rejoin(now, End::InVain, false, placement);
            }
        } else if self.policy.wants(now) {
            if !placement.is_crowded() && baton.take(self.me()) && placement.part() {
                self.policy.begin();
                self.slot.word(offset::SPINS).store(1, Ordering::Relaxed);
                (self.apart, self.arriving, self.taken_away) = (true, true, false);
            } else {
                baton.give(self.me());
                self.policy.end(now, End::GaveWay);
            }
        }
    }

    /// The application has run so long until it stopped.
    pub fn after_run(&mut self, gap: Duration) {
        if self.baton.is_some() {
            self.policy.ran(gap);
            self.taken_away = self.apart && gap > TAKEN_AWAY;
        }
    }

    /// Spins until the thread has posted anew, not as when it was `seen`. False if it does not, and whoever waits for it
    /// has to do so in another way.
    pub fn watch(&mut self, seen: u32, placement: Option<&mut Placement>) -> bool {
        let (true, Some(baton), Some(placement)) = (self.apart, &self.baton, placement) else { return false };
        let posted = self.slot.word(offset::POSTED);
        let patience = if std::mem::take(&mut self.arriving) { ARRIVAL } else { SILENCE };
        let mut began = None;
        let (now, end) = loop {
            for _ in 0..LOOKS {
                if posted.load(Ordering::Acquire) != seen {
                    return true;
                }
                std::hint::spin_loop();
            }
            let now = Instant::now();
            if now - *began.get_or_insert(now) > patience {
                break (now, End::InVain);
            }
            if !baton.hold(self.me()) {
                break (now, End::GaveWay);
            }
        };
        self.rejoin(now, end, false, placement);
        false
    }

    fn rejoin(&mut self, now: Instant, end: End, stub_sleeps: bool, placement: &mut Placement) {
        self.stop();
        self.policy.end(now, end);
        placement.rejoin(stub_sleeps);
    }

    /// Neither side spins from here on, whatever cores they have. The slot may then be another context's.
    pub fn stop(&mut self) {
        if std::mem::take(&mut self.apart) {
            self.slot.word(offset::SPINS).store(0, Ordering::Relaxed);
            if let Some(baton) = &self.baton {
                baton.give(self.me());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_calls(gap: Duration, service: Duration) -> Policy {
        let mut policy = Policy::new();
        for _ in 0..100 {
            policy.ran(gap);
            policy.served(service);
        }
        policy
    }

    #[test]
    fn calls_have_to_come_close_upon_each_other_and_to_be_short() {
        let (short, long) = (Duration::from_micros(3), Duration::from_micros(10));
        let now = Instant::now();
        assert!(!Policy::new().wants(now));
        assert!(of_calls(short, short).wants(now));
        assert!(!of_calls(long, short).wants(now));
        assert!(!of_calls(short, long).wants(now));
    }

    #[test]
    fn a_few_close_calls_are_not_enough() {
        let mut policy = Policy::new();
        let needed = (1..).find(|_| {
            policy.ran(Duration::from_micros(1));
            policy.wants(Instant::now())
        });
        assert!((8..32).contains(&needed.unwrap()), "{needed:?}");
    }

    #[test]
    fn what_is_under_way_goes_on_a_little_longer_than_it_would_begin() {
        let policy = of_calls(Duration::from_micros(10), Duration::ZERO);
        assert!(!policy.wants(Instant::now()) && policy.goes_on());
        assert!(!of_calls(Duration::from_micros(13), Duration::ZERO).goes_on());
    }

    #[test]
    fn one_long_sleep_is_soon_forgotten() {
        let mut policy = of_calls(Duration::from_micros(1), Duration::from_micros(1));
        policy.served(Duration::from_secs(10));
        assert!(!policy.wants(Instant::now()));
        for _ in 0..4 {
            policy.served(Duration::from_micros(1));
        }
        assert!(policy.wants(Instant::now()));
    }

    #[test]
    fn tries_that_do_not_pay_are_made_ever_more_seldom() {
        let mut now = Instant::now();
        let mut policy = of_calls(Duration::from_micros(1), Duration::ZERO);
        let mut rests = Vec::new();
        for _ in 0..12 {
            policy.begin();
            policy.ran(Duration::from_micros(1));
            policy.end(now, End::InVain);
            assert!(!policy.wants(now));
            let until = policy.resting_until.unwrap();
            rests.push(until - now);
            now = until;
            assert!(policy.wants(now));
        }
        assert!(rests.windows(2).all(|two| two[1] == (two[0] * 2).min(LONG_REST)), "{rests:?}");
        assert_eq!(rests.last(), Some(&LONG_REST));
        // One that pays makes good for them.
        policy.begin();
        (0..PAYS).for_each(|_| policy.ran(Duration::from_micros(1)));
        policy.end(now, End::InVain);
        assert_eq!(policy.resting_until, Some(now + SHORT_REST));
        assert_eq!(policy.rest, SHORT_REST);
    }

    #[test]
    fn giving_way_says_nothing_of_the_task() {
        let now = Instant::now();
        let mut policy = of_calls(Duration::from_micros(1), Duration::ZERO);
        policy.begin();
        policy.end(now, End::InVain);
        let rest = policy.rest;
        policy.end(now, End::GaveWay);
        assert_eq!((policy.rest, policy.resting_until), (rest, Some(now + SHORT_REST)));
    }

    #[test]
    fn one_has_the_baton() {
        let baton = Baton::default();
        assert!(baton.take(1) && baton.hold(1) && !baton.hold(2));
        // Asked for, but its holder spins on.
        assert!(!baton.take(2) && baton.hold(1) && !baton.take(2));
        // Asked for again, and it has not spun since.
        assert!(baton.take(2) && !baton.hold(1) && baton.hold(2));
        baton.give(1);
        assert!(baton.hold(2));
        baton.give(2);
        assert!(!baton.hold(2) && baton.take(3));
    }
}
