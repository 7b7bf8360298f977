//! Sessions at a terminal: keys typed at a shell and at what it starts, and the screens that come of them.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use moat_tests::run::{self, Ending, Place, Run, Subject};

use crate::screen::Screen;

/// Longer than it takes, also on a busy machine, until something appears.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What is done at a terminal.
#[derive(Debug)]
pub struct Session {
    pub name: &'static str,
    /// The Debian packages without which it is nothing.
    pub needs: &'static [&'static str],
    steps: &'static [Step],
}

/// One thing that is done. What is typed before its reader has set the terminal up looks different each time, so all that
/// runs says first that it does.
#[derive(Debug)]
enum Step {
    /// Keys are typed.
    Keys(&'static str),
    /// A text appears.
    Appears(&'static str),
    /// The shell's prompt appears in a line of its own.
    Prompt,
    /// A line is typed at the shell and carried out.
    Line(&'static str),
    /// Time for what shows nothing: a shell says which job it brings back before it gives it the terminal.
    Pause,
    /// The window gets this many rows and columns.
    Resize(u16, u16),
    /// The screen comes to rest and is compared.
    Shot,
}

/// How long a [`Pause`] is.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a key takes to be seen.
const ECHO: Duration = Duration::from_millis(100);

use Step::{Appears, Keys, Line, Pause, Prompt, Resize, Shot};

/// All of them.
pub const SESSIONS: &[Session] = &[
    Session {
        name: "vim_edits_in_a_window",
        needs: &["vim-tiny"],
        steps: &[
            Keys("vim.tiny -u NONE -i NONE -n poem\r"),
            Appears("[New"),
            Keys("iroses are red\rviolets are blue\x1b"),
            Appears("blue"),
            Shot,
            Keys("ggyyp:%s/red/green/\r"),
            Appears("roses are green\nroses are green"),
            Keys("Vjd"),
            Keys("u"),
            Shot,
            Resize(30, 100),
            Shot,
            Keys("\x1a"),
            Prompt,
            Shot,
            Keys("fg\r"),
            Appears("violets"),
            Resize(12, 40),
            Shot,
            Keys("G:r !echo from a shell\r"),
            Appears("from a shell"),
            Shot,
            Keys("\roroken\x1bIb\x1b"),
            Appears("broken"),
            Keys("acut short\x03"),
            Shot,
            Keys(":%!sort\r"),
            Shot,
            Keys(":wq\r"),
            Prompt,
            Line("cat poem"),
            Shot,
        ],
    },
    Session {
        name: "less_pages_and_searches",
        needs: &["less"],
        steps: &[
            Line("seq 300 > numbers"),
            Keys("less numbers\r"),
            Appears("23"),
            Shot,
            Keys(" "),
            Appears("46"),
            Keys("/25[0-9]\r"),
            Appears("250"),
            Shot,
            Keys("G"),
            Appears("END"),
            Keys("g"),
            Appears("1\n2\n3"),
            Resize(10, 30),
            Shot,
            Keys("!echo from a shell\r"),
            Appears("done"),
            Shot,
            Keys("\rq"),
            Prompt,
            Keys("(seq 20000; sleep 100) | less\r"),
            Appears("9"),
            Keys("F"),
            Appears("20000"),
            Keys("\x03q"),
            Prompt,
            Shot,
        ],
    },
    Session {
        name: "control_keys_signal_the_foreground",
        needs: &["bash", "coreutils"],
        steps: &[
            Keys("echo up; cat\r"),
            Appears("\nup"),
            Keys("seen\r"),
            Appears("seen\nseen"),
            Keys("unseen\x03"),
            Prompt,
            Line("echo status $?"),
            Shot,
            // Only in the foreground it hears them: it says itself that it is there.
            Keys("sh -c 'echo again; exec sleep 100'\r"),
            Appears("\nagain"),
            Keys("\x1c"),
            Prompt,
            Line("echo $?"),
            Keys("sh -c 'echo more; exec sleep 100'\r"),
            Appears("\nmore"),
            Keys("\x1a"),
            Prompt,
            Line("echo $?; bg; jobs"),
            Keys("fg\r"),
            Appears("fg\nsh"),
            Pause,
            Keys("\x03"),
            Prompt,
            Shot,
            // All processes of a job hear it.
            Line("clear"),
            Keys(
                "(trap 'echo inner; exit 3' INT; echo on; while :; do sleep 0.1; done) | (trap '' INT; cat); echo ${PIPESTATUS[@]}\r",
            ),
            Appears("\non"),
            Keys("\x03"),
            Prompt,
            Shot,
            Keys("cat & sleep 0.5; clear; jobs\r"),
            Appears("Stopped"),
            Prompt,
            Line("kill -9 %%; wait; clear"),
            Keys("stty tostop; (echo from behind) & sleep 0.5; clear; jobs\r"),
            Appears("Stopped"),
            Prompt,
            Line("fg"),
            Shot,
        ],
    },
    Session {
        name: "lines_are_edited_by_the_kernel",
        needs: &["bash", "coreutils"],
        steps: &[
            Keys("echo up; cat > f\r"),
            Appears("\nup"),
            Keys("one two\x17three\r"),
            Keys("gone\x15kept\r"),
            Keys("x\x7f\x7f\x7fy\x16\x03z\r"),
            Keys("no end\x04 of line\x04\x04"),
            Appears("of line$"),
            Keys("\r"),
            Prompt,
            Line("od -c f"),
            Shot,
            Keys("read -s -p ask secret; echo \"<$secret>\"\r"),
            Appears("\nask"),
            Keys("hidden\r"),
            Prompt,
            Shot,
            Line("clear"),
            Keys("echo flow; cat\r"),
            Appears("\nflow"),
            Keys("before\r"),
            Appears("before\nbefore"),
            Keys("\x13after\r"),
            Shot,
            Keys("\x11"),
            Appears("after\nafter"),
            Shot,
            Keys("\x04"),
            Prompt,
            Line("clear"),
            Keys("stty raw opost onlcr; printf raw; dd bs=1 count=3 2>/dev/null | od -c; stty sane\r"),
            Appears("\nraw"),
            Keys("\x03a\x04"),
            Appears("003"),
            Shot,
            Keys("\r"),
            Line("clear; stty -a | grep -v speed"),
            Shot,
        ],
    },
    Session {
        name: "a_new_size_is_told",
        needs: &["perl", "coreutils"],
        steps: &[
            Line("stty size; tput cols"),
            // While it waits for stty it would not hear of ^C.
            Keys("perl -e '$|++; $SIG{WINCH} = sub { system \"stty size\"; print ++$n, \" told\\n\" };\r"),
            Keys("print \"ready\\n\"; sleep 9 while 1'\r"),
            Appears("\nready"),
            Resize(40, 132),
            Appears("40 132\n1 told"),
            Resize(10, 50),
            Appears("10 50\n2 told"),
            Keys("\x03"),
            Prompt,
            Line("echo $LINES $COLUMNS; tty | grep -c /dev/pts/; tty < /dev/tty"),
            Shot,
        ],
    },
    Session {
        name: "python_talks_at_a_prompt",
        needs: &["python3"],
        steps: &[
            Keys("/usr/bin/python3 -q\r"),
            Appears(">>> "),
            Keys("6*71\x1b[D\x1b[D5\r"),
            Appears("\n3426"),
            Keys("\x1b[A\x7f\x7f0\r"),
            Appears("\n300"),
            Keys("import time; print('up', flush=True); time.sleep(100)\r"),
            Appears("\nup"),
            Keys("\x03"),
            Appears("KeyboardInterrupt"),
            Shot,
            Keys("import pty; pty.spawn([\"/bin/sh\", \"-c\", \"tty > /dev/null && echo a pty in a pty; cat\"])\r"),
            Appears("\na pty in a pty"),
            Keys("inner\r"),
            Appears("inner\ninner"),
            Keys("\x04"),
            Appears("\n0\n>>>"),
            Shot,
            Keys("\x04"),
            Prompt,
            Shot,
        ],
    },
];

impl Session {
    /// Does it; the output is all its screens.
    pub fn run(&self, place: Place<'_>) -> Result<Run> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/session.bashrc");
        let starter = &["/bin/bash", "--noprofile", "--rcfile"];
        let ready = place.ready(Subject { file: &file, starter, timeout: TIMEOUT }, true)?;
        let mut screen = Screen::start(&ready.command, 24, 80)?;
        let mut output = String::new();
        let played = self.play(&mut screen, &mut output);
        let ending = run::wait(screen.child(), if played.is_ok() { TIMEOUT } else { Duration::ZERO })?;
        if ending == Ending::Timeout {
            ready.delete(screen.child())?;
        }
        let errors = played.err().map(|error| format!("{error:#}\n")).unwrap_or_default();
        Ok(Run { ending, output: output + &errors, errors })
    }

    fn play(&self, screen: &mut Screen, output: &mut String) -> Result<()> {
        let prompt = |screen: &mut Screen| screen.wait_until("the prompt", Screen::is_at_prompt, TIMEOUT);
        prompt(screen)?;
        for step in self.steps {
            match *step {
                Keys(keys) => screen.write(keys.as_bytes())?,
                Pause => std::thread::sleep(PAUSE),
                Appears(text) => screen.wait_until(text, |screen| screen.shows(text), TIMEOUT)?,
                Prompt => prompt(screen)?,
                Line(line) => {
                    screen.write(format!("{line}\r").as_bytes())?;
                    // The line that was typed is not the prompt's before it was echoed.
                    screen.drain(ECHO)?;
                    prompt(screen)?;
                }
                Resize(rows, columns) => screen.resize(rows, columns)?,
                Shot => *output += &screen.at_rest()?,
            }
        }
        screen.write(b"exit 0\r")?;
        screen.drain(TIMEOUT)?;
        Ok(())
    }
}
