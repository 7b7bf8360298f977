//! What a command line said.

use std::process::Output;

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit status; -1 if a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }
}
