//! Clocks, timers and dates.

use moat_abi::time::{Timespec, Timeval, USER_HZ};

use crate::trace::show::{Show, View, choices, flags};
use crate::trace::structures::{Structure, show_file_time};

choices! {
    /// A clock.
    Clock "CLOCK_???" {
        CLOCK_REALTIME 0 CLOCK_MONOTONIC 1 CLOCK_PROCESS_CPUTIME_ID 2 CLOCK_THREAD_CPUTIME_ID 3 CLOCK_MONOTONIC_RAW 4
        CLOCK_REALTIME_COARSE 5 CLOCK_MONOTONIC_COARSE 6 CLOCK_BOOTTIME 7 CLOCK_REALTIME_ALARM 8 CLOCK_BOOTTIME_ALARM 9
        CLOCK_TAI 11
    }
    /// One of the three interval timers.
    IntervalTimer "ITIMER_???" { ITIMER_REAL 0 ITIMER_VIRTUAL 1 ITIMER_PROF 2 }
}

flags! {
    /// Flags of timer_settime and clock_nanosleep.
    TimerFlags "TIMER_???" { TIMER_ABSTIME 1 }
    /// Flags of timerfd_settime.
    TimerFdFlags "TFD_???" { TFD_TIMER_ABSTIME 1 TFD_TIMER_CANCEL_ON_SET 2 }
}

/// What is left of a sleep that a signal ended; it is written only then.
pub struct Remainder;

impl View for Remainder {
    const LATE: bool = true;
    fn show(raw: u64, to: &mut Show<'_>) {
        match to.read::<Timespec>(raw) {
            Some(left) if to.failed() => left.show(to),
            _ => to.address(raw),
        }
    }
}

/// Two times of a file, to the nanosecond.
pub struct FileTimes;

impl View for FileTimes {
    fn show(raw: u64, to: &mut Show<'_>) {
        to.array::<Timespec>(raw, 2, |to, time| show_file_time(time, to));
    }
}

/// Two times of a file, to the microsecond.
pub struct FileTimesMicro;

impl View for FileTimesMicro {
    fn show(raw: u64, to: &mut Show<'_>) {
        to.array::<Timeval>(raw, 2, |to, time| {
            time.show(to);
            show_date(time.tv_sec, time.tv_usec, 6, to);
        });
    }
}

/// Clock ticks, with the seconds that they are.
pub fn show_ticks(ticks: i64, to: &mut Show<'_>) {
    to.put(format_args!("{ticks}"));
    if ticks > 0 {
        let hz = USER_HZ as i64;
        to.put(format_args!(" /* {}.{:02} s */", ticks / hz, ticks % hz * 100 / hz));
    }
}

/// An instant since the epoch as a comment, with `digits` of the fraction if there is one.
pub fn show_date(seconds: i64, fraction: i64, digits: usize, to: &mut Show<'_>) {
    if seconds == 0 && fraction == 0 {
        return;
    }
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let time = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    to.put(format_args!(" /* {year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"));
    if fraction != 0 {
        to.put(format_args!(".{fraction:0digits$}"));
    }
    to.str("+0000 */");
}

/// Year, month and day of a day since the epoch, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}
