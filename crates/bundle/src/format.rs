//! How a bundle is written: frames, and a digest behind them.
//!
//! ```text
//! "PILLION-BUNDLE 1\n", then frames: kind (1 byte), length (4 bytes, big-endian), bytes
//!   'm' the manifest, as JSON     first, once
//!   'r' which repository comes, as a number in decimal
//!   'p' a piece of its pack
//!   'e' the SHA-256 of all before it    last
//! ```

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

use crate::{BundleError, Manifest};

const MAGIC: &[u8] = b"PILLION-BUNDLE 1\n";
const NEWER: &[u8] = b"PILLION-BUNDLE ";

/// Longest frame, in bytes.
pub const MAX_FRAME: usize = 1024 * 1024;

/// Writes a bundle.
#[derive(Debug)]
pub struct BundleWriter<W> {
    out: W,
    digest: Sha256,
    written: u64,
}

impl<W: Write> BundleWriter<W> {
    /// Begins one.
    ///
    /// # Errors
    /// It can't be written, or what it says of itself is longer than a frame.
    pub fn begin(out: W, manifest: &Manifest) -> Result<BundleWriter<W>, BundleError> {
        let mut writer = BundleWriter {
            out,
            digest: Sha256::new(),
            written: 0,
        };
        writer.raw(MAGIC).map_err(unwritten())?;
        let json = serde_json::to_vec(manifest).expect("a manifest is JSON");
        if json.len() > MAX_FRAME {
            return Err(BundleError::Damaged("what it says of itself is too long"));
        }
        writer.frame(b'm', &json)?;
        Ok(writer)
    }

    /// What comes next is the pack of this repository.
    ///
    /// # Errors
    /// It can't be written.
    pub fn repository(&mut self, number: usize) -> Result<(), BundleError> {
        self.frame(b'r', number.to_string().as_bytes())
    }

    /// All of a pack.
    ///
    /// # Errors
    /// It can't be read or written.
    pub fn pack(&mut self, from: &mut impl Read) -> Result<(), BundleError> {
        let mut piece = vec![0; 64 * 1024];
        loop {
            match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(length) => self.frame(b'p', &piece[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(BundleError::io("git's pack can't be read")(error)),
            }
        }
    }

    /// The end: how many bytes it has.
    ///
    /// # Errors
    /// It can't be written.
    pub fn end(mut self) -> Result<u64, BundleError> {
        let digest = self.digest.clone().finalize();
        self.frame(b'e', &digest)?;
        self.out.flush().map_err(unwritten())?;
        Ok(self.written)
    }

    fn frame(&mut self, kind: u8, bytes: &[u8]) -> Result<(), BundleError> {
        let length = u32::try_from(bytes.len()).expect("a frame is short");
        let mut head = [kind, 0, 0, 0, 0];
        head[1..].copy_from_slice(&length.to_be_bytes());
        self.raw(&head)
            .and_then(|()| self.raw(bytes))
            .map_err(unwritten())
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

fn unwritten() -> impl FnOnce(io::Error) -> BundleError {
    BundleError::io("the bundle can't be written")
}

/// Reads a bundle.
#[derive(Debug)]
pub struct BundleReader<R> {
    from: R,
    digest: Sha256,
    manifest: Manifest,
}

/// What comes next in a bundle.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// The pack of this repository, up to the next part.
    Repository(usize),
    /// A piece of it.
    Pack(Vec<u8>),
    /// All of it came, as it was written.
    End,
}

impl<R: Read> BundleReader<R> {
    /// Reads what it says of itself.
    ///
    /// # Errors
    /// It is none, or damaged.
    pub fn begin(from: R) -> Result<BundleReader<R>, BundleError> {
        let mut reader = BundleReader {
            from,
            digest: Sha256::new(),
            manifest: Manifest::default(),
        };
        let mut magic = [0; MAGIC.len()];
        let read = reader.from.read_exact(&mut magic);
        match read {
            Ok(()) if magic == MAGIC => {}
            Ok(()) if magic.starts_with(NEWER) => return Err(BundleError::Newer),
            _ => return Err(BundleError::NoBundle),
        }
        reader.digest.update(magic);
        let (kind, bytes) = reader.frame()?;
        if kind != b'm' {
            return Err(BundleError::Damaged("it does not say what it holds"));
        }
        let manifest = serde_json::from_slice(&bytes);
        reader.manifest =
            manifest.map_err(|_| BundleError::Damaged("it does not say what it holds"))?;
        Ok(reader)
    }

    /// What it says of itself. Nothing of it has been checked.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What comes next.
    ///
    /// # Errors
    /// It is damaged or cut short.
    pub fn next_part(&mut self) -> Result<Part, BundleError> {
        let before = self.digest.clone();
        let (kind, bytes) = self.frame()?;
        match kind {
            b'r' => {
                let number = std::str::from_utf8(&bytes).ok();
                let number = number.and_then(|text| text.parse().ok());
                let number = number.ok_or(BundleError::Damaged("a repository without a number"))?;
                Ok(Part::Repository(number))
            }
            b'p' => Ok(Part::Pack(bytes)),
            b'e' if bytes[..] == before.finalize()[..] => Ok(Part::End),
            b'e' => Err(BundleError::Damaged("its digest is another one")),
            _ => Err(BundleError::Damaged("a part of no kind that there is")),
        }
    }

    fn frame(&mut self) -> Result<(u8, Vec<u8>), BundleError> {
        let short = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BundleError::Damaged("it is not all there"),
            _ => BundleError::io("the bundle can't be read")(error),
        };
        let mut head = [0; 5];
        self.from.read_exact(&mut head).map_err(short)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > MAX_FRAME {
            return Err(BundleError::Damaged("a part is too long"));
        }
        let mut bytes = vec![0; length];
        self.from.read_exact(&mut bytes).map_err(short)?;
        self.digest.update(head);
        self.digest.update(&bytes);
        Ok((head[0], bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        let manifest = Manifest {
            title: "a run".into(),
            ..Manifest::default()
        };
        let mut writer = BundleWriter::begin(&mut out, &manifest).unwrap();
        writer.repository(0).unwrap();
        writer.pack(&mut &b"pack"[..]).unwrap();
        let length = writer.end().unwrap();
        assert_eq!(length, out.len() as u64);
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Part>, BundleError> {
        let mut reader = BundleReader::begin(bytes)?;
        assert_eq!(reader.manifest().title, "a run");
        let mut parts = Vec::new();
        loop {
            let part = reader.next_part()?;
            let is_end = part == Part::End;
            parts.push(part);
            if is_end {
                return Ok(parts);
            }
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let parts = [Part::Repository(0), Part::Pack(b"pack".to_vec()), Part::End];
        assert_eq!(read(&written()).unwrap(), parts);
    }

    #[test]
    fn what_is_cut_short_or_changed_is_noticed() {
        let bytes = written();
        for end in 0..bytes.len() {
            assert!(read(&bytes[..end]).is_err(), "{end} bytes");
        }
        let manifest = MAGIC.len() + 5..bytes.len() - 37;
        for at in manifest.end - 4..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_err(), "byte {at}");
        }
        let mut newer = bytes.clone();
        newer[MAGIC.len() - 2] = b'2';
        assert!(matches!(read(&newer), Err(BundleError::Newer)));
        assert!(matches!(
            read(b"PK\x03\x04 something else here"),
            Err(BundleError::NoBundle)
        ));
        let mut long = bytes;
        long[MAGIC.len() + 1] = 0xff;
        assert!(matches!(read(&long), Err(BundleError::Damaged(_))));
    }
}
