//! A document taken apart as the tokenizer takes it apart: added tokens are found in the raw text, longest first from
//! the left; each section between them is normalised (`▁` in front, spaces to `▁`; or NFC) and cut into words, by
//! [`Cut`] or as the tokenizer cuts it by itself.

use aho_corasick::{AhoCorasick, Input, Match, MatchKind};
use memchr::memmem::Finder;
use wide::u8x16;

use crate::bpe::model::Bpe;
use crate::bpe::tokenizer_json::{Added, Cuts, Prefix, Style};
use crate::counting::keys::PADDING;
use crate::error::{Error, Result};
use crate::text::bytes::{BLOCK, GAP, any, is};
use crate::text::compose::nfc;
use crate::text::words::{Cut, SPACE};

/// How documents become words.
pub struct Cutter {
    added: Option<Search>,
    normalized: Option<Search>,
    style: Style,
    cut: Cut,
    /// Boxed, for it is aligned to 32 bytes, and what Python holds is aligned to 16.
    space: Box<Finder<'static>>,
}

impl Cutter {
    /// As the tokenizer `bpe` needs it.
    ///
    /// # Errors
    /// If the tokenizer's added tokens cannot be searched for.
    pub fn new(bpe: &Bpe) -> Result<Self> {
        Self::reading(bpe, false)
    }

    /// [`Cutter::new`]; with `special_as_text` the text of a special token is text as any other.
    ///
    /// # Errors
    /// As [`Cutter::new`].
    pub fn reading(bpe: &Bpe, special_as_text: bool) -> Result<Self> {
        let (style, cut, space) = (bpe.style.clone(), bpe.cut, Box::new(Finder::new("\u{2581}")));
        let search = |normalized| {
            let added = bpe.added.iter().filter(|token| token.normalized == normalized);
            Search::of(added, &style, special_as_text)
        };
        Ok(Self { added: search(false)?, normalized: search(true)?, style, cut, space })
    }

    /// Append the sections of a document to `sections`, a gap before each, and call `added` with each added token and
    /// how long `sections` are by then. Sections are written as words are inside the engine.
    ///
    /// Returns whether words stand between white space in `text` as they do in its sections: where it held no added
    /// token and no `▁`.
    #[inline]
    pub(crate) fn sections(&self, text: &str, sections: &mut Vec<u8>, mut added: impl FnMut(&Token, usize)) -> bool {
        let mut same = true;
        Search::each(self.added.as_ref(), text, |section, at, found| {
            same &= self.section(section, at == 0, sections, &mut added);
            if let Some(token) = found {
                added(token, sections.len());
                same = false;
            }
        });
        same
    }

    /// [`Cutter::sections`] of all `texts`, looked through as one, where none of them holds what has to be dealt with in
    /// its place: an added token, a `▁`, what NFC may compose. Else nothing is appended, and `false` returned.
    pub(crate) fn plain_sections(&self, texts: &[&str], sections: &mut Vec<u8>) -> bool {
        let spaced = match self.style {
            Style::ByteLevel { nfc: true, .. } => return false,
            Style::ByteLevel { .. } => false,
            Style::SentencePiece(_) => true,
        };
        let before = sections.len();
        for text in texts.iter().filter(|text| !text.is_empty()) {
            self.begin(text, true, sections);
            sections.extend_from_slice(text.as_bytes());
        }
        let joined = &sections[before..];
        let searches = [&self.added, &self.normalized];
        let plain = !(spaced && self.space.find(joined).is_some())
            && searches.into_iter().flatten().all(|search| search.next(joined, 0).is_none());
        if !plain {
            sections.truncate(before);
        }
        plain
    }

    fn section(&self, text: &str, at_start: bool, to: &mut Vec<u8>, added: &mut impl FnMut(&Token, usize)) -> bool {
        if text.is_empty() {
            return true;
        }
        let Style::ByteLevel { nfc: normalize, .. } = self.style else {
            self.begin(text, at_start, to);
            return with_spaces(text, &self.space, to);
        };
        let composed = if normalize { nfc(text) } else { text.into() };
        let mut same = true;
        Search::each(self.normalized.as_ref(), &composed, |section, _, found| {
            if !section.is_empty() {
                self.begin(section, at_start, to);
                to.extend_from_slice(section.as_bytes());
            }
            if let Some(token) = found {
                added(token, to.len());
                same = false;
            }
        });
        same
    }

    /// Append what stands before the section `text`, with which a document may start: a gap, and the space that the
    /// tokenizer puts there.
    #[inline]
    fn begin(&self, text: &str, at_start: bool, to: &mut Vec<u8>) {
        let prefix = match self.style {
            Style::ByteLevel { prefix, .. } => prefix && !text.starts_with(' '),
            Style::SentencePiece(Prefix::Never) => false,
            Style::SentencePiece(Prefix::Always) => true,
            Style::SentencePiece(Prefix::Missing) => !text.starts_with([' ', SPACE]),
            Style::SentencePiece(Prefix::MissingAtStart) => at_start && !text.starts_with([' ', SPACE]),
        };
        to.push(GAP);
        to.extend_from_slice(if prefix { b" " } else { b"" });
    }

    /// Whether all words were found since the last time; see [`crate::text::pattern::Pattern::check`].
    ///
    /// # Errors
    /// If not.
    pub fn check(&self) -> Result<()> {
        if let Style::ByteLevel { cuts: Cuts::Other(pattern), .. } = &self.style { pattern.check() } else { Ok(()) }
    }

    /// Call `found` with the start and the end of each word of `sections`.
    #[inline]
    pub(crate) fn words(&self, sections: &[u8], mut found: impl FnMut(usize, usize)) {
        let word = |start: usize, end| {
            if sections[start] != GAP {
                found(start, end);
            }
        };
        match &self.style {
            Style::SentencePiece(_) => self.cut.words(sections, word),
            Style::ByteLevel { cuts: Cuts::Known(split), .. } => split.words(sections, word),
            Style::ByteLevel { cuts: Cuts::Other(pattern), .. } => pattern.words(sections, word),
        }
    }
}

/// Added tokens, to be found in a text.
struct Search {
    automaton: AhoCorasick,
    tokens: Vec<Token>,
    /// What each token begins with: runs of spaces, say, all begin alike. None where that would not tell much.
    beginnings: Option<[[u8; 2]; BEGINNINGS]>,
    /// Bytes of the longest token.
    longest: usize,
}

/// Different beginnings that are looked for.
const BEGINNINGS: usize = 4;

/// An added token.
pub(crate) struct Token {
    pub(crate) id: u32,
    /// Its text, with [`PADDING`] bytes behind it.
    pub(crate) padded: Vec<u8>,
    /// Bytes of its text.
    pub(crate) length: usize,
    before: bool,
    behind: bool,
    /// Whether it is passed over: no other token is found in it either.
    text: bool,
}

impl Search {
    fn of<'a>(added: impl Iterator<Item = &'a Added>, style: &Style, special_as_text: bool) -> Result<Option<Self>> {
        let normalized = |content: &'a str| match style {
            Style::ByteLevel { nfc: true, .. } => nfc(content),
            _ => content.into(),
        };
        let found: Vec<&Added> = added.collect();
        let contents = found
            .iter()
            .map(|token| if token.normalized { normalized(&token.content) } else { token.content.as_str().into() });
        let contents: Vec<_> = contents.map(std::borrow::Cow::into_owned).collect();
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&contents);
        let automaton = automaton.map_err(|e| Error::Tokenizer(format!("its added tokens: {e}")))?;
        let token = |token: &&Added| Token {
            id: token.id,
            padded: [token.content.as_bytes(), &[0; PADDING]].concat(),
            length: token.content.len(),
            before: token.before,
            behind: token.behind,
            text: special_as_text && token.special,
        };
        let tokens: Vec<Token> = found.iter().map(token).collect();
        let beginnings = contents.iter().map(|content| content.as_bytes().first_chunk::<2>().copied());
        let longest = contents.iter().map(String::len).max().unwrap_or_default();
        let mut beginnings: Vec<[u8; 2]> = beginnings.collect::<Option<_>>().unwrap_or_default();
        beginnings.sort_unstable();
        beginnings.dedup();
        let all = beginnings.iter().cycle().take(if beginnings.len() > BEGINNINGS { 0 } else { BEGINNINGS });
        let beginnings = all.copied().collect::<Vec<_>>().try_into().ok();
        Ok((!tokens.is_empty()).then_some(Self { automaton, tokens, beginnings, longest }))
    }

    /// Where the next token stands in `text` at `from` or behind it. Text without any is passed over much faster than
    /// the automaton would, which stops at each space where there are tokens that begin with one.
    #[inline]
    fn next(&self, text: &[u8], mut from: usize) -> Option<Match> {
        if let Some(beginnings) = &self.beginnings {
            let begins = |a, b, _| beginnings.iter().fold(u8x16::ZERO, |any, [x, y]| any | (is(a, *x) & is(b, *y)));
            // The last block reaches back over the one before it, so that no short rest is left.
            while let Some(end) = (text.len() - from).checked_sub(BLOCK + 2) {
                let Some(block) = text[from..].first_chunk::<{ BLOCK + 2 }>() else { break };
                if any(block, begins) {
                    let reach = text.len().min(from + BLOCK + self.longest);
                    let found = self.automaton.find(Input::new(text).span(from..reach));
                    if let Some(found) = found.filter(|found| found.start() < from + BLOCK) {
                        return Some(found);
                    }
                }
                if end == 0 {
                    from += BLOCK;
                    break;
                }
                from += end.min(BLOCK);
            }
        }
        self.automaton.find(Input::new(text).span(from..text.len()))
    }

    /// Call `each` with every stretch of `text` up to an added token, which may be empty, where it starts, and the
    /// token; and with the rest.
    #[inline]
    fn each<'t>(search: Option<&Self>, text: &'t str, mut each: impl FnMut(&'t str, usize, Option<&Token>)) {
        let (mut from, mut behind) = (0, 0);
        while let Some(search) = search
            && let Some(found) = search.next(text.as_bytes(), behind)
        {
            let token = &search.tokens[found.pattern().as_usize()];
            let (mut start, mut end) = (found.start(), found.end());
            behind = end;
            if token.text {
                continue;
            }
            if token.before {
                start = text[..start].trim_end().len().max(from);
            }
            if token.behind {
                end = text.len() - text[end..].trim_start().len();
            }
            // What the token before took along may begin this one.
            each(text.get(from..start).unwrap_or_default(), from, Some(token));
            from = end;
        }
        each(&text[from..], from, None);
    }
}

/// Append `text`, each `▁` as a space; returns whether there was none.
fn with_spaces(text: &str, space: &Finder<'_>, to: &mut Vec<u8>) -> bool {
    let mut from = 0;
    for at in space.find_iter(text.as_bytes()) {
        to.extend_from_slice(&text.as_bytes()[from..at]);
        to.push(b' ');
        from = at + SPACE.len_utf8();
    }
    to.extend_from_slice(&text.as_bytes()[from..]);
    from == 0
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    pub(crate) fn bpe(prefix: Option<&str>) -> Bpe {
        let mut vocab: HashMap<String, u32> = (0..256_u32).map(|b| (format!("<0x{b:02X}>"), b)).collect();
        for (token, id) in ["▁", "가", "▁가", "a", "<s>", "<s>x"].into_iter().zip(256..) {
            vocab.insert(token.to_owned(), id);
        }
        let special = |id: u32, content: &str| {
            serde_json::json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        };
        let model = serde_json::json!({"type": "BPE", "byte_fallback": true, "vocab": vocab, "merges": [["▁", "가"]]});
        let metaspace = |scheme: &str| serde_json::json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false});
        let replace = serde_json::json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let normalizer =
            serde_json::json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]});
        let json = serde_json::json!({
            "added_tokens": [special(260, "<s>"), special(261, "<s>x")],
            "normalizer": prefix.is_none().then_some(normalizer),
            "pre_tokenizer": prefix.map(metaspace),
            "model": model,
        });
        Bpe::from_json(&json.to_string()).unwrap()
    }

    /// Special tokens first, then the words between them.
    fn words(prefix: Option<&str>, text: &str) -> Vec<String> {
        let cutter = Cutter::new(&bpe(prefix)).unwrap();
        let (mut sections, mut found) = (vec![], vec![]);
        cutter.sections(text, &mut sections, |token, _| {
            found.push(String::from_utf8(token.padded[..token.length].to_vec()).unwrap());
        });
        cutter.words(&sections, |start, end| found.push(String::from_utf8(sections[start..end].to_vec()).unwrap()));
        found
    }

    proptest! {
        #[test]
        fn added_tokens_are_found_where_the_automaton_finds_them(
            tokens in prop::collection::vec("[<s>/ a가]{1,4}", 1..5), text in "[a가 ]{0,140}[<s>/ a]{0,9}[a가 ]{0,140}[<s>/ ]{0,4}",
        ) {
            let token = |content: &String| Added {
                id: 0, content: content.clone(), before: false, behind: false, normalized: false, special: true,
            };
            let added: Vec<Added> = tokens.iter().map(token).collect();
            let search = Search::of(added.iter(), &Style::SentencePiece(Prefix::Never), false).unwrap().unwrap();
            let all = search.automaton.find(text.as_bytes());
            prop_assert_eq!(search.next(text.as_bytes(), 0), all);
        }

        #[test]
        fn plain_texts_have_the_sections_that_each_of_them_has(texts in prop::collection::vec("[<s>▁ a가]{0,40}", 0..4)) {
            for prefix in [None, Some("always"), Some("first"), Some("never")] {
                let cutter = Cutter::new(&bpe(prefix)).unwrap();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let (mut plain, mut each, mut same) = (vec![7], vec![7], true);
                for text in &texts {
                    same &= cutter.sections(text, &mut each, |_, _| ());
                }
                prop_assert_eq!(cutter.plain_sections(&texts, &mut plain), same);
                prop_assert_eq!(plain, if same { each } else { vec![7] });
            }
        }
    }

    #[test]
    fn special_tokens_and_prefixes_are_as_the_tokenizer_has_them() {
        assert_eq!(words(None, "가<s>x a<s>▁b"), ["<s>x", "<s>", " 가", "  a", "  b"]);
        assert_eq!(words(Some("always"), "가<s>x a<s>b"), ["<s>x", "<s>", " 가", " a", " b"]);
        assert_eq!(words(Some("first"), "가<s>x a<s>b"), ["<s>x", "<s>", " 가", " a", "b"]);
        assert_eq!(words(Some("never"), "가 <s>"), ["<s>", "가", " "]);
    }
}
