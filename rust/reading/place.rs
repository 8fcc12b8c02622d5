//! Lines and characters of text that comes piece by piece and is let go.

/// What is known of a piece whose beginning was let go.
#[derive(Debug)]
pub(super) struct Place {
    /// Of the line at `counted`.
    pub(super) number: u64,
    counted: usize,
    /// Characters of the first line that were let go.
    gone: u64,
}

impl Default for Place {
    fn default() -> Self {
        Self { number: 1, counted: 0, gone: 0 }
    }
}

impl Place {
    /// The number of the line at `end`, which is never before the last that was asked for.
    pub(super) fn line(&mut self, data: &[u8], end: usize) -> u64 {
        if end > self.counted {
            self.number += memchr::memchr_iter(b'\n', &data[self.counted..end]).count() as u64;
            self.counted = end;
        }
        self.number
    }

    /// The number of the last character of `before` in its line.
    pub(super) fn column(&self, before: &[u8]) -> u64 {
        match memchr::memrchr(b'\n', before) {
            Some(end) => characters(&before[end + 1..]),
            None => self.gone + characters(before),
        }
    }

    /// Let go of the bytes from `from`, which is in the line of the first, to `to`.
    pub(super) fn let_go(&mut self, data: &mut Vec<u8>, from: usize, to: usize) {
        self.line(data, to);
        self.gone = self.column(&data[..to]) - characters(&data[..from]);
        self.counted = 0;
        data.drain(from..to);
    }
}

/// Characters of UTF-8, whole or not.
fn characters(text: &[u8]) -> u64 {
    text.iter().filter(|byte| **byte & 0xC0 != 0x80).count() as u64
}
