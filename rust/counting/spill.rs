//! Words that leave memory: appended, part by part, to files of records, and combined part by part at the end.
//!
//! A part's words always go to the same file, so a part is read back into a table by itself and nothing need be in
//! order before: half the work of sorted runs that are combined as they are read.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::counting::hash_tables::{PARTS, Tables, for_each};
use crate::counting::keys::{SHORT, hash_long, short_key};
use crate::counting::parts::{Part, add_totals};
use crate::counting::records::{BUFFER, Reader, write_record};
use crate::counting::slots::{BATCH, Slot, Slots};
use crate::counting::sorted::Sorted;
use crate::error::{Error, Result};
use crate::threads::each;

/// Slots of the table that a part is read into, at first.
const FIRST: usize = 1 << 10;

/// Append all words of `tables` to the parts in `folder`, by `threads` threads.
///
/// # Errors
/// If a file cannot be written.
pub fn spill(tables: &Tables, folder: &Path, threads: usize) -> Result<()> {
    let groups: Vec<_> = tables.groups().collect();
    let write = |at: usize| {
        let (numbers, parts) = groups[at].clone();
        let mut files = Vec::with_capacity(parts.len());
        for part in parts.clone() {
            let path = folder.join(format!("{part:03}.words"));
            let file = File::options().create(true).append(true).open(&path).map_err(|e| Error::file(&path, e))?;
            files.push((path, BufWriter::with_capacity(BUFFER, file)));
        }
        let mut outcome = Ok(());
        for_each(tables, numbers, |part, word, count| {
            let (path, file) = &mut files[part - parts.start];
            if outcome.is_ok() {
                outcome = write_record(file, word.bytes(), count).map_err(|e| Error::file(path, e));
            }
        });
        outcome?;
        files.into_iter().try_for_each(|(path, mut file)| file.flush().map_err(|e| Error::file(&path, e)))
    };
    each(groups.len(), threads, write).map(drop)
}

/// Combine each part in `folder` and write it in order beside it, by `threads` threads; how many distinct words there
/// are, and the sum of their counts.
///
/// # Errors
/// If a file cannot be read or written, or a count passes 2^64 - 1.
pub fn sort_parts(folder: &Path, threads: usize) -> Result<(u64, u64)> {
    let sort = |part| {
        let words = folder.join(format!("{part:03}.words"));
        let Some(combined) = combine(&words)? else { return Ok((0, 0)) };
        let sorted = Part::sort(combined.iter().map(|(_, word, count)| (word, count)))
            .map_err(|_| Error::file(&words, ErrorKind::InvalidData.into()))?;
        let path = folder.join(format!("{part:03}.sorted"));
        let mut file = BufWriter::with_capacity(BUFFER, File::create(&path).map_err(|e| Error::file(&path, e))?);
        sorted.write(&mut file).and_then(|()| file.flush()).map_err(|e| Error::file(&path, e))?;
        sorted.totals()
    };
    add_totals(each(PARTS, threads, sort)?)
}

/// The words of all parts in `folder` that [`sort_parts`] wrote, in order.
///
/// # Errors
/// If a file cannot be read.
pub fn read_sorted(folder: &Path) -> Result<Sorted> {
    let paths: Vec<PathBuf> = (0..PARTS).map(|part| folder.join(format!("{part:03}.sorted"))).collect();
    let there = paths.iter().filter(|path| path.exists());
    Sorted::read(there.map(|path| Reader::open(path)).collect::<Result<_>>()?)
}

/// The words of a file of records, each once; nothing if there is no such file.
fn combine(path: &Path) -> Result<Option<Slots>> {
    let mut records = match Reader::open(path) {
        Err(Error::File(_, error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut combined = Slots::new(FIRST);
    let mut short = Vec::with_capacity(BATCH);
    let mut word = Vec::new();
    let mut exact = true;
    while let Some(count) = records.next(&mut word)? {
        if word.len() > SHORT {
            exact &= combined.add_long(&word, hash_long(&word), count);
        } else {
            short.push(Slot { key: short_key(&word, 0, word.len()), count });
        }
        if short.len() == BATCH {
            exact &= combined.add_all(&short);
            short.clear();
        }
        word.clear();
    }
    exact &= combined.add_all(&short);
    if exact { Ok(Some(combined)) } else { Err(Error::Overflow) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_with_what_is_no_word_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("003.words");
        // In order and side by side they would be a character, one by one they are none.
        let mut data = vec![];
        for (half, count) in [(&b"\xEA\xB0"[..], 2), (b"\x80", 1)] {
            write_record(&mut data, half, count).unwrap();
        }
        std::fs::write(&path, data).unwrap();
        let error = sort_parts(folder.path(), 1).unwrap_err();
        assert!(matches!(error, Error::File(of, error) if of == path && error.kind() == ErrorKind::InvalidData));
    }
}
