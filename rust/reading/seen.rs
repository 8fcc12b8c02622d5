//! The documents that were seen, by a hash of 128 bits each: two of `n` texts share one with a chance of n² / 2¹²⁹.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use blake2b_simd::Params;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    hashes: HashSet<u128, BuildHasherDefault<Low>>,
    new: Vec<u128>,
}

impl Seen {
    /// Of each text whether it is met for the first time.
    pub fn first(&mut self, texts: &[&str]) -> Vec<bool> {
        let met = |text: &&str| {
            let hash = hash(text);
            let first = self.hashes.insert(hash);
            if first {
                self.new.push(hash);
            }
            first
        };
        texts.iter().map(met).collect()
    }

    /// Documents, and the bytes that their hashes take.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        // A table is at most 7/8 full, and keeps a byte beside each value.
        (self.hashes.len(), self.hashes.capacity() / 7 * 8 * 17 + self.new.capacity() * 16)
    }

    /// The hashes that came since this was last asked for, to be kept.
    pub fn take_new(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.new).into_iter().flat_map(u128::to_le_bytes).collect()
    }

    /// Know what was kept.
    pub fn add(&mut self, kept: &[u8]) {
        self.hashes.extend(kept.as_chunks::<16>().0.iter().map(|bytes| u128::from_le_bytes(*bytes)));
    }
}

/// `BLAKE2b` of 16 bytes: hashes are kept in files, so they are the same for every build.
fn hash(text: &str) -> u128 {
    let hash = Params::new().hash_length(16).hash(text.as_bytes());
    hash.as_bytes().first_chunk().copied().map_or(0, u128::from_le_bytes)
}

/// What is a hash already is not hashed again.
#[derive(Debug, Default)]
struct Low(u64);

impl Hasher for Low {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_is_kept_and_known_again() {
        let mut seen = Seen::default();
        assert_eq!(seen.first(&["가", "나", "가", ""]), [true, true, false, true]);
        let kept = seen.take_new();
        assert_eq!(kept.len(), 3 * 16);
        assert_eq!(kept[..4], [0x22, 0x28, 0x11, 0x11], "hashes are kept in files");
        assert!(seen.take_new().is_empty());
        let mut again = Seen::default();
        again.add(&kept);
        assert_eq!(again.first(&["나", "다"]), [false, true]);
        assert_eq!(again.size().0, 4);
        assert!(again.size().1 >= 4 * 17);
        assert_eq!(again.take_new().len(), 16);
    }
}
