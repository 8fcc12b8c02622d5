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

    /// Append the next word to `word`; its count, which is not 0, or nothing at the end.
    ///
    /// # Errors
    /// If the file cannot be read, ends within a record or has what no record is.
    pub fn next(&mut self, word: &mut Vec<u8>) -> Result<Option<u64>> {
        self.read(word).map_err(|error| Error::file(&self.path, error))
    }

    /// Of what was read that it is none of ours.
    pub(crate) fn broken(&self) -> Error {
        Error::file(&self.path, io::ErrorKind::InvalidData.into())
    }

    fn read(&mut self, word: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let Some(length) = self.number()? else { return Ok(None) };
        let count = self.number()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if count == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let read = self.file.by_ref().take(length).read_to_end(word)?;
        if read as u64 == length { Ok(Some(count)) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn number(&mut self) -> io::Result<Option<u64>> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = match self.file.by_ref().bytes().next() {
                None if shift == 0 => return Ok(None),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(byte) => byte?,
            };
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(Some(number));
            }
            shift += 7;
            if shift > 63 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The records of `data`, and the error that ends them, if one does.
    fn read(data: &[u8]) -> (Vec<(Vec<u8>, u64)>, Option<Error>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), data).unwrap();
        let mut reader = Reader::open(file.path()).unwrap();
        let mut found = vec![];
        loop {
            let mut word = vec![];
            match reader.next(&mut word) {
                Ok(Some(count)) => found.push((word, count)),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error)),
            }
        }
    }

    fn records() -> impl Strategy<Value = Vec<(Vec<u8>, u64)>> {
        let count = prop_oneof![Just(u64::MAX), Just(127), Just(128), 1..=u64::MAX, 1u64..300];
        let word = prop_oneof![prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 100..300)];
        prop::collection::vec((word, count), 0..12)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(records in records(), cut in any::<prop::sample::Index>()) {
            let mut data = vec![];
            let mut ends = vec![0];
            for (word, count) in &records {
                write_record(&mut data, word, *count).unwrap();
                ends.push(data.len());
            }
            let (found, error) = read(&data);
            prop_assert_eq!(&found, &records);
            prop_assert!(error.is_none());

            // A file that ends within a record is an error, and the records before it are what they were.
            let cut = cut.index(data.len() + 1);
            let (found, error) = read(&data[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            prop_assert_eq!(&found, &records[..whole]);
            prop_assert_eq!(error.is_none(), ends.contains(&cut));
        }

        #[test]
        fn any_bytes_end_in_records_or_an_error(data in prop::collection::vec(any::<u8>(), 0..200)) {
            let (found, error) = read(&data);
            prop_assert!(error.is_some() || found.iter().map(|(word, _)| word.len() + 2).sum::<usize>() <= data.len());
        }
    }

    #[test]
    fn an_error_names_the_file() {
        for data in [&[0xFF; 12][..], &[1, 0, b'a']] {
            let (_, error) = read(data);
            assert!(matches!(error, Some(Error::File(_, error)) if error.kind() == io::ErrorKind::InvalidData));
        }
        assert!(
            matches!(Reader::open(Path::new("/no/such")), Err(Error::File(path, _)) if path == Path::new("/no/such"))
        );
    }
}
