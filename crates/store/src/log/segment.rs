//! One segment being written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::dir::{Dir, file_size_limit};
use crate::error::StoreError;
use crate::index::Position;
use crate::read::segment_name;
use crate::record::{SEGMENT_HEADER, segment_header};

use super::SEGMENT_BYTES;

/// The file that records are appended to.
pub(super) struct Segment {
    number: u32,
    file: Arc<File>,
    /// Bytes in it that count.
    length: u64,
    /// It may hold bytes that don't count and can't be cut off.
    unusable: bool,
    limit: u64,
    #[cfg(test)]
    pub disk: Option<super::tests::Disk>,
}

impl Segment {
    /// Makes the segment's file, which must not exist (but may be left empty by an earlier try).
    pub fn create(dir: &Dir, number: u32) -> Result<Segment, StoreError> {
        let name = segment_name(number);
        let file = match dir.create_file(&name) {
            Err(StoreError::Io { source, .. })
                if source.kind() == io::ErrorKind::AlreadyExists
                    && dir.read_file(&name)?.metadata().is_ok_and(|m| m.len() == 0) =>
            {
                dir.open_file(&name)?
            }
            other => other?,
        };
        let mut segment = Segment {
            number,
            file: Arc::new(file),
            length: 0,
            unusable: false,
            limit: file_size_limit(),
            #[cfg(test)]
            disk: None,
        };
        match segment.append(&segment_header(number)) {
            Ok(()) => Ok(segment),
            Err(e) => {
                // Best effort: readers take an empty segment for what it is.
                let _ = dir.remove_file(&name);
                Err(StoreError::io("write", &dir.path().join(name), e))
            }
        }
    }

    /// Appends all of `bytes`, or nothing and says why.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.length + bytes.len() as u64 > self.limit {
            // Going beyond would kill the process by a signal.
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        match self.write_all_at(bytes, self.length) {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(())
            }
            Err(e) => {
                self.unusable = self.cut().is_err();
                Err(e)
            }
        }
    }

    #[cfg(not(test))]
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    #[cfg(not(test))]
    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.length)
    }

    #[cfg(test)]
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        match &self.disk {
            Some(disk) => disk.write_all_at(&self.file, bytes, at),
            None => self.file.write_all_at(bytes, at),
        }
    }

    #[cfg(test)]
    fn cut(&self) -> io::Result<()> {
        match &self.disk {
            Some(disk) if disk.cannot_cut() => Err(io::ErrorKind::PermissionDenied.into()),
            _ => self.file.set_len(self.length),
        }
    }

    /// Where the next record goes.
    pub fn end(&self) -> Position {
        Position {
            segment: self.number,
            offset: self.length,
        }
    }

    pub fn file(&self) -> Arc<File> {
        self.file.clone()
    }

    /// Whether it is time for the next segment.
    pub fn is_full(&self) -> bool {
        self.length >= SEGMENT_BYTES.min(self.limit / 2).max(2 * SEGMENT_HEADER)
    }

    /// Whether this one, rather than a new one, is where so many bytes go.
    pub fn can_take(&self, bytes: usize) -> bool {
        let fits = self.length + bytes as u64 <= self.limit;
        !self.unusable && (fits || self.length <= SEGMENT_HEADER)
    }
}
