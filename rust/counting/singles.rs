//! Hangul that merges with nothing, taken out of text before it is cut into words. A base that has Korean as single
//! characters only, as Mistral's first tokenizer, has nothing else to merge in most of a Korean text.

use crate::text::bytes::{BLOCK, GAP, any, code_of, follow, is, planes};
use crate::text::hangul::{are_first, may_be_first};

/// A block and the two bytes behind it, where a character that begins in it ends.
const WINDOW: usize = BLOCK + 2;
/// Bytes that are moved at once: most runs are no longer.
const SHORT: usize = 16;

/// Take all Hangul out of `sections`, and each single space between two of its characters. The rest stays in order, a gap
/// where something was. O(bytes).
///
/// Each character's code is handed to `found`; returns how many spaces went.
pub(crate) fn take(sections: &mut Vec<u8>, mut found: impl FnMut(u32)) -> u64 {
    let length = sections.len();
    sections.extend_from_slice(&[0; WINDOW]);
    let (mut spaces, mut kept) = (0, 0);
    let mut before = Bits::OTHER;
    for base in (0..length).step_by(BLOCK) {
        let Some(window) = sections[base..].first_chunk::<WINDOW>() else { break };
        let here = u64::MAX >> (BLOCK - (length - base).min(BLOCK));
        // Of other text nothing more has to be known.
        if before.hangul == 0 && !any(window, |a, _, _| may_be_first(a)) {
            kept = move_runs(sections, base, here, before.kept, kept);
            before = Bits::OTHER;
            continue;
        }
        let [first, space] = planes(window, |a, b, c| [are_first(a, b, c), is(a, b' ')]);
        let mut left = first;
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            found(window[at..].first_chunk().map_or(0, |character| code_of(*character)));
            left &= left - 1;
        }
        let hangul = first | follow(before.first, first, 1) | follow(before.first, first, 2);
        // Characters behind a space that is behind another one.
        let behind = first & follow(before.space, space, 1) & follow(before.hangul, hangul, 2);
        spaces += u64::from(behind.count_ones());
        // Of a space that was the last byte of the block before it is known now.
        kept -= usize::from(behind & 1 > 0);
        let keep = !(hangul | behind >> 1) & here;
        kept = move_runs(sections, base, keep, before.kept, kept);
        before = Bits { first, space, hangul, kept: keep >> (BLOCK - 1) > 0 };
    }
    sections.truncate(kept);
    spaces
}

/// What the bytes of the block before are, the first in the lowest bit, and whether its last one was kept.
struct Bits {
    first: u64,
    space: u64,
    hangul: u64,
    kept: bool,
}

impl Bits {
    /// Of text without Hangul, or of none, which is kept: spaces count behind Hangul alone.
    const OTHER: Self = Self { first: 0, space: 0, hangul: 0, kept: true };
}

/// Move the bytes of a block that are to be kept down to `to`, a gap before those that stood behind others; returns where
/// they end.
#[inline]
fn move_runs(sections: &mut [u8], base: usize, mut keep: u64, goes_on: bool, mut to: usize) -> usize {
    if keep == u64::MAX && goes_on {
        if to < base {
            sections.copy_within(base..base + BLOCK, to);
        }
        return to + BLOCK;
    }
    let mut goes_on = goes_on && keep & 1 > 0;
    // Its bytes as they are now: what is moved by [`SHORT`] bytes at once writes over some that are still to be moved.
    let end = sections.len().min(base + BLOCK);
    let mut block = [0; BLOCK + SHORT];
    block[..end - base].copy_from_slice(&sections[base..end]);
    while keep != 0 {
        let from = keep.trailing_zeros();
        let number = (keep >> from).trailing_ones();
        let (start, length) = (from as usize, number as usize);
        if !std::mem::take(&mut goes_on) {
            sections[to] = GAP;
            to += 1;
        }
        if length <= SHORT && to + SHORT <= base + BLOCK {
            sections[to..to + SHORT].copy_from_slice(&block[start..start + SHORT]);
        } else {
            sections[to..to + length].copy_from_slice(&block[start..start + length]);
        }
        to += length;
        // Shifted by all bits of a number it would not change.
        keep &= u64::MAX.checked_shl(from + number).unwrap_or(0);
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::hangul::is_hangul;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_taken_and_what_stays_are_all_of_it(
            texts in prop::collection::vec("([ 가힣ㄱㅣᄀé漢ab😀]{0,5}|[ ab]{0,90}|[가각 ]{0,90}){0,5}", 1..4),
        ) {
            let mut rest = texts.iter().flat_map(|text| [&[GAP], text.as_bytes()].concat()).collect::<Vec<u8>>();
            let mut found = vec![];
            let spaces = take(&mut rest, |code| found.push(char::from_u32(code).unwrap()));
            let (mut wanted, mut taken, mut between) = (vec![], vec![], 0);
            for text in &texts {
                let characters: Vec<char> = text.chars().collect();
                let hangul = |at: usize| characters.get(at).is_some_and(|c| is_hangul(*c));
                wanted.push(GAP);
                for (at, c) in characters.iter().enumerate() {
                    if is_hangul(*c) {
                        taken.push(*c);
                        wanted.push(GAP);
                    } else if *c == ' ' && at > 0 && hangul(at - 1) && hangul(at + 1) {
                        between += 1;
                    } else {
                        wanted.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
            }
            let parts = |text: &[u8]| -> Vec<Vec<u8>> {
                text.split(|byte| *byte == GAP).filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
            };
            prop_assert_eq!((found, spaces), (taken, between));
            prop_assert_eq!(parts(&rest), parts(&wanted));
        }
    }
}
