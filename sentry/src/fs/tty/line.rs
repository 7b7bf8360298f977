//! The line discipline (termios(3), drivers/tty/n_tty.c): what happens between the bytes that are typed and those that
//! a program reads, and between those that it writes and those that are shown. No locks, no waiting: state and rules.

use std::collections::VecDeque;
use std::time::Instant;

use moat_abi::signal::{SIGINT, SIGQUIT, SIGTSTP, Signal};
use moat_abi::termios as t;
use moat_abi::termios::Termios;

/// The most bytes of input that wait to be read (`N_TTY_BUF_SIZE`), and the longest line with its end.
const INPUT_MAX: usize = 4096;
/// The most bytes that were typed and not looked at yet, since the input is full.
const TYPED_MAX: usize = 65_536;
/// The most bytes of output that wait to be shown.
const OUTPUT_MAX: usize = 16_384;

/// What became of a terminal's bytes; what has to be done once its lock is released.
#[derive(Default, Debug)]
pub struct Effects {
    /// Signals for the foreground process group.
    pub signals: Vec<Signal>,
    /// There may be something for the program.
    pub input: bool,
    /// There may be something to show, or room was made.
    pub output: bool,
}

/// A complete line; `end` counts what is left of it with its delimiter. A line that ^D ended has none.
type LineLength = usize;

/// State of one terminal's line discipline.
pub struct Line {
    /// Its settings.
    pub termios: Termios,
    /// Typed, not processed.
    typed: VecDeque<u8>,
    /// Processed, for programs to read.
    input: VecDeque<u8>,
    /// The complete lines in `input` (in canonical mode all of it).
    lines: VecDeque<LineLength>,
    /// The line that is being typed.
    editing: Vec<u8>,
    /// The column in which that line began on the screen.
    editing_column: usize,
    /// The next byte loses its meaning (^V).
    literal: bool,
    /// To be shown.
    output: VecDeque<u8>,
    column: usize,
    /// ^S or `held_up`.
    stopped: bool,
    /// A program stopped it (TCOOFF): no key starts it.
    held_up: bool,
    /// To be shown once it is over: what was echoed meanwhile.
    held: Vec<u8>,
    /// Events for packet mode since it was last read.
    pub packet: u8,
    last_input: Instant,
}

/// What a read finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// This many bytes (0: the end of the file).
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// Nothing yet, but what is there is to be given at this instant (VMIN and VTIME both set).
    NothingUntil(Instant),
}

impl Default for Line {
    fn default() -> Self {
        Self {
            termios: Termios::standard(),
            typed: VecDeque::new(),
            input: VecDeque::new(),
            lines: VecDeque::new(),
            editing: Vec::new(),
            editing_column: 0,
            literal: false,
            output: VecDeque::new(),
            column: 0,
            stopped: false,
            held_up: false,
            held: Vec::new(),
            packet: 0,
            last_input: Instant::now(),
        }
    }
}

impl Line {
    fn input_flag(&self, flag: u32) -> bool {
        self.termios.c_iflag & flag != 0
    }

    fn output_flag(&self, flag: u32) -> bool {
        self.termios.c_oflag & flag != 0
    }

    fn local_flag(&self, flag: u32) -> bool {
        self.termios.c_lflag & flag != 0
    }

    fn is_canonical(&self) -> bool {
        self.local_flag(t::ICANON)
    }

    /// Whether `byte` is the control character at `index`; a disabled one is 0.
    fn is(&self, byte: u8, index: usize) -> bool {
        byte != 0 && self.termios.c_cc[index] == byte
    }

    /// Sets other settings. What waits is a line if canonical mode begins, and loose bytes if it ends.
    pub fn set_termios(&mut self, new: Termios, effects: &mut Effects) {
        let old = std::mem::replace(&mut self.termios, new);
        if (old.c_lflag ^ new.c_lflag) & t::ICANON != 0 {
            if self.is_canonical() {
                if !self.input.is_empty() {
                    self.lines = VecDeque::from([self.input.len()]);
                }
            } else {
                self.lines.clear();
                self.input.extend(self.editing.drain(..));
            }
            effects.input = true;
        }
        if old.c_iflag & t::IXON != 0 && !self.input_flag(t::IXON) && self.stopped {
            self.start(effects);
        }
        // Packet mode tells whether ^S and ^Q have their usual meaning.
        let usual = |s: &Termios| s.c_iflag & t::IXON != 0 && s.c_cc[t::VSTOP] == 0x13 && s.c_cc[t::VSTART] == 0x11;
        match (usual(&old), usual(&new)) {
            (true, false) => self.packet = (self.packet & !t::TIOCPKT_DOSTOP) | t::TIOCPKT_NOSTOP,
            (false, true) => self.packet = (self.packet & !t::TIOCPKT_NOSTOP) | t::TIOCPKT_DOSTOP,
            _ => {}
        }
        self.process(effects);
    }

    /// Takes what was typed; how much of it there was room for.
    pub fn type_in(&mut self, bytes: &[u8], effects: &mut Effects) -> usize {
        let n = bytes.len().min(TYPED_MAX.saturating_sub(self.typed.len()));
        self.typed.extend(&bytes[..n]);
        self.process(effects);
        n
    }

    /// Whether more can be typed.
    pub fn can_type(&self) -> bool {
        self.typed.len() < TYPED_MAX
    }

    fn process(&mut self, effects: &mut Effects) {
        loop {
            // A line that gets too long loses its rest, so that its end can still be typed; anything else waits.
            let full = self.input.len() + self.editing.len() >= INPUT_MAX - 1;
            if full && !(self.is_canonical() && self.lines.is_empty()) {
                return;
            }
            let Some(byte) = self.typed.pop_front() else { return };
            self.take(byte, full, effects);
        }
    }

    fn take(&mut self, mut byte: u8, full: bool, effects: &mut Effects) {
        self.last_input = Instant::now();
        if self.input_flag(t::ISTRIP) {
            byte &= 0x7f;
        }
        if std::mem::take(&mut self.literal) {
            return self.put(byte, full, effects);
        }
        if self.input_flag(t::IUCLC) && self.local_flag(t::IEXTEN) {
            byte = byte.to_ascii_lowercase();
        }
        if self.input_flag(t::IXON) {
            if self.is(byte, t::VSTART) {
                return self.start(effects);
            }
            if self.is(byte, t::VSTOP) {
                self.stop();
                return;
            }
            if self.stopped && self.input_flag(t::IXANY) {
                self.start(effects);
            }
        }
        if self.local_flag(t::ISIG) {
            let signal =
                [(t::VINTR, SIGINT), (t::VQUIT, SIGQUIT), (t::VSUSP, SIGTSTP)].into_iter().find(|s| self.is(byte, s.0));
            if let Some((_, signal)) = signal {
                return self.signal(byte, signal, effects);
            }
        }
        match byte {
            b'\r' if self.input_flag(t::IGNCR) => return,
            b'\r' if self.input_flag(t::ICRNL) => byte = b'\n',
            b'\n' if self.input_flag(t::INLCR) => byte = b'\r',
            _ => {}
        }
        if !self.is_canonical() {
            return self.put(byte, full, effects);
        }
        let extended = self.local_flag(t::IEXTEN);
        if self.is(byte, t::VERASE) {
            self.erase_one(byte, effects);
        } else if extended && self.is(byte, t::VWERASE) {
            self.erase_word(effects);
        } else if self.is(byte, t::VKILL) {
            self.kill(byte, effects);
        } else if extended && self.is(byte, t::VLNEXT) {
            self.literal = true;
            if self.local_flag(t::ECHO) && self.local_flag(t::ECHOCTL) {
                self.show(b"^\x08", effects);
            }
        } else if extended && self.is(byte, t::VREPRINT) && self.local_flag(t::ECHO) {
            self.echo(byte, effects);
            self.show(b"\n", effects);
            for byte in self.editing.clone() {
                self.echo(byte, effects);
            }
        } else if self.is(byte, t::VEOF) {
            self.end_line(effects);
        } else if byte == b'\n' || self.is(byte, t::VEOL) || (extended && self.is(byte, t::VEOL2)) {
            if self.local_flag(t::ECHO) || (byte == b'\n' && self.local_flag(t::ECHONL)) {
                self.begin_echo();
                self.echo(byte, effects);
            }
            self.editing.push(byte);
            self.end_line(effects);
        } else {
            self.put(byte, full, effects);
        }
    }

    /// Adds a byte to the input, without a meaning any more.
    fn put(&mut self, byte: u8, full: bool, effects: &mut Effects) {
        if full {
            if self.input_flag(t::IMAXBEL) {
                self.show(b"\x07", effects);
            }
            return;
        }
        if self.local_flag(t::ECHO) {
            self.begin_echo();
            self.echo(byte, effects);
        }
        if self.is_canonical() {
            self.editing.push(byte);
        } else {
            self.input.push_back(byte);
            effects.input = true;
        }
    }

    fn begin_echo(&mut self) {
        if self.editing.is_empty() {
            self.editing_column = self.column;
        }
    }

    fn end_line(&mut self, effects: &mut Effects) {
        self.lines.push_back(self.editing.len());
        self.input.extend(self.editing.drain(..));
        effects.input = true;
    }

    fn signal(&mut self, byte: u8, signal: Signal, effects: &mut Effects) {
        if !self.local_flag(t::NOFLSH) {
            self.flush_input();
            self.flush_output();
            effects.output = true;
        }
        if self.stopped && self.input_flag(t::IXON) {
            self.start(effects);
        }
        if self.local_flag(t::ECHO) {
            self.echo(byte, effects);
        }
        effects.signals.push(signal);
    }

    fn erase_one(&mut self, key: u8, effects: &mut Effects) {
        let Some(start) = self.last_character() else { return };
        let gone = self.editing.split_off(start);
        if !self.local_flag(t::ECHO) {
            return;
        }
        if self.local_flag(t::ECHOE) {
            self.wipe(&gone, effects);
        } else {
            self.echo(key, effects);
        }
    }

    /// Where the last character of the line begins: behind the continuation bytes that belong to it (IUTF8).
    fn last_character(&self) -> Option<usize> {
        let mut at = self.editing.len().checked_sub(1)?;
        while self.input_flag(t::IUTF8) && at > 0 && self.editing[at] & 0xc0 == 0x80 {
            at -= 1;
        }
        Some(at)
    }

    fn erase_word(&mut self, effects: &mut Effects) {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
        let mut seen = false;
        while let Some(start) = self.last_character() {
            let word = is_word(self.editing[start]);
            if seen && !word {
                break;
            }
            seen |= word;
            let gone = self.editing.split_off(start);
            if self.local_flag(t::ECHO) {
                self.wipe(&gone, effects);
            }
        }
    }

    fn kill(&mut self, key: u8, effects: &mut Effects) {
        let whole = [t::ECHO, t::ECHOE, t::ECHOK, t::ECHOKE].into_iter().all(|flag| self.local_flag(flag));
        if whole {
            while let Some(start) = self.last_character() {
                let gone = self.editing.split_off(start);
                self.wipe(&gone, effects);
            }
            return;
        }
        self.editing.clear();
        if self.local_flag(t::ECHO) {
            self.echo(key, effects);
            if self.local_flag(t::ECHOK) {
                self.show(b"\n", effects);
            }
        }
    }

    /// Takes one character off the screen that was the last of the line.
    fn wipe(&mut self, gone: &[u8], effects: &mut Effects) {
        let Some(&byte) = gone.first() else { return };
        let width = match byte {
            b'\t' => {
                let before = self.width_of_line();
                let column = self.editing_column + before;
                8 - column % 8
            }
            _ if is_control(byte) => {
                if self.local_flag(t::ECHOCTL) {
                    2
                } else {
                    0
                }
            }
            _ => 1,
        };
        for _ in 0..width {
            if byte == b'\t' {
                self.show(b"\x08", effects);
            } else {
                self.show(b"\x08 \x08", effects);
            }
        }
    }

    /// How many columns the line takes up.
    fn width_of_line(&self) -> usize {
        let mut column = self.editing_column;
        for &byte in &self.editing {
            column += match byte {
                b'\t' => 8 - column % 8,
                _ if is_control(byte) => {
                    if self.local_flag(t::ECHOCTL) {
                        2
                    } else {
                        0
                    }
                }
                _ if self.input_flag(t::IUTF8) && byte & 0xc0 == 0x80 => 0,
                _ => 1,
            };
        }
        column - self.editing_column
    }

    fn echo(&mut self, byte: u8, effects: &mut Effects) {
        if is_control(byte) && byte != b'\t' && byte != b'\n' && self.local_flag(t::ECHOCTL) {
            self.show(&[b'^', byte ^ 0x40], effects);
        } else {
            self.show(&[byte], effects);
        }
    }

    /// Shows bytes of the terminal's own.
    fn show(&mut self, bytes: &[u8], effects: &mut Effects) {
        // An echo that nobody reads is lost rather than kept for ever.
        if self.output.len() < 2 * OUTPUT_MAX && self.held.len() < INPUT_MAX {
            self.held.extend(bytes);
        }
        self.show_held(effects);
    }

    fn show_held(&mut self, effects: &mut Effects) {
        if !self.stopped {
            for byte in std::mem::take(&mut self.held) {
                self.emit(byte);
            }
            effects.output = true;
        }
    }

    /// Puts a byte of output through OPOST.
    fn emit(&mut self, mut byte: u8) {
        if !self.output_flag(t::OPOST) {
            self.output.push_back(byte);
            return;
        }
        match byte {
            b'\n' => {
                if self.output_flag(t::ONLRET) {
                    self.column = 0;
                }
                if self.output_flag(t::ONLCR) {
                    self.column = 0;
                    self.output.push_back(b'\r');
                }
            }
            b'\r' => {
                if self.output_flag(t::ONOCR) && self.column == 0 {
                    return;
                }
                if self.output_flag(t::OCRNL) {
                    byte = b'\n';
                    if self.output_flag(t::ONLRET) {
                        self.column = 0;
                    }
                } else {
                    self.column = 0;
                }
            }
            b'\t' => {
                let spaces = 8 - self.column % 8;
                self.column += spaces;
                if self.termios.c_oflag & t::TABDLY == t::XTABS {
                    self.output.extend(std::iter::repeat_n(b' ', spaces));
                    return;
                }
            }
            0x08 => self.column = self.column.saturating_sub(1),
            _ => {
                if self.output_flag(t::OLCUC) {
                    byte = byte.to_ascii_uppercase();
                }
                let continues = self.input_flag(t::IUTF8) && byte & 0xc0 == 0x80;
                if !is_control(byte) && !continues {
                    self.column += 1;
                }
            }
        }
        self.output.push_back(byte);
    }

    /// Writes a program's output; how much of it there was room for.
    pub fn write(&mut self, bytes: &[u8], effects: &mut Effects) -> usize {
        if self.stopped {
            return 0;
        }
        self.show_held(effects);
        let mut done = 0;
        for &byte in bytes {
            if self.output.len() >= OUTPUT_MAX {
                break;
            }
            self.emit(byte);
            done += 1;
        }
        effects.output |= done > 0;
        done
    }

    /// Whether a program can write.
    pub fn can_write(&self) -> bool {
        !self.stopped && self.output.len() < OUTPUT_MAX / 2
    }

    /// What is to be shown.
    pub fn take_output(&mut self, buf: &mut [u8]) -> usize {
        let n = buf.len().min(self.output.len());
        for (slot, byte) in buf.iter_mut().zip(self.output.drain(..n)) {
            *slot = byte;
        }
        n
    }

    /// How many bytes are to be shown.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// How many bytes a program could read.
    pub fn input_len(&self) -> usize {
        self.input.len()
    }

    /// How many bytes a read waits for outside canonical mode.
    fn least(&self) -> usize {
        usize::from(self.termios.c_cc[t::VMIN])
    }

    fn time(&self) -> std::time::Duration {
        std::time::Duration::from_millis(100 * u64::from(self.termios.c_cc[t::VTIME]))
    }

    /// How long a read may wait for the first byte before it gives 0 (VMIN 0, VTIME set).
    pub fn patience(&self) -> Option<std::time::Duration> {
        (!self.is_canonical() && self.least() == 0 && !self.time().is_zero()).then(|| self.time())
    }

    /// Whether poll says that there is something to read.
    pub fn is_readable(&self) -> bool {
        match self.is_canonical() {
            true => !self.lines.is_empty(),
            false if self.time().is_zero() => self.input.len() >= self.least().max(1),
            false => !self.input.is_empty(),
        }
    }

    /// Reads; `waits`: the reader would rather wait for VMIN bytes than get fewer.
    pub fn read(&mut self, buf: &mut [u8], waits: bool, effects: &mut Effects) -> Found {
        let n = if self.is_canonical() {
            let Some(line) = self.lines.front_mut() else { return Found::Nothing };
            let n = (*line).min(buf.len());
            *line -= n;
            if *line == 0 {
                self.lines.pop_front();
            }
            n
        } else {
            let least = self.least().min(buf.len());
            let there = self.input.len();
            if there == 0 {
                return if self.least() == 0 && self.time().is_zero() { Found::Bytes(0) } else { Found::Nothing };
            }
            if waits && there < least {
                let until = self.last_input + self.time();
                if self.time().is_zero() {
                    return Found::Nothing;
                }
                if Instant::now() < until {
                    return Found::NothingUntil(until);
                }
            }
            there.min(buf.len())
        };
        for (slot, byte) in buf.iter_mut().zip(self.input.drain(..n)) {
            *slot = byte;
        }
        self.process(effects);
        // There is room to type again.
        effects.output = true;
        Found::Bytes(n)
    }

    /// A program stops the output (TCOOFF).
    pub fn hold_up(&mut self) {
        self.held_up = true;
        self.stop();
    }

    /// A program lets the output go on (TCOON), if one has stopped it. What is held is shown with what comes next.
    pub fn let_go(&mut self, effects: &mut Effects) {
        if std::mem::take(&mut self.held_up) {
            self.go_on(effects);
        }
    }

    /// A program asks who types to stop or to go on (TCIOFF, TCION): shows the control character at `index`.
    pub fn ask(&mut self, index: usize, effects: &mut Effects) {
        let byte = self.termios.c_cc[index];
        if byte != 0 {
            self.output.push_back(byte);
            effects.output = true;
        }
    }

    /// Stops the output (^S).
    fn stop(&mut self) {
        if !self.stopped {
            self.stopped = true;
            self.packet = (self.packet & !t::TIOCPKT_START) | t::TIOCPKT_STOP;
        }
    }

    /// Lets the output go on (^Q).
    fn start(&mut self, effects: &mut Effects) {
        if self.stopped && !self.held_up {
            self.go_on(effects);
        }
        self.show_held(effects);
    }

    fn go_on(&mut self, effects: &mut Effects) {
        self.stopped = false;
        self.packet = (self.packet & !t::TIOCPKT_STOP) | t::TIOCPKT_START;
        effects.input = true;
    }

    /// Throws away what was typed and not looked at yet.
    pub fn flush_typed(&mut self) {
        self.typed.clear();
    }

    /// Throws unread input away.
    pub fn flush_input(&mut self) {
        self.input.clear();
        self.lines.clear();
        self.editing.clear();
        self.literal = false;
        self.packet |= t::TIOCPKT_FLUSHREAD;
    }

    /// Throws away output that was not shown.
    pub fn flush_output(&mut self) {
        self.output.clear();
        self.held.clear();
        self.packet |= t::TIOCPKT_FLUSHWRITE;
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;
    use moat_abi::termios::{ECHO, ICANON, IUTF8, OPOST, VMIN, VTIME};

    fn typed(line: &mut Line, bytes: &[u8]) -> Effects {
        let mut effects = Effects::default();
        assert_eq!(line.type_in(bytes, &mut effects), bytes.len());
        effects
    }

    fn read(line: &mut Line) -> Option<Vec<u8>> {
        let mut buf = [0; 64];
        match line.read(&mut buf, true, &mut Effects::default()) {
            Found::Bytes(n) => Some(buf[..n].to_vec()),
            _ => None,
        }
    }

    fn shown(line: &mut Line) -> String {
        let mut buf = [0; 256];
        let n = line.take_output(&mut buf);
        String::from_utf8_lossy(&buf[..n]).into_owned()
    }

    #[test]
    fn a_line_is_read_when_it_is_complete_and_echoed_as_it_is_typed() {
        let mut line = Line::default();
        typed(&mut line, b"ab");
        assert_eq!(read(&mut line), None);
        typed(&mut line, b"c\rd");
        assert_eq!(read(&mut line).as_deref(), Some(&b"abc\n"[..]));
        assert_eq!(read(&mut line), None);
        assert_eq!(shown(&mut line), "abc\r\nd");
    }

    #[test]
    fn erase_word_erase_and_kill_edit_the_line() {
        let mut line = Line::default();
        typed(&mut line, b"one two\x7f\x7f");
        assert_eq!(shown(&mut line), "one two\x08 \x08\x08 \x08");
        typed(&mut line, b"\x17x\n");
        assert_eq!(read(&mut line).as_deref(), Some(&b"one x\n"[..]));
        typed(&mut line, b"junk\x15y\n");
        assert_eq!(read(&mut line).as_deref(), Some(&b"y\n"[..]));
    }

    #[test]
    fn erase_takes_a_whole_utf8_character() {
        let mut line = Line::default();
        line.termios.c_iflag |= IUTF8;
        typed(&mut line, "aä\x7f\n".as_bytes());
        assert_eq!(read(&mut line).as_deref(), Some(&b"a\n"[..]));
        assert_eq!(shown(&mut line), "aä\x08 \x08\r\n");
    }

    #[test]
    fn control_d_ends_the_line_or_the_file() {
        let mut line = Line::default();
        typed(&mut line, b"ab\x04\x04");
        assert_eq!(read(&mut line).as_deref(), Some(&b"ab"[..]));
        assert_eq!(read(&mut line).as_deref(), Some(&b""[..]));
        assert_eq!(read(&mut line), None);
    }

    #[test]
    fn control_c_signals_and_throws_the_input_away() {
        let mut line = Line::default();
        let effects = typed(&mut line, b"abc\x03d\n");
        assert_eq!(effects.signals, [SIGINT]);
        assert_eq!(read(&mut line).as_deref(), Some(&b"d\n"[..]));
        assert!(shown(&mut line).contains("^C"));
    }

    #[test]
    fn control_v_takes_the_meaning_of_the_next_byte() {
        let mut line = Line::default();
        let effects = typed(&mut line, b"\x16\x03\n");
        assert!(effects.signals.is_empty());
        assert_eq!(read(&mut line).as_deref(), Some(&b"\x03\n"[..]));
        assert_eq!(shown(&mut line), "^\x08^C\r\n");
    }

    #[test]
    fn raw_input_is_read_by_vmin_and_vtime() {
        let mut line = Line::default();
        line.termios.c_lflag &= !(ICANON | ECHO);
        line.termios.c_cc[VMIN] = 3;
        typed(&mut line, b"ab");
        assert!(!line.is_readable());
        assert_eq!(read(&mut line), None);
        typed(&mut line, b"c");
        assert_eq!(read(&mut line).as_deref(), Some(&b"abc"[..]));
        line.termios.c_cc[VMIN] = 0;
        assert_eq!(read(&mut line).as_deref(), Some(&b""[..]));
        line.termios.c_cc[VTIME] = 1;
        assert_eq!(read(&mut line), None);
        assert_eq!(line.patience(), Some(std::time::Duration::from_millis(100)));
    }

    #[test]
    fn leaving_canonical_mode_frees_what_was_typed() {
        let mut line = Line::default();
        typed(&mut line, b"xy");
        let raw = line.termios.raw();
        line.set_termios(raw, &mut Effects::default());
        assert_eq!(read(&mut line).as_deref(), Some(&b"xy"[..]));
    }

    #[test]
    fn control_s_stops_the_output_until_control_q() {
        let mut line = Line::default();
        typed(&mut line, b"\x13");
        assert_eq!(line.write(b"x", &mut Effects::default()), 0);
        typed(&mut line, b"later");
        assert_eq!(shown(&mut line), "");
        typed(&mut line, b"\x11");
        assert_eq!(shown(&mut line), "later");
        assert_eq!(line.write(b"x", &mut Effects::default()), 1);
        assert_eq!(line.packet & t::TIOCPKT_START, t::TIOCPKT_START);
    }

    #[test]
    fn a_line_that_is_too_long_loses_its_rest() {
        let mut line = Line::default();
        line.termios.c_lflag &= !ECHO;
        typed(&mut line, &[b'a'; 5000]);
        typed(&mut line, b"\n");
        let mut buf = vec![0; 8192];
        assert_eq!(line.read(&mut buf, true, &mut Effects::default()), Found::Bytes(4096));
        assert_eq!(buf[4095], b'\n');
    }

    #[test]
    fn output_without_post_processing_is_left_alone() {
        let mut line = Line::default();
        line.termios.c_oflag &= !OPOST;
        line.write(b"a\n", &mut Effects::default());
        assert_eq!(shown(&mut line), "a\n");
    }
}
