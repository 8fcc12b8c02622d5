//! Text into words by any split pattern, or several one after another: slower than a [`Split`](super::split::Split) by
//! far, and for the tokenizers that have a pattern of their own.
//!
//! `tokenizers` runs patterns by Oniguruma. The engine here agrees with it on what split patterns are made of, and what
//! is known to mean something else, or might, is not read: words (`\w`), lines (`^`, `$`, `.`), letters whatever their
//! case but for contractions, sets made of sets, a repetition of a repetition, and what has a name or a number.

use std::str::from_utf8;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fancy_regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};
use crate::text::bytes::GAP;

/// Patterns that cut one after another: each cuts further what the one before left.
#[derive(Clone, Debug)]
pub struct Pattern {
    patterns: Vec<Regex>,
    /// Whether the engine has given up on a text: it remembers a million places to go back to, one for each character
    /// of a run of white space, say, and no more.
    gave_up: Arc<AtomicBool>,
}

impl Pattern {
    /// Patterns as a `tokenizer.json` spells them; nothing if one is not surely read as `tokenizers` reads it.
    #[must_use]
    pub fn of(patterns: &[String]) -> Option<Self> {
        // A pattern that goes back often is slow, and no reason to stop.
        let compile = |pattern: &String| RegexBuilder::new(pattern).backtrack_limit(usize::MAX).build().ok();
        let known = patterns.iter().all(|pattern| is_plain(pattern));
        let patterns = patterns.iter().map(compile).collect::<Option<Vec<_>>>().filter(|_| known)?;
        Some(Self { patterns, gave_up: Arc::default() })
    }

    /// Whether a text is one word.
    #[must_use]
    pub fn is_word(&self, text: &str) -> bool {
        let mut words = 0;
        self.words(text.as_bytes(), |_, _| words += 1);
        words == 1
    }

    /// Call `found` with the start and end of each word of `text`, in order; together they are all of it.
    ///
    /// `text` is UTF-8 in which [`GAP`] may stand between texts: a gap is a word of its own. See [`Pattern::check`].
    pub fn words(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        let mut start = 0;
        for part in text.split(|byte| *byte == GAP) {
            if start > 0 {
                found(start - 1, start);
            }
            if let Ok(part) = from_utf8(part) {
                self.cut(&self.patterns, part, start, &mut found);
            }
            start += part.len() + 1;
        }
    }

    /// A match is a word, and so is what stands between two; the patterns behind the first cut both.
    fn cut(&self, patterns: &[Regex], text: &str, at: usize, found: &mut impl FnMut(usize, usize)) {
        let Some((first, others)) = patterns.split_first() else {
            if !text.is_empty() {
                found(at, at + text.len());
            }
            return;
        };
        let mut from = 0;
        for matched in first.find_iter(text) {
            let Ok(matched) = matched else {
                self.gave_up.store(true, Ordering::Relaxed);
                return;
            };
            self.cut(others, &text[from..matched.start()], at + from, found);
            self.cut(others, matched.as_str(), at + matched.start(), found);
            from = matched.end();
        }
        self.cut(others, &text[from..], at + from, found);
    }

    /// Whether all texts since the last time were cut to their ends.
    ///
    /// # Errors
    /// If one was not: its words were not all found.
    pub fn check(&self) -> Result<()> {
        if self.gave_up.swap(false, Ordering::Relaxed) {
            return Err(Error::Argument(
                "a document has a run of a million characters, of white space say, that the split pattern of the \
                 tokenizer cannot be tried on; wanted it shorter"
                    .into(),
            ));
        }
        Ok(())
    }
}

/// Scripts that patterns name. Longer names of categories mean other characters elsewhere, `\p{Punct}` say.
const SCRIPTS: [&str; 12] = [
    "Arabic",
    "Bengali",
    "Cyrillic",
    "Devanagari",
    "Greek",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Katakana",
    "Latin",
    "Thai",
];

fn is_category(name: &str) -> bool {
    matches!(name.as_bytes(), [b'A'..=b'Z'] | [b'A'..=b'Z', b'a'..=b'z'])
}

/// Whether a pattern is made of characters, their classes, groups, alternatives, repetitions and looks ahead alone.
fn is_plain(pattern: &str) -> bool {
    let contractions = ["(?i:'s|'t|'re|'ve|'m|'ll|'d)", "(?i:[sdmt]|ll|ve|re)"];
    let pattern = contractions.iter().fold(pattern.to_owned(), |pattern, known| pattern.replace(known, "(?:')"));
    let mut inside = false;
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        let plain = match c {
            '\\' => {
                characters.next();
                match next {
                    'p' | 'P' => {
                        let name: String = characters.by_ref().skip(1).take_while(|c| *c != '}').collect();
                        is_category(&name) || SCRIPTS.contains(&name.as_str())
                    }
                    's' | 'S' | 'd' | 'D' | 'r' | 'n' | 't' => true,
                    // An escaped one of these is the start or the end of a word here, and itself there.
                    '<' | '>' => false,
                    other => other.is_ascii_punctuation(),
                }
            }
            '[' => !std::mem::replace(&mut inside, true),
            ']' => std::mem::replace(&mut inside, false),
            // What sets are made of here, and there characters.
            '&' | '-' | '~' | '|' if inside => next != c,
            // There `{1,3}+` is one or more of that, and `{2}?` that or nothing.
            '}' => !matches!(next, '+' | '?'),
            '^' | '.' | '$' => inside,
            '(' if !inside && next == '?' => {
                characters.next();
                matches!(characters.next(), Some(':' | '!' | '='))
            }
            _ => true,
        };
        if !plain {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_might_mean_something_else_is_not_read() {
        for pattern in [
            r"\w+",
            "^a",
            "a$",
            "a.b",
            "(?i:ab)",
            "(?<n>a)",
            r"[a-z&&[aeiou]]",
            r"\R",
            r"(a)\1",
            "(?m:a)",
            "(a",
            r"\p{Punct}",
            r"\pL",
            r"\p{^L}",
        ] {
            assert!(Pattern::of(&[pattern.to_owned()]).is_none(), "{pattern}");
        }
        for pattern in
            [r"[^\r\n\p{L}]?+\p{Lu}++(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\s+(?!\S)|[!.$^/\]]", r"\p{N}{1,3}\p{Han}"]
        {
            assert!(Pattern::of(&[pattern.to_owned()]).is_some(), "{pattern}");
        }
    }

    #[test]
    fn patterns_cut_one_after_another_and_gaps_are_words() {
        let pattern = Pattern::of(&[r"\p{N}".to_owned(), r" ?\p{L}+".to_owned()]).unwrap();
        let text = [" ab12 c!".as_bytes(), "가 나3".as_bytes()].join(&GAP);
        let mut found = vec![];
        pattern.words(&text, |start, end| found.push(&text[start..end]));
        let expected: Vec<&[u8]> = [" ab", "1", "2", " c", "!"]
            .iter()
            .map(|word| word.as_bytes())
            .chain([&[GAP][..]])
            .chain(["가", " 나", "3"].iter().map(|word| word.as_bytes()))
            .collect();
        assert_eq!(found, expected);
        assert!(pattern.is_word(" ab") && !pattern.is_word("a1"));
        assert!(pattern.check().is_ok());
    }

    #[test]
    fn a_text_that_the_engine_gives_up_on_is_told_once() {
        let pattern = Pattern::of(&[r"\s+(?!\S)|\s+|\S+".to_owned()]).unwrap();
        let words = |spaces| {
            let mut words = 0;
            pattern.words(format!("a{}b c", " ".repeat(spaces)).as_bytes(), |_, _| words += 1);
            (words, pattern.check().is_ok())
        };
        assert_eq!(words(900_000), (6, true));
        assert!(!words(1_100_000).1);
        assert_eq!(words(1), (5, true));
    }
}
