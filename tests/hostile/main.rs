//! Stubs that are hostile: programs in a sandbox that know all addresses and formats of the stub they run in, and attack
//! the platform with them. Whatever they do, at worst their own process is killed: another process in the same sandbox and
//! another sandbox go on with correct results, and the host keeps nothing of it.
//!
//! It takes `MOAT_HOSTILE_SECONDS` (an hour is 3600) and prints a seed, which `MOAT_HOSTILE_SEED`
//! repeats, for one attack alone if `MOAT_HOSTILE_ATTACK` names it.
#![allow(missing_docs)]

mod key;
mod sandbox;
mod stub;

use std::time::{Duration, Instant, SystemTime};

use sandbox::{Programs, Sandbox};

/// Those of one line are made at the same time.
const ATTACKS: &[&[&str]] = &[
    &["prize"],
    &["leak"],
    &["jump", "sites", "numbers", "bases"],
    &["mailbox", "frames", "forge", "futex", "question", "sigreturn", "blocked", "mapper"],
    &["exhaust"],
];

/// How long an attack takes: short enough for the test suite, or for many rounds.
const SHORT: f64 = 3.0;
const LONG: f64 = 5.0;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn a_hostile_stub_harms_nobody_but_itself() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let seconds = number("MOAT_HOSTILE_SECONDS");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut seed = number("MOAT_HOSTILE_SEED").unwrap_or(now.as_nanos() as u64 >> 10);
    println!("MOAT_HOSTILE_SEED={seed}");
    let only = std::env::var("MOAT_HOSTILE_ATTACK").ok();
    let programs = Programs::compile();
    let (attacked, neighbour) = (Sandbox::start(&programs), Sandbox::start(&programs));
    let before = attacked.settled_use();
    let began = Instant::now();
    loop {
        for attacks in ATTACKS {
            let attacks = attacks.iter().filter(|&&name| only.as_deref().is_none_or(|only| only == name));
            let attacks: Vec<_> = attacks.copied().collect();
            if attacks.is_empty() {
                continue;
            }
            let began = Instant::now();
            attacked.attack(&attacks, seed, if seconds.is_some() { LONG } else { SHORT });
            let after = attacks.join(", ");
            for sandbox in [&attacked, &neighbour] {
                sandbox.assert_well(&after);
            }
            attacked.assert_nothing_is_left(&after, &before);
            println!("{after}: {:.1} s, {:?}", began.elapsed().as_secs_f64(), attacked.settled_use());
        }
        if began.elapsed() >= Duration::from_secs(seconds.unwrap_or(0)) {
            break;
        }
        seed += 1;
    }
    for sandbox in [&attacked, &neighbour] {
        sandbox.assert_idle();
    }
}
