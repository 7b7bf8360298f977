//! What the runtime says to engines: one line on standard error, and the same in the file that `--log` names.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// logrus's text.
    Text,
    /// A JSON object a line.
    Json,
}

/// `--log`, `--log-format` and `--debug`.
#[derive(Clone, Debug)]
pub struct Log {
    /// The file, which engines parse as a whole: it gets the final error and nothing else.
    pub file: Option<PathBuf>,
    /// How it is written there.
    pub format: Format,
    /// Whether warnings go to standard error even if no person reads it.
    pub debug: bool,
}

impl Log {
    /// Makes sure that the file can be written, before anything is done that could fail without a trace.
    ///
    /// # Errors
    /// The host's.
    pub fn check(&self) -> anyhow::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let opened = std::fs::File::options().create(true).append(true).open(path);
        opened.map(drop).map_err(|e| anyhow::anyhow!("open log file {}: {e}", path.display()))
    }

    /// Says why the verb failed.
    pub fn error(&self, message: &str) {
        let time = now();
        let text = text_line(&time, "error", message);
        let Some(path) = &self.file else {
            eprintln!("{text}");
            return;
        };
        let line = match self.format {
            Format::Text => text,
            Format::Json => serde_json::json!({ "level": "error", "msg": message, "time": time }).to_string(),
        };
        if let Ok(mut file) = std::fs::File::options().create(true).append(true).open(path) {
            let _ = writeln!(file, "{line}");
        }
        eprintln!("{message}");
    }

    /// Says something that is no failure, to a person or on demand. An engine would take it for the error that it looks
    /// for on standard error, or for output of the container.
    pub fn warn(&self, message: &str) {
        if self.debug || std::io::stderr().is_terminal() {
            eprintln!("{}", text_line(&now(), "warning", message));
        }
    }
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn text_line(time: &str, level: &str, message: &str) -> String {
    format!("time=\"{time}\" level={level} msg={}", quote(message))
}

/// As Go's `%q` does for what occurs in messages.
fn quote(message: &str) -> String {
    let mut quoted = String::with_capacity(message.len() + 2);
    quoted.push('"');
    for c in message.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_as_logrus_does() {
        let line = text_line("T", "error", "exec: \"x\": not\nfound");
        assert_eq!(line, r#"time="T" level=error msg="exec: \"x\": not\nfound""#);
    }

    #[test]
    fn the_file_has_one_object() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        let log = Log { file: Some(path.clone()), format: Format::Json, debug: false };
        log.check().unwrap();
        log.warn("nothing of this");
        log.error("it \"failed\"");
        let object: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(object["level"], "error");
        assert_eq!(object["msg"], "it \"failed\"");
        assert!(object["time"].is_string());
    }

    #[test]
    fn a_log_that_cannot_be_written_is_named() {
        let log = Log { file: Some("/nonexistent/log".into()), format: Format::Text, debug: false };
        assert!(log.check().unwrap_err().to_string().contains("/nonexistent/log"));
    }
}
