//! Words as keys of a table: up to 23 bytes lie in the key itself, longer ones in an arena that it points into.
//!
//! 23 bytes are seven Korean syllables and a space. The last byte of a key tells the two kinds apart: 1 to 23 is
//! the length of a short word, 255 marks a long one, whose key holds its hash, place and length.

/// The bytes of a short word, zero-padded, and its length; or hash, place and length of a long one.
pub type Key = [u64; 3];

/// Bytes that the longest short word has.
pub const SHORT: usize = 23;
/// Bytes that have to follow a text, so that a key can be read at its last word too.
pub const PADDING: usize = 24;
const LONG: u64 = 0xFF << 56;

/// A word read back from a table: short words are unpacked from their key.
#[derive(Clone, Copy)]
pub enum Word<'a> {
    /// 23 bytes, zero-padded, and the length.
    Short([u8; 24]),
    /// A place in the arena.
    Long(&'a [u8]),
}

impl Word<'_> {
    /// The word itself.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => &bytes[..bytes[SHORT] as usize],
            Self::Long(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Word<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

/// The word of `key`, long ones from `arena`.
#[must_use]
pub fn word<'a>(key: &Key, arena: &'a [u8]) -> Word<'a> {
    if is_long(key) {
        return Word::Long(long_word(key, arena));
    }
    let mut bytes = [0; 24];
    for (to, from) in bytes.chunks_exact_mut(8).zip(key) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    Word::Short(bytes)
}

/// By length, the bits of a key that hold bytes of the word: whole numbers of eight, a part of one, none of the rest.
const KEEP: [Key; SHORT + 1] = {
    let mut keep = [[0; 3]; SHORT + 1];
    let mut at = 0;
    while at < 8 * SHORT * (SHORT + 1) {
        let (length, bit) = (at / (8 * SHORT), at % (8 * SHORT));
        if bit < 8 * length {
            keep[length][bit / 64] |= 1 << (bit % 64);
        }
        at += 1;
    }
    keep
};

/// The key of the word `text[start..end]`, of 1 to 23 bytes.
#[must_use]
#[inline]
pub fn short_key(text: &[u8], start: usize, end: usize) -> Key {
    let length = end - start;
    let mut key = if let Some(window) = text.get(start..start + 24) {
        let mut key = [load(window, 0), load(window, 8), load(window, 16)];
        for (word, mask) in key.iter_mut().zip(&KEEP[length]) {
            *word &= mask;
        }
        key
    } else {
        let mut window = [0; 24];
        window[..length].copy_from_slice(&text[start..end]);
        [load(&window, 0), load(&window, 8), load(&window, 16)]
    };
    key[2] |= (length as u64) << 56;
    key
}

/// The key of a long word: its hash, where it stands in the arena, its length.
#[must_use]
pub fn long_key(hash: u64, place: usize, length: usize) -> Key {
    [hash, place as u64, length as u64 | LONG]
}

/// The word of a long key.
#[must_use]
pub fn long_word<'a>(key: &Key, arena: &'a [u8]) -> &'a [u8] {
    let (from, length) = (to_usize(key[1]), to_usize(key[2] & !LONG));
    &arena[from..from + length]
}

/// Whether two keys are the same, by their numbers: compared as an array they would be read as vectors, and a
/// processor waits where a vector is read that was written as numbers just before.
#[must_use]
#[inline]
pub fn same(a: &Key, b: &Key) -> bool {
    (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) == 0
}

/// Whether a key is of a long word.
#[must_use]
#[inline]
pub fn is_long(key: &Key) -> bool {
    key[2] & LONG == LONG
}

/// The hash of a key's word.
#[must_use]
#[inline]
pub fn hash_of(key: &Key) -> u64 {
    if is_long(key) { key[0] } else { hash_short(key) }
}

/// The hash of a short word. The same on every machine: machines that share the work divide words by it.
#[must_use]
#[inline]
pub fn hash_short(key: &Key) -> u64 {
    mix(mix(key[0] ^ 0x9E37_79B9_7F4A_7C15, key[1] ^ 0xD1B5_4A32_D192_ED03), key[2] ^ 0x8CB9_2BA7_2F3D_8DD7)
}

/// The hash of a long word.
#[must_use]
pub fn hash_long(word: &[u8]) -> u64 {
    let mut hash = word.len() as u64;
    let (eights, rest) = word.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for eight in eights.iter().chain((!rest.is_empty()).then_some(&last)) {
        hash = mix(hash ^ 0x9E37_79B9_7F4A_7C15, u64::from_le_bytes(*eight) ^ 0xD1B5_4A32_D192_ED03);
    }
    hash
}

/// The hash of the word `text[start..end]`: all of a pass but the memory.
#[must_use]
#[inline]
pub fn hash(text: &[u8], start: usize, end: usize) -> u64 {
    if end - start <= SHORT { hash_short(&short_key(text, start, end)) } else { hash_long(&text[start..end]) }
}

const _: () = assert!(usize::BITS == 64, "kovocab is for 64-bit processors: tables pass 2^32 bytes");

/// Targets are 64-bit.
#[allow(clippy::cast_possible_truncation)]
#[must_use]
#[inline]
pub fn to_usize(value: u64) -> usize {
    value as usize
}

#[inline]
fn load(window: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&window[at..at + 8]);
    u64::from_le_bytes(bytes)
}

/// The two halves of a 128-bit product, folded: every input bit reaches every output bit.
#[allow(clippy::cast_possible_truncation)]
#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}
