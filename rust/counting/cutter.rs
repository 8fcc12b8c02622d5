//! A document taken apart as the tokenizer takes it apart: special tokens are found in the raw text, longest first
//! from the left; each section between them is normalised (`▁` in front, spaces to `▁`) and cut into words by [`Cut`].

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem::Finder;

use crate::bpe::model::Bpe;
use crate::bpe::tokenizer_json::Prefix;
use crate::error::{Error, Result};
use crate::text::words::{Cut, GAP, SPACE};

/// How documents become words.
pub struct Cutter {
    special: Option<AhoCorasick>,
    prefix: Prefix,
    cut: Cut,
    space: Finder<'static>,
}

impl Cutter {
    /// As the tokenizer `bpe` needs it.
    ///
    /// # Errors
    /// If the tokenizer's special tokens cannot be searched for.
    pub fn new(bpe: &Bpe) -> Result<Self> {
        let contents: Vec<&str> = bpe.special.iter().map(|(token, _)| token.as_str()).collect();
        let special = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&contents);
        let special = special.map_err(|e| Error::Tokenizer(format!("its special tokens: {e}")))?;
        Ok(Self {
            special: (!contents.is_empty()).then_some(special),
            prefix: bpe.prefix,
            cut: bpe.cut,
            space: Finder::new("\u{2581}"),
        })
    }

    /// Append the sections of a document to `sections`, a gap before each, and call `special` with the start and the
    /// end of each special token in `text`. Sections are UTF-8, `▁` written as a space.
    ///
    /// Returns whether words stand between white space in `text` as they do in its sections: where it held no special
    /// token and no `▁`.
    #[inline]
    pub(crate) fn sections(&self, text: &str, sections: &mut Vec<u8>, mut special: impl FnMut(usize, usize)) -> bool {
        let (mut from, mut same) = (0, true);
        if let Some(search) = &self.special {
            for found in search.find_iter(text) {
                self.section(&text[from..found.start()], from == 0, sections);
                special(found.start(), found.end());
                (from, same) = (found.end(), false);
            }
        }
        self.section(&text[from..], from == 0, sections) && same
    }

    fn section(&self, text: &str, at_start: bool, sections: &mut Vec<u8>) -> bool {
        if text.is_empty() {
            return true;
        }
        sections.push(GAP);
        let prefix = match self.prefix {
            Prefix::Never => false,
            Prefix::Always => true,
            Prefix::Missing => !text.starts_with([' ', SPACE]),
            Prefix::MissingAtStart => at_start && !text.starts_with([' ', SPACE]),
        };
        if prefix {
            sections.push(b' ');
        }
        with_spaces(text, &self.space, sections)
    }

    /// Call `found` with the start and the end of each word of `sections`.
    #[inline]
    pub(crate) fn words(&self, sections: &[u8], mut found: impl FnMut(usize, usize)) {
        self.cut.words(sections, |start, end| {
            if sections[start] != GAP {
                found(start, end);
            }
        });
    }
}

/// Append `text`, each `▁` as a space; returns whether there was none.
pub(crate) fn with_spaces(text: &str, space: &Finder<'_>, to: &mut Vec<u8>) -> bool {
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
        cutter.sections(text, &mut sections, |start, end| found.push(text[start..end].to_owned()));
        cutter.words(&sections, |start, end| found.push(String::from_utf8(sections[start..end].to_vec()).unwrap()));
        found
    }

    #[test]
    fn special_tokens_and_prefixes_are_as_the_tokenizer_has_them() {
        assert_eq!(words(None, "가<s>x a<s>▁b"), ["<s>x", "<s>", " 가", "  a", "  b"]);
        assert_eq!(words(Some("always"), "가<s>x a<s>b"), ["<s>x", "<s>", " 가", " a", " b"]);
        assert_eq!(words(Some("first"), "가<s>x a<s>b"), ["<s>x", "<s>", " 가", " a", "b"]);
        assert_eq!(words(Some("never"), "가 <s>"), ["<s>", "가", " "]);
    }
}
