//! Where nothing merges: between what no entry has side by side.

use rustc_hash::FxHashMap;

/// What entries have side by side: a bit for each pair by its hash, some pairs more than there are, none less.
///
/// Most characters of a Korean word stand next to none that an entry has them with, and what is between two such places
/// is one token or two.
pub(crate) struct Neighbours {
    bits: Vec<u64>,
    shift: u32,
}

impl Neighbours {
    /// Sixteen bits a pair, at most as many as the processor has at hand.
    const BITS: std::ops::RangeInclusive<u32> = 16..=20;

    pub(crate) fn of<T: Iterator<Item = u32> + Clone>(entries: impl Iterator<Item = T> + Clone) -> Self {
        let pairs = entries.flat_map(|entry| entry.clone().zip(entry.skip(1)));
        let mut distinct: Vec<(u32, u32)> = pairs.collect();
        distinct.sort_unstable();
        distinct.dedup();
        let wanted = (distinct.len() * 16).next_power_of_two().ilog2();
        let bits = wanted.clamp(*Self::BITS.start(), *Self::BITS.end());
        let mut made = Self { bits: vec![0; 1 << (bits - 6)], shift: 64 - bits };
        for (left, right) in distinct {
            let bit = made.bit(left, right);
            made.bits[bit / 64] |= 1 << (bit % 64);
        }
        made
    }

    #[inline]
    pub(crate) fn may_have(&self, left: u32, right: u32) -> bool {
        let bit = self.bit(left, right);
        self.bits[bit / 64] >> (bit % 64) & 1 > 0
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    fn bit(&self, left: u32, right: u32) -> usize {
        ((u64::from(left) << 32 | u64::from(right)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
}

/// Between which characters a tokenizer may merge. An entry that spans two of them holds each whole, or, of a byte-level
/// tokenizer, the end of the left one or the beginning of the right one.
pub(crate) struct Borders {
    /// Characters that are both whole in an entry, by their codes.
    whole: Neighbours,
    /// By code, a bit for each kind of entry: whether it may have this character on its left, and whether on its right.
    left: Vec<u8>,
    right: Vec<u8>,
}

/// Characters that tables have by their codes: those of up to three bytes.
pub(crate) const PLANE: usize = 1 << 16;
/// The bit of entries that hold both characters whole.
const WHOLE: u8 = 1;

impl Borders {
    /// Of what entries are in bytes.
    pub(crate) fn of<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut whole, mut kinds) = (Vec::new(), Kinds::default());
        for entry in entries {
            for at in (1..entry.len()).filter(|at| !is_continuation(entry[*at])) {
                let (left, right) = (last_of(&entry[..at]), first_of(&entry[at..]));
                let codes = (code(left), code(right));
                if let (Some(left), Some(right)) = codes {
                    whole.push([left, right]);
                }
                kinds.add(left, right, (codes.0.is_some(), codes.1.is_some()));
            }
        }
        let side = |of: fn(&Kinds, &[u8]) -> u8| {
            let of_code = |code| char::from_u32(code).map_or(0, |c| of(&kinds, c.encode_utf8(&mut [0; 4]).as_bytes()));
            (0..).take(PLANE).map(of_code).collect()
        };
        let whole = Neighbours::of(whole.iter().map(|pair| pair.iter().copied()));
        Self { whole, left: side(Kinds::left), right: side(Kinds::right) }
    }

    /// Whether no entry spans a border of this character, by its code.
    #[inline]
    pub(crate) fn is_single(&self, code: u32) -> bool {
        let none = |side: &[u8]| side.get(code as usize).is_some_and(|kinds| *kinds == 0);
        none(&self.left) && none(&self.right)
    }

    /// Whether an entry may span the border between two characters, by their codes.
    #[inline]
    pub(crate) fn may_merge(&self, left: u32, right: u32) -> bool {
        let kinds = |side: &[u8], code: u32| side.get(code as usize).copied().unwrap_or(u8::MAX);
        // Most characters of Korean are in no entry with another, which these small tables say.
        match kinds(&self.left, left) & kinds(&self.right, right) {
            0 => false,
            WHOLE => self.whole.may_have(left, right),
            _ => true,
        }
    }
}

/// Entries by kind: what they have on either side of a border.
#[derive(Default)]
struct Kinds {
    /// Ends of characters, or whole ones, and beginnings, or whole ones, with their kinds.
    left: FxHashMap<Vec<u8>, u8>,
    right: FxHashMap<Vec<u8>, u8>,
}

impl Kinds {
    /// Of a kind that holds a part of a character little is known: any left of it with any right of it. So those of Hangul
    /// are told from those of others, and those behind a character of one byte, a space mostly.
    fn add(&mut self, left: &[u8], right: &[u8], whole: (bool, bool)) {
        let hangul = u8::from(matches!(right[0], 0xEA..=0xED));
        let kind = match whole {
            (true, true) => WHOLE,
            (true, false) if left.len() == 1 => 2 << hangul,
            (true, false) => 8 << hangul,
            (false, true) => 32 << hangul,
            (false, false) => 128,
        };
        for (side, text) in [(&mut self.left, left), (&mut self.right, right)] {
            match side.get_mut(text) {
                Some(kinds) => *kinds |= kind,
                None => _ = side.insert(text.to_vec(), kind),
            }
        }
    }

    /// The kinds that may have this character on their left.
    fn left(&self, utf8: &[u8]) -> u8 {
        (0..utf8.len()).filter_map(|at| self.left.get(&utf8[at..])).fold(0, |all, kinds| all | kinds)
    }

    fn right(&self, utf8: &[u8]) -> u8 {
        (1..=utf8.len()).filter_map(|at| self.right.get(&utf8[..at])).fold(0, |all, kinds| all | kinds)
    }
}

fn is_continuation(byte: u8) -> bool {
    matches!(byte, 0x80..0xC0)
}

/// The last character of `text`, or what is there of it.
fn last_of(text: &[u8]) -> &[u8] {
    let from = text.iter().rposition(|byte| !is_continuation(*byte)).unwrap_or(0);
    &text[from..]
}

/// The first character of `text`, or what is there of it.
fn first_of(text: &[u8]) -> &[u8] {
    let behind = text[1..].iter().position(|byte| !is_continuation(*byte));
    &text[..behind.map_or(text.len(), |at| at + 1)]
}

/// Its code, if it is a whole character.
fn code(utf8: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(utf8).ok()?;
    text.chars().next().map(u32::from)
}
