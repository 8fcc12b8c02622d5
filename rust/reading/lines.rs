//! Files of lines, compressed or not, as texts: a document a line, or the text at a key of a JSON object a line.
//!
//! It is decompressed and parted in pieces that stay in the processor's cache, and each text is copied once. What is not
//! plain is not read here: lines from such a one to the end of its piece are given as they stand, and where a file is
//! damaged, only that it is; others say how.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use arrow_array::builder::StringViewBuilder;
use arrow_array::{Array, StringViewArray};
use flate2::bufread::MultiGzDecoder;
use memchr::{memchr, memchr_iter, memrchr};
use simdutf8::basic::from_utf8;

use crate::error::{Error, Result};
use crate::reading::one_text::{self, Line};

/// Bytes that are read, checked and parted at a time, but for longer lines.
const PIECE: usize = 256 << 10;
/// Bytes of texts that lie side by side.
const ROOM: u32 = 1 << 20;
/// Bytes of a line that is read here, at most.
const LONGEST: usize = 1 << 30;
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A file that is being read.
pub struct Reader {
    input: Box<dyn Read + Send>,
    key: Option<String>,
    most: usize,
    piece: usize,
    /// Bytes of the file that are not parted yet; of them so many are there.
    held: Vec<u8>,
    filled: usize,
    /// Of the first byte of `held`.
    line: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Whole,
    Broken,
}

/// What was read.
pub struct Part {
    /// Documents.
    pub texts: StringViewArray,
    /// Behind them, the number of a line and the bytes from there on that are to be read in another way, or none.
    pub others: (u64, Vec<u8>),
}

impl Reader {
    /// A reader of the file at `path`, whose texts are at `key`, or its lines; `most` bytes or little more at a time.
    ///
    /// # Errors
    /// If it cannot be opened, or is compressed in a way that is not read here.
    pub fn new(path: &Path, compression: &str, key: Option<String>, most: usize) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::file(path, error))?;
        let input: Box<dyn Read + Send> = match compression {
            "" => Box::new(file),
            ".gz" => Box::new(NotEmpty(MultiGzDecoder::new(BufReader::with_capacity(PIECE, file)), false)),
            ".zst" => {
                let decoder = zstd::Decoder::with_buffer(BufReader::with_capacity(PIECE, file));
                Box::new(NotEmpty(decoder.map_err(|error| Error::file(path, error))?, false))
            }
            other => return Err(Error::Argument(format!("compressed as {other:?}; wanted .gz or .zst"))),
        };
        let piece = PIECE.min(most.max(1));
        Ok(Self { input, key, most, piece, held: vec![0; piece], filled: 0, line: 1, state: State::Reading })
    }

    /// Whether all of the file was read.
    #[must_use]
    pub fn whole(&self) -> bool {
        self.state == State::Whole
    }

    /// What follows in the file; nothing at its end, or where it cannot be read on.
    pub fn take(&mut self) -> Option<Part> {
        let mut texts = StringViewBuilder::new().with_fixed_block_size(ROOM);
        let mut others = (self.line, Vec::new());
        let mut read = 0;
        while self.state == State::Reading && read < self.most && others.1.is_empty() {
            let Ok(end) = self.fill() else {
                self.state = State::Broken;
                break;
            };
            read += end;
            others = self.part(end, &mut texts);
            self.held.copy_within(end..self.filled, 0);
            self.filled -= end;
            if self.held.len() > 4 * self.piece.max(self.filled) {
                self.held.truncate(self.piece.max(self.filled));
                self.held.shrink_to_fit();
            }
        }
        let texts = texts.finish();
        (!texts.is_empty() || !others.1.is_empty() || read > 0).then_some(Part { texts, others })
    }

    /// Read on up to a newline, or to the end; how many bytes of `held` are whole lines.
    fn fill(&mut self) -> io::Result<usize> {
        loop {
            let from = self.filled;
            if self.held.len() < from + self.piece {
                self.held.resize((from + self.piece).max(2 * from), 0);
            }
            while self.filled < from + self.piece {
                match self.input.read(&mut self.held[self.filled..from + self.piece]) {
                    Ok(0) => {
                        self.state = State::Whole;
                        return Ok(self.filled);
                    }
                    Ok(more) => self.filled += more,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if let Some(newline) = memrchr(b'\n', &self.held[from..self.filled]) {
                return Ok(from + newline + 1);
            }
            if self.filled > LONGEST {
                return Err(ErrorKind::OutOfMemory.into());
            }
        }
    }

    /// Part the lines in the first `end` bytes of `held`; gives those that are to be read in another way.
    fn part(&mut self, end: usize, texts: &mut StringViewBuilder) -> (u64, Vec<u8>) {
        let block = &self.held[..end];
        let block = if self.line == 1 { block.strip_prefix(BOM).unwrap_or(block) } else { block };
        let Ok(text) = from_utf8(block) else {
            let first = self.line;
            self.line += memchr_iter(b'\n', block).count() as u64;
            return (first, block.to_vec());
        };
        // All at once: few pieces hold any.
        let odd = block.iter().fold(0, |any, &byte| any | (u8::from(byte < b' ') & u8::from(byte != b'\n')));
        let mut at = 0;
        while at < text.len() {
            let end = memchr(b'\n', &block[at..]).map_or(text.len(), |more| at + more);
            let line = &text[at..end];
            let Some(key) = &self.key else {
                texts.append_value(line.strip_suffix('\r').unwrap_or(line));
                (at, self.line) = (end + 1, self.line + 1);
                continue;
            };
            match one_text::read(line, key, odd > 0) {
                Line::Text(text) => texts.append_value(text),
                Line::Blank => {}
                Line::Unsure => {
                    let first = self.line;
                    self.line += memchr_iter(b'\n', &block[at..]).count() as u64;
                    return (first, block[at..].to_vec());
                }
            }
            (at, self.line) = (end + 1, self.line + 1);
        }
        (self.line, Vec::new())
    }
}

/// A compressed file, of which nothing at all is none.
struct NotEmpty<R>(R, bool);

impl<R: Read> Read for NotEmpty<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        if read == 0 && !self.1 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.1 = true;
        Ok(read)
    }
}
