//! Words and counts on disk while a count is under way: records, one after another, in a file a part.
//!
//! A record is the word's length and its count as LEB128 numbers, then the word: some 17 bytes for a Korean word. The
//! files are for this program alone, and only until the count is done.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Bytes that a file is read or written at a time.
pub const BUFFER: usize = 1 << 17;

/// Write a word and its count.
///
/// # Errors
/// If `out` cannot be written.
pub fn write_record(out: &mut impl Write, word: &[u8], count: u64) -> io::Result<()> {
    let mut head = [0; 20];
    let mut length = 0;
    for mut number in [word.len() as u64, count] {
        while number >= 0x80 {
            head[length] = number.to_le_bytes()[0] | 0x80;
            number >>= 7;
            length += 1;
        }
        head[length] = number.to_le_bytes()[0];
        length += 1;
    }
    out.write_all(&head[..length])?;
    out.write_all(word)
}

/// Reads the records of a file.
pub struct Reader {
    path: PathBuf,
    file: BufReader<File>,
}

impl Reader {
    /// Open `path`.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::file(path, error))?;
        Ok(Self { path: path.to_owned(), file: BufReader::with_capacity(BUFFER, file) })
    }

    /// Append the next word to `word`; its count, or nothing at the end.
    ///
    /// # Errors
    /// If the file cannot be read, or ends within a record.
    pub fn next(&mut self, word: &mut Vec<u8>) -> Result<Option<u64>> {
        self.read(word).map_err(|error| Error::file(&self.path, error))
    }

    fn read(&mut self, word: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let Some(length) = self.number()? else { return Ok(None) };
        let count = self.number()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let read = self.file.by_ref().take(length).read_to_end(word)?;
        if read as u64 == length { Ok(Some(count)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn number(&mut self) -> io::Result<Option<u64>> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let mut byte = [0];
            match self.file.read(&mut byte)? {
                0 if shift == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => number |= u64::from(byte[0] & 0x7F) << shift,
            }
            if byte[0] < 0x80 {
                return Ok(Some(number));
            }
            shift += 7;
            if shift > 63 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}
