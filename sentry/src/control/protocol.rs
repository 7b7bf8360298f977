//! The messages of the control socket. A message is a header and a JSON text, with descriptors beside it.
//!
//! The sentry trusts the caller with the container (it is the runtime, by the socket's permissions) but not with its own
//! life: what does not parse is answered with an error and the connection is closed.

use serde::{Deserialize, Serialize};

use super::config::ProcessConfig;

/// The version of the messages; both sides refuse any other.
pub const VERSION: u32 = 1;
/// The first word of every header: "moat".
pub const MAGIC: u32 = u32::from_le_bytes(*b"moat");
/// The longest text of a message, in bytes.
pub const MAX_TEXT: u32 = 16 << 20;
/// The most descriptors beside a message.
pub const MAX_FILES: u32 = 4096;
/// Size of a header, in bytes.
pub const HEADER_SIZE: usize = 16;

/// What stands before a message's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the text, in bytes.
    pub text: u32,
    /// How many descriptors come along.
    pub files: u32,
}

/// A header that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not a message of ours.
    #[error("not a message of the control protocol")]
    Magic,
    /// Another version of moat made the sandbox.
    #[error("the other side speaks version {0} of the control protocol, this one version {VERSION}")]
    Version(u32),
    /// Longer than allowed.
    #[error("a message of {text} bytes and {files} descriptors is too long")]
    Length {
        /// Bytes announced.
        text: u32,
        /// Descriptors announced.
        files: u32,
    },
}

impl Header {
    /// Its bytes.
    pub fn encode(self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        for (at, word) in [MAGIC, VERSION, self.text, self.files].into_iter().enumerate() {
            bytes[4 * at..4 * at + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads one.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Result<Self, HeaderError> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (magic, version, text, files) = (word(0), word(4), word(8), word(12));
        if magic != MAGIC {
            return Err(HeaderError::Magic);
        }
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        if text > MAX_TEXT || files > MAX_FILES {
            return Err(HeaderError::Length { text, files });
        }
        Ok(Self { text, files })
    }
}

/// What the runtime asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase")]
pub enum Request {
    /// Let init run.
    Start,
    /// Start a further process; its descriptors come along.
    Exec {
        /// The process.
        process: Box<ProcessConfig>,
    },
    /// Send a signal.
    Kill {
        /// To this process of the guest.
        pid: u32,
        /// The signal's number.
        signal: i32,
        /// To every process instead.
        all: bool,
    },
    /// Tell when a process has ended.
    Wait {
        /// Init or an exec'ed process.
        pid: u32,
    },
    /// Stop every task.
    Pause,
    /// Let every task go on.
    Resume,
    /// List the processes.
    Processes,
    /// Change how many tasks there can be.
    #[serde(rename = "limit_tasks")]
    LimitTasks {
        /// At most; `None` is bounded by the sentry alone.
        most: Option<u64>,
    },
    /// The size of a process's terminal has changed.
    Resize {
        /// The process.
        pid: u32,
        /// Columns.
        columns: u16,
        /// Rows.
        rows: u16,
    },
}

/// What the sandbox answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "lowercase")]
pub enum Reply {
    /// Done.
    Done,
    /// The process that was started.
    Started {
        /// Its number in the guest.
        pid: u32,
        /// The number of its terminal among the guest's pts, if it was given one.
        #[serde(default)]
        terminal: Option<u32>,
    },
    /// The process has ended.
    Ended {
        /// Its wait status, as of wait(2).
        status: u32,
    },
    /// The processes.
    Processes {
        /// One entry a process.
        processes: Vec<ProcessInfo>,
    },
    /// It could not be done.
    Failed {
        /// Linux's number of the error.
        errno: i32,
        /// What failed.
        what: String,
    },
}

/// A process of the guest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProcessInfo {
    /// Its number in the guest.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// Effective user.
    pub uid: u32,
    /// `comm`.
    pub name: String,
    /// Arguments.
    pub arguments: Vec<String>,
    /// The letter of /proc/PID/stat.
    pub state: char,
    /// When it started, in seconds since 1970.
    pub started: u64,
    /// Processor time in milliseconds, user and system.
    pub cpu_ms: u64,
    /// Its controlling terminal's number among the pts, if it has one.
    pub terminal: Option<u32>,
    /// Its process on the host.
    pub host_pid: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_way() {
        let header = Header { text: 77, files: 3 };
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn a_header_of_another_kind_is_refused() {
        let good = Header { text: 1, files: 0 }.encode();
        let mut magic = good;
        magic[0] ^= 1;
        assert_eq!(Header::decode(&magic), Err(HeaderError::Magic));
        let mut version = good;
        version[4] = 9;
        assert_eq!(Header::decode(&version), Err(HeaderError::Version(9)));
        let long = Header { text: MAX_TEXT + 1, files: 0 }.encode();
        assert_eq!(Header::decode(&long), Err(HeaderError::Length { text: MAX_TEXT + 1, files: 0 }));
    }
}
