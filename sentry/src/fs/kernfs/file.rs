//! Open generated files and directories.

use std::any::Any;
use std::sync::Arc;

use super::File;
use crate::Result;
use crate::fs::file::{FileOperations, OpenFile, Seeking};
use crate::sync::{Mutex, Rank};

/// An open file: its text is made when it is read from the start, and kept for the reads that go on (as seq_file).
pub struct GeneratedFile {
    file: Arc<dyn File>,
    text: Mutex<Option<Arc<[u8]>>>,
}

impl GeneratedFile {
    /// An open description of `file`.
    pub fn new(file: Arc<dyn File>) -> Self {
        Self { file, text: Mutex::new(Rank::File, None) }
    }
}

impl FileOperations for GeneratedFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn seeking(&self) -> Seeking {
        Seeking::Positions
    }

    fn pollable(&self) -> bool {
        true
    }

    fn read_at(&self, _: &OpenFile, buf: &mut [u8], offset: u64) -> Result<usize> {
        let kept = self.text.lock().clone();
        let text = match kept {
            Some(text) if offset != 0 => text,
            _ => {
                // Not under the lock: what makes the text takes locks of its own.
                let text: Arc<[u8]> = self.file.read()?.into();
                *self.text.lock() = Some(text.clone());
                text
            }
        };
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
        let n = buf.len().min(text.len() - from);
        buf[..n].copy_from_slice(&text[from..from + n]);
        Ok(n)
    }

    fn write_at(&self, _: &OpenFile, buf: &[u8], _: u64) -> Result<usize> {
        self.file.write(buf)
    }

    fn append(&self, _: &OpenFile, buf: &[u8]) -> Result<(usize, u64)> {
        let n = self.file.write(buf)?;
        Ok((n, n as u64))
    }

    fn sync(&self, _: &OpenFile, _: bool) -> Result<()> {
        Err(moat_abi::errno::Errno::EINVAL)
    }
}
