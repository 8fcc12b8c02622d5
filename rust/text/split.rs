//! Text into words as a byte-level tokenizer cuts it: its split pattern, without a regex engine.
//!
//! The pattern takes one word after another from the left, and where a word ends depends on nothing before its start.
//! [`Split::end`] says so character by character. Most text is ASCII and Hangul, and there a cut shows in the few
//! bytes round it: [`Split::words`] classifies 64 bytes at a time, and asks `end` only where something stands that it
//! does not judge (a character of another script, a contraction, a newline among spaces), until the word that holds
//! it is over.

use wide::u8x16;

use crate::text::bytes::{BLOCK, GAP, follow, is, planes, within};
use crate::text::classes::{Class, classes};
use crate::text::hangul::{are_first, is_first};

/// A split pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// GPT-2's: a space before letters, numbers or other characters goes with them.
    Gpt2,
    /// The one that began with cl100k: any character but a newline goes with the letters after it, and newlines with
    /// the other characters before them.
    Cl100k {
        /// Digits that a word holds at most: 3 in Llama 3, 1 in Qwen 2.
        digits: usize,
        /// Marks count as letters, as in Qwen 3.5.
        marks: bool,
    },
}

/// Each pattern that is known, as `tokenizer.json` spells it, but for the contractions of cl100k's.
const KNOWN: [(&str, Split); 4] = [
    (Split::GPT2, Split::Gpt2),
    (
        r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Split::Cl100k { digits: 3, marks: false },
    ),
    (
        r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Split::Cl100k { digits: 1, marks: false },
    ),
    (
        r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        Split::Cl100k { digits: 1, marks: true },
    ),
];
/// What cl100k's pattern begins with, in two spellings.
const CONTRACTIONS: [&str; 2] = ["(?i:'s|'t|'re|'ve|'m|'ll|'d)|", "'(?i:[sdmt]|ll|ve|re)|"];

impl Split {
    /// The pattern that a `ByteLevel` has in it.
    pub const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    /// The pattern that a `tokenizer.json` spells out, if it is one of those that are known.
    #[must_use]
    pub fn of(pattern: &str) -> Option<Self> {
        let rest = CONTRACTIONS.iter().find_map(|contractions| pattern.strip_prefix(contractions));
        let known = |(spelling, split): &&(&str, Self)| {
            *spelling == rest.unwrap_or(pattern) && (*split == Self::Gpt2) == rest.is_none()
        };
        KNOWN.iter().find(known).map(|(_, split)| *split)
    }

    /// Whether a text is one word.
    pub(crate) fn is_word(self, text: &str) -> bool {
        !text.is_empty() && self.end(text.as_bytes(), 0) == text.len()
    }

    /// The end of the word that starts at `start`. `text` is UTF-8 in which [`GAP`] may stand between texts; a gap is a
    /// word of its own.
    fn end(self, text: &[u8], start: usize) -> usize {
        let text = Text { text, marks: matches!(self, Self::Cl100k { marks: true, .. }) };
        let Some((first, length)) = text.at(start) else { return start + 1 };
        let byte = text.text[start];
        let next = start + length;
        if byte == b'\''
            && let Some(end) = text.contraction(next, matches!(self, Self::Cl100k { .. }))
        {
            return end;
        }
        let after_space = if byte == b' ' { next } else { start };
        match self {
            Self::Gpt2 => match text.at(after_space) {
                Some((class, _)) if class != Class::Space => text.run(after_space, class),
                _ => text.spaces(start).1,
            },
            Self::Cl100k { digits, .. } => match first {
                Class::Letter => text.run(start, Class::Letter),
                Class::Number => (0..digits).fold(start, |at, _| match text.at(at) {
                    Some((Class::Number, length)) => at + length,
                    _ => at,
                }),
                _ if !is_newline(byte) && text.is(next, Class::Letter) => text.run(next, Class::Letter),
                _ if text.is(after_space, Class::Other) => {
                    let end = text.run(after_space, Class::Other);
                    end + text.text[end..].iter().take_while(|byte| is_newline(**byte)).count()
                }
                _ => match text.spaces(start) {
                    (0, end) => end,
                    (newline, _) => newline,
                },
            },
        }
    }
}

fn is_newline(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

struct Text<'a> {
    text: &'a [u8],
    /// Whether a mark is a letter.
    marks: bool,
}

impl Text<'_> {
    /// The class of the character at a place and how many bytes it takes; nothing at a gap and at the end.
    #[inline]
    fn at(&self, at: usize) -> Option<(Class, usize)> {
        let low = |byte: u8| u32::from(byte & 0x3F);
        let (code, length) = match *self.text.get(at..)? {
            [a @ ..0x80, ..] => (u32::from(a), 1),
            [a @ 0xE0..0xF0, b, c, ..] => (u32::from(a & 0xF) << 12 | low(b) << 6 | low(c), 3),
            [a @ ..0xE0, b, ..] => (u32::from(a & 0x1F) << 6 | low(b), 2),
            [a @ 0xF0..0xF8, b, c, d, ..] => (u32::from(a & 7) << 18 | low(b) << 12 | low(c) << 6 | low(d), 4),
            _ => return None,
        };
        let class = match classes().get(code as usize)? {
            Class::Mark if self.marks => Class::Letter,
            Class::Mark => Class::Other,
            class => *class,
        };
        Some((class, length))
    }

    fn is(&self, at: usize, class: Class) -> bool {
        self.at(at).is_some_and(|(found, _)| found == class)
    }

    /// The end of the characters of a class that stand from `at` on.
    fn run(&self, mut at: usize, class: Class) -> usize {
        while let Some((found, length)) = self.at(at)
            && found == class
        {
            at += length;
        }
        at
    }

    /// Of the white space from `start` on: the end of its last newline, or 0, and where `\s+(?!\S)|\s+` ends: before
    /// its last character if something follows and it has more than one.
    fn spaces(&self, start: usize) -> (usize, usize) {
        let (mut at, mut last, mut newline) = (start, start, 0);
        while let Some((Class::Space, length)) = self.at(at) {
            last = at;
            at += length;
            if is_newline(self.text[last]) {
                newline = at;
            }
        }
        (newline, if last > start && self.at(at).is_some() { last } else { at })
    }

    /// The end of a contraction whose apostrophe stands before `at`. A long s is an s where case does not count.
    fn contraction(&self, at: usize, any_case: bool) -> Option<usize> {
        let rest = &self.text[at..];
        let lower = |at: usize| rest.get(at).map_or(0, |byte| if any_case { byte.to_ascii_lowercase() } else { *byte });
        match (lower(0), lower(1)) {
            (b's' | b't' | b'm' | b'd', _) => Some(at + 1),
            (b'r' | b'v', b'e') | (b'l', b'l') => Some(at + 2),
            (0xC5, 0xBF) if any_case => Some(at + 2),
            _ => None,
        }
    }
}

/// A block, and behind it the byte that says whether its last space is the last of its run, with the two that say
/// whether that one begins Hangul.
const WINDOW: usize = BLOCK + 3;

/// What the bytes of a block are, the first in the lowest bit.
#[derive(Clone, Copy, Default)]
struct Bits {
    space: u64,
    newline: u64,
    letter: u64,
    number: u64,
    other: u64,
    gap: u64,
    /// First bytes of Hangul characters.
    first: u64,
    /// What is judged by its character alone.
    hard: u64,
    /// Whether the byte behind is of a text and no space.
    filled_behind: bool,
    hard_behind: bool,
}

impl Bits {
    #[inline]
    fn of(window: &[u8; WINDOW], before: &Self) -> Self {
        let [space, newline, letter, number, first, gap, hard, apostrophe] = planes(window, |a, b, c| {
            [
                is(a, b' '),
                is(a, b'\n') | is(a, b'\r'),
                within(a | u8x16::splat(0x20), b'a', 26),
                within(a, b'0', 10),
                are_first(a, b, c),
                is(a, GAP),
                within(a, 0x80, GAP - 0x80) | is(a, b'\t') | within(a, 0x0B, 2),
                is(a, b'\''),
            ]
        });
        // A Hangul character is three bytes long, and may reach over from the block before.
        let hangul = first | follow(before.first, first, 1) | follow(before.first, first, 2);
        let behind = window[BLOCK];
        let hard_behind = (0x80..GAP).contains(&behind) || matches!(behind, b'\t' | 0x0B | 0x0C);
        // What may be a contraction has a letter behind it, or a character that may fold to one.
        let may_fold = hard_behind || behind.is_ascii_alphabetic();
        let letter_behind = (letter | (hard & !hangul)) >> 1 | u64::from(may_fold) << 63;
        Self {
            space,
            newline,
            letter: letter | hangul,
            number,
            other: !(space | newline | letter | number | hangul | gap | hard),
            gap,
            first,
            hard: (hard & !hangul) | (apostrophe & letter_behind),
            filled_behind: !matches!(behind, b' ' | b'\n' | b'\r' | GAP),
            hard_behind: hard_behind
                && !is_first(behind, window[BLOCK + 1], window[BLOCK + 2])
                && behind & 0xC0 != 0x80,
        }
    }
}

impl Split {
    /// The places of a block where a word starts, and those that the bytes round them do not tell.
    #[inline]
    fn cuts(self, before: &Bits, now: &Bits) -> (u64, u64) {
        let last = |before: u64, now: u64| follow(before, now, 1);
        let after_space = last(before.space, now.space);
        let after_newline = last(before.newline, now.newline);
        let after_letter = last(before.letter, now.letter);
        let after_number = last(before.number, now.number);
        let after_other = last(before.other, now.other);
        let gaps = now.gap | last(before.gap, now.gap);
        let filled = !(now.space | now.newline | now.gap);
        let filled_behind = filled >> 1 | u64::from(now.filled_behind) << 63;
        let (cuts, hard) = match self {
            Self::Gpt2 => {
                let (space, after) = (now.space | now.newline, after_space | after_newline);
                let runs = (now.letter & !after_letter) | (now.number & !after_number) | (now.other & !after_other);
                ((runs & !after_space) | (space & !after) | (space & after & filled_behind), 0)
            }
            Self::Cl100k { digits, .. } => {
                // One other character, the first of a word, goes with the letters behind it.
                let two_after = |before: u64, now: u64| follow(before, now, 2);
                let joined = after_other & !two_after(before.other, now.other) & !two_after(before.space, now.space);
                let letters = now.letter & !after_letter & !after_space & !joined;
                let others = now.other & !after_other & !after_space;
                let numbers = if digits == 1 { now.number } else { now.number & !after_number };
                let newlines = now.newline & !after_newline & !after_other;
                let spaces = (now.space & !after_space) | (now.space & filled_behind);
                let mixed = (now.newline & after_space) | (now.space & after_newline);
                let long = (1..=3).fold(now.number, |all, by| all & follow(before.number, now.number, by));
                (letters | others | numbers | newlines | spaces, mixed | if digits == 1 { 0 } else { long })
            }
        };
        let hard = now.hard | hard;
        // Whether a space is the last of its run is told by the byte behind it.
        (cuts | gaps, hard | hard >> 1 | u64::from(now.hard_behind) << 63)
    }

    /// Call `found` with the start and end of each word of `text`, in order; together they are all of it.
    ///
    /// `text` is UTF-8 in which [`GAP`] may stand between texts: a gap is a word of its own.
    #[inline]
    pub fn words(self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        let (mut base, mut start) = (0, 0);
        let mut before = Bits::default();
        while base < text.len() {
            let now = Bits::at(text, base, &before);
            let (mut cuts, mut hard) = self.cuts(&before, &now);
            let left = text.len() - base;
            if left < BLOCK {
                cuts &= !(u64::MAX << left);
                hard &= !(u64::MAX << left);
            }
            if start >= base {
                cuts &= u64::MAX << (start - base) << 1;
                hard &= u64::MAX << (start - base);
            }
            loop {
                let known = if hard == 0 { u64::MAX } else { (hard & hard.wrapping_neg()) - 1 };
                let mut sure = cuts & known;
                while sure != 0 {
                    let at = base + sure.trailing_zeros() as usize;
                    found(start, at);
                    start = at;
                    sure &= sure - 1;
                }
                if hard == 0 {
                    break;
                }
                let at = base + hard.trailing_zeros() as usize;
                while start <= at {
                    let end = self.end(text, start);
                    found(start, end);
                    start = end;
                }
                let behind = (start - base).min(BLOCK);
                if behind == BLOCK {
                    break;
                }
                cuts &= u64::MAX << behind << 1;
                hard &= u64::MAX << behind;
            }
            before = now;
            base += BLOCK;
            if start >= base + BLOCK {
                // A long word: the block before the one that it ends in is all that need be known.
                base = start / BLOCK * BLOCK;
                before = Bits::at(text, base - BLOCK, &Bits::default());
            }
        }
        if start < text.len() {
            found(start, text.len());
        }
    }
}

impl Bits {
    #[inline]
    fn at(text: &[u8], base: usize, before: &Self) -> Self {
        if let Some(window) = text[base..].first_chunk() {
            return Self::of(window, before);
        }
        let mut window = [GAP; WINDOW];
        window[..text.len() - base].copy_from_slice(&text[base..]);
        Self::of(&window, before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fancy_regex::Regex;
    use proptest::prelude::*;

    fn pattern(at: usize) -> String {
        format!("{}{}", if at == 0 { "" } else { CONTRACTIONS[at % 2] }, KNOWN[at].0)
    }

    fn check(at: usize, regex: &Regex, texts: &[&str]) {
        let split = Split::of(&pattern(at)).unwrap();
        let joined = texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>().join(&GAP);
        let mut found = vec![];
        let mut last = 0;
        split.words(&joined, |start, end| {
            assert_eq!(start, last);
            last = end;
            if joined[start] != GAP {
                found.push(std::str::from_utf8(&joined[start..end]).unwrap());
            }
        });
        assert_eq!(last, joined.len());
        let expected: Vec<&str> =
            texts.iter().flat_map(|text| regex.find_iter(text).map(|word| word.unwrap().as_str())).collect();
        assert_eq!(found, expected, "{at} {texts:?}");
    }

    #[test]
    fn every_character_is_cut_as_the_pattern_cuts_it() {
        for at in 0..KNOWN.len() {
            let regex = Regex::new(&pattern(at)).unwrap();
            for c in '\0'..=char::MAX {
                if c.is_ascii() || classes()[c as usize] != classes()[c as usize - 1] || (c as u32).is_multiple_of(97) {
                    check(at, &regex, &[&format!("a{c}b 1{c}2  {c} ({c}\n{c}'{c} 가{c}{c}나")]);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn a_pattern_without_a_regex_engine_is_the_pattern(
            texts in prop::collection::vec("([ '\n\ra-z가0-9().]|  |'[stmdrvlSTMDRVL]|'(ll|re|VE|ſ)|\r\n|[가-힣ㅋ]{1,30}|[a-z]{1,90}| {1,70}|[\t\u{3000}\u{a0}é漢“’́ा२Ⅷ²😀\u{200d}\0ſK]){0,80}", 1..5),
            at in 0usize..4,
        ) {
            let regex = Regex::new(&pattern(at)).unwrap();
            check(at, &regex, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
