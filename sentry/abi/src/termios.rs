//! termios(3), tty_ioctl(4).

use crate::plain;

plain! {
    /// `struct termios` of the kernel.
    pub struct Termios [36] { c_iflag: u32, c_oflag: u32, c_cflag: u32, c_lflag: u32, c_line: u8, c_cc: [u8; 19], }
}
plain! {
    /// `struct termios2`: with the speeds as numbers.
    pub struct Termios2 [44] { termios: Termios, c_ispeed: u32, c_ospeed: u32, }
}
plain! {
    /// `struct termio`, of System V: the lower halves of the flags, and the first characters.
    pub struct Termio [18] { c_iflag: u16, c_oflag: u16, c_cflag: u16, c_lflag: u16, c_line: u8, c_cc: [u8; 8], pad: u8, }
}
plain! { pub struct Winsize [8] { ws_row: u16, ws_col: u16, ws_xpixel: u16, ws_ypixel: u16, } }

pub const VINTR: usize = 0;
pub const VQUIT: usize = 1;
pub const VERASE: usize = 2;
pub const VKILL: usize = 3;
pub const VEOF: usize = 4;
pub const VTIME: usize = 5;
pub const VMIN: usize = 6;
pub const VSTART: usize = 8;
pub const VSTOP: usize = 9;
pub const VSUSP: usize = 10;
pub const VEOL: usize = 11;
pub const VREPRINT: usize = 12;
pub const VDISCARD: usize = 13;
pub const VWERASE: usize = 14;
pub const VLNEXT: usize = 15;
pub const VEOL2: usize = 16;

pub const IGNBRK: u32 = 1;
pub const BRKINT: u32 = 2;
pub const PARMRK: u32 = 8;
pub const IUCLC: u32 = 0x200;
pub const ISTRIP: u32 = 0x20;
pub const INLCR: u32 = 0x40;
pub const IGNCR: u32 = 0x80;
pub const ICRNL: u32 = 0x100;
pub const IXON: u32 = 0x400;
pub const IXANY: u32 = 0x800;
pub const IMAXBEL: u32 = 0x2000;
pub const IUTF8: u32 = 0x4000;
pub const OPOST: u32 = 1;
pub const OLCUC: u32 = 2;
pub const ONLCR: u32 = 4;
pub const OCRNL: u32 = 8;
pub const ONOCR: u32 = 0x10;
pub const ONLRET: u32 = 0x20;
pub const TABDLY: u32 = 0x1800;
pub const XTABS: u32 = 0x1800;
pub const ISIG: u32 = 1;
pub const ICANON: u32 = 2;
pub const ECHO: u32 = 8;
pub const ECHOE: u32 = 0x10;
pub const ECHOK: u32 = 0x20;
pub const ECHONL: u32 = 0x40;
pub const NOFLSH: u32 = 0x80;
pub const TOSTOP: u32 = 0x100;
pub const ECHOCTL: u32 = 0x200;
pub const ECHOPRT: u32 = 0x400;
pub const ECHOKE: u32 = 0x800;
pub const IEXTEN: u32 = 0x8000;

pub const TIOCPKT_FLUSHREAD: u8 = 1;
pub const TIOCPKT_FLUSHWRITE: u8 = 2;
pub const TIOCPKT_STOP: u8 = 4;
pub const TIOCPKT_START: u8 = 8;
pub const TIOCPKT_NOSTOP: u8 = 16;
pub const TIOCPKT_DOSTOP: u8 = 32;

impl Termios {
    /// What TCGETA shows of it.
    pub fn to_termio(self) -> Termio {
        let mut old = Termio {
            c_iflag: self.c_iflag as u16,
            c_oflag: self.c_oflag as u16,
            c_cflag: self.c_cflag as u16,
            c_lflag: self.c_lflag as u16,
            c_line: self.c_line,
            ..Termio::default()
        };
        old.c_cc.copy_from_slice(&self.c_cc[..8]);
        old
    }

    /// With what TCSETA can change.
    #[must_use]
    pub fn with_termio(mut self, old: &Termio) -> Self {
        let with = |flags: u32, low: u16| (flags & 0xffff_0000) | u32::from(low);
        self.c_iflag = with(self.c_iflag, old.c_iflag);
        self.c_oflag = with(self.c_oflag, old.c_oflag);
        self.c_cflag = with(self.c_cflag, old.c_cflag);
        self.c_lflag = with(self.c_lflag, old.c_lflag);
        self.c_line = old.c_line;
        self.c_cc[..8].copy_from_slice(&old.c_cc);
        self
    }

    /// With the values of `now` where `locked` has bits or characters that are not zero (TIOCSLCKTRMIOS).
    #[must_use]
    pub fn except(mut self, locked: &Self, now: &Self) -> Self {
        let keep = |new: u32, old: u32, locked: u32| (new & !locked) | (old & locked);
        self.c_iflag = keep(self.c_iflag, now.c_iflag, locked.c_iflag);
        self.c_oflag = keep(self.c_oflag, now.c_oflag, locked.c_oflag);
        self.c_cflag = keep(self.c_cflag, now.c_cflag, locked.c_cflag);
        self.c_lflag = keep(self.c_lflag, now.c_lflag, locked.c_lflag);
        if locked.c_line != 0 {
            self.c_line = now.c_line;
        }
        for (i, _) in locked.c_cc.iter().enumerate().filter(|(_, c)| **c != 0) {
            self.c_cc[i] = now.c_cc[i];
        }
        self
    }

    /// As `cfmakeraw` makes it.
    #[must_use]
    pub fn raw(mut self) -> Self {
        self.c_iflag &= !(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        self.c_oflag &= !OPOST;
        self.c_lflag &= !(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
        self.c_cflag = (self.c_cflag & !0x130) | 0x30;
        self.c_cc[VMIN] = 1;
        self.c_cc[VTIME] = 0;
        self
    }

    /// What a new terminal starts with (`tty_std_termios`).
    pub fn standard() -> Self {
        let mut c_cc = [0; 19];
        c_cc[VINTR] = 3;
        c_cc[VQUIT] = 28;
        c_cc[VERASE] = 127;
        c_cc[VKILL] = 21;
        c_cc[VEOF] = 4;
        c_cc[VMIN] = 1;
        c_cc[VSTART] = 17;
        c_cc[VSTOP] = 19;
        c_cc[VSUSP] = 26;
        c_cc[VREPRINT] = 18;
        c_cc[VDISCARD] = 15;
        c_cc[VWERASE] = 23;
        c_cc[VLNEXT] = 22;
        Self {
            c_iflag: ICRNL | IXON,
            c_oflag: OPOST | ONLCR,
            // B38400 | CS8 | CREAD
            c_cflag: 0xf | 0x30 | 0x80,
            c_lflag: ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
            c_line: 0,
            c_cc,
        }
    }
}
