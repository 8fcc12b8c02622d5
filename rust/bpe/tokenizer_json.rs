//! The file `tokenizer.json`, as far as the engine reads it, and what in it is refused.
//!
//! Read are the BPE tokenizers whose behaviour the engine reproduces to the last id, of two styles: SentencePiece's,
//! with byte fallback, no pre-tokenizer but one that does not split, and spaces turned into `▁`; and the byte-level
//! one, whose characters are bytes and which cuts text by patterns that [`Split`] or [`Pattern`] reads. Anything else is refused with
//! the reason, and the caller counts documents with the tokenizer itself.

use std::borrow::{Borrow, Cow};
use std::fmt;

use rustc_hash::FxHashMap;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::text::pattern::Pattern;
use crate::text::split::Split;
use crate::text::words::SPACE;

/// What happens to text before it is merged.
#[derive(Clone, Debug)]
pub enum Style {
    /// As in SentencePiece: symbols are characters, and a document is one long word.
    SentencePiece(Prefix),
    /// Symbols are bytes.
    ByteLevel {
        /// What cuts text into words.
        cuts: Cuts,
        /// Whether a space is put before a section of text that does not begin with one.
        prefix: bool,
        /// Whether text is brought into NFC.
        nfc: bool,
    },
}

/// What cuts the text of a byte-level tokenizer into words.
#[derive(Clone, Debug)]
pub enum Cuts {
    /// A pattern that has a scanner.
    Known(Split),
    /// Any other, or several.
    Other(Pattern),
}

impl Cuts {
    /// Whether a text is one word.
    fn is_word(&self, text: &str) -> bool {
        match self {
            Self::Known(split) => split.is_word(text),
            Self::Other(pattern) => pattern.is_word(text),
        }
    }
}

/// Where `▁` is put before a section of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// Nowhere.
    Never,
    /// Before every section: the normaliser `Prepend`.
    Always,
    /// Before every section that does not begin with one: `Metaspace`, scheme `always`.
    Missing,
    /// The same, but only at the start of the document: `Metaspace`, scheme `first`.
    MissingAtStart,
}

/// A special or other added token, which is found in text before anything else happens to it.
#[allow(clippy::struct_excessive_bools)] // the file's format, not ours
pub struct Added {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub content: String,
    /// Whether it takes white space before it along.
    pub before: bool,
    /// Whether it takes white space behind it along.
    pub behind: bool,
    /// Whether it is found in normalised text, after the others.
    pub normalized: bool,
    /// Whether it is no text but a sign, the end of a document say.
    pub special: bool,
}

/// What the file says of a tokenizer that the engine reproduces.
pub(crate) struct TokenizerJson<'a> {
    pub(crate) vocab: FxHashMap<Text<'a>, u32>,
    pub(crate) merges: Vec<Merge<'a>>,
    pub(crate) added: Vec<Added>,
    pub(crate) style: Style,
    /// Whether a word that is a token as a whole is not merged.
    pub(crate) whole_words: bool,
}

impl<'a> TokenizerJson<'a> {
    pub(crate) fn read(json: &'a str) -> Result<Self> {
        let file: File = serde_json::from_str(json).map_err(|e| refuse(format!("not a tokenizer.json: {e}")))?;
        let model = file.model;
        model.check()?;
        let (normalizer, pre_tokenizer) = (file.normalizer.as_ref(), file.pre_tokenizer.as_ref());
        let style = match byte_level(normalizer, pre_tokenizer)? {
            Some(style) => style,
            None => Style::SentencePiece(model.sentence_piece().and_then(|()| prefix(normalizer, pre_tokenizer))?),
        };
        let added = added(file.added_tokens, &style)?;
        Ok(Self { added, vocab: model.vocab, merges: model.merges, style, whole_words: model.ignore_merges })
    }
}

#[derive(serde::Deserialize)]
struct File<'a> {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    #[serde(borrow)]
    model: Model<'a>,
}

#[derive(serde::Deserialize)]
#[allow(clippy::struct_excessive_bools)] // the file's format, not ours
struct AddedToken {
    id: u32,
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    #[serde(default)]
    special: bool,
}

#[derive(serde::Deserialize)]
struct Model<'a> {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    dropout: Option<f32>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(borrow)]
    vocab: FxHashMap<Text<'a>, u32>,
    #[serde(borrow)]
    merges: Vec<Merge<'a>>,
}

impl Model<'_> {
    /// Refuse what the engine does not reproduce.
    fn check(&self) -> Result<()> {
        let set = |affix: &Option<String>| affix.as_ref().is_some_and(|affix| !affix.is_empty());
        if self.kind.as_deref().is_some_and(|kind| kind != "BPE") {
            return Err(refuse("its model is not BPE"));
        }
        if self.dropout.is_some_and(|share| share > 0.0) {
            return Err(refuse("its model has dropout"));
        }
        if set(&self.continuing_subword_prefix) || set(&self.end_of_word_suffix) {
            return Err(refuse("its model marks the inside or the end of words"));
        }
        Ok(())
    }

    fn sentence_piece(&self) -> Result<()> {
        if !self.byte_fallback {
            return Err(refuse("its model has no byte fallback and it is not byte-level, so it has an unknown token"));
        }
        if self.ignore_merges {
            return Err(refuse("its model has ignore_merges, and it is not byte-level"));
        }
        Ok(())
    }
}

/// A text of the file, not copied where it holds no escape: there are hundreds of thousands.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Borrow<str> for Text<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Text<'de>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a token")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
                Ok(Text(text.into()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Self::Value, E> {
                Ok(Text(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Texts)
    }
}

/// The two tokens of a merge, which older files write on one line.
pub(crate) struct Merge<'a>(pub(crate) Text<'a>, pub(crate) Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Merge<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Merges;
        impl<'de> Visitor<'de> for Merges {
            type Value = Merge<'de>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a merge of two tokens")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> std::result::Result<Self::Value, A::Error> {
                match (parts.next_element()?, parts.next_element()?, parts.next_element::<Text>()?) {
                    (Some(left), Some(right), None) => Ok(Merge(left, right)),
                    _ => Err(de::Error::custom("wanted a merge of two tokens")),
                }
            }

            fn visit_str<E: de::Error>(self, line: &str) -> std::result::Result<Self::Value, E> {
                let parts = line.split_once(' ');
                let (left, right) = parts.ok_or_else(|| E::custom(format_args!("{line:?} is not a merge")))?;
                Ok(Merge(Text(left.to_owned().into()), Text(right.to_owned().into())))
            }
        }
        deserializer.deserialize_any(Merges)
    }
}

fn added(tokens: Vec<AddedToken>, style: &Style) -> Result<Vec<Added>> {
    let bytes = matches!(style, Style::ByteLevel { .. });
    for AddedToken { content, single_word, lstrip, rstrip, normalized, .. } in &tokens {
        if *single_word {
            return Err(refuse(format!("its added token {content:?} is found as a single word only")));
        }
        if *normalized && !bytes {
            return Err(refuse(format!("its added token {content:?} is found in normalised text")));
        }
        if content.is_empty() || (!bytes && content.contains(' ')) {
            return Err(refuse(format!("its added token {content:?} is empty or holds a space")));
        }
        // A token is told from a word by what it is. A word may begin with a space that the text has not, and NFC could
        // make it of other characters.
        if let Style::ByteLevel { cuts, prefix, nfc, .. } = style
            && cuts.is_word(content)
        {
            if *prefix && content.strip_prefix(' ').is_some_and(|rest| !rest.starts_with(' ')) {
                return Err(refuse(format!(
                    "its added token {content:?} may be other text behind a space that it adds"
                )));
            }
            if *nfc && !normalized && content.contains(|c: char| !c.is_ascii() || "K;`".contains(c)) {
                return Err(refuse(format!("its added token {content:?} may be what NFC makes of other text")));
            }
        }
        if *normalized && (*lstrip || *rstrip) {
            return Err(refuse(format!("its added token {content:?} is normalised and strips white space")));
        }
        // One that stands behind another stands in what that one stripped: `tokenizers` then gives text twice, or not that
        // token (findings/stripped-token-gone.sh).
        if *lstrip
            && content.trim().is_empty()
            && let Some(before) = tokens.iter().find(|token| token.rstrip)
        {
            return Err(refuse(format!(
                "its added token {content:?} is white space and strips what is before it, as {:?} what is behind it",
                before.content
            )));
        }
    }
    let added = |AddedToken { id, content, lstrip, rstrip, normalized, special, .. }| Added {
        id,
        content,
        before: lstrip,
        behind: rstrip,
        normalized,
        special,
    };
    Ok(tokens.into_iter().map(added).collect())
}

/// The style of a byte-level tokenizer; nothing of one that is none.
fn byte_level(normalizer: Option<&Value>, pre_tokenizer: Option<&Value>) -> Result<Option<Style>> {
    let cuts = steps(pre_tokenizer, "pretokenizers");
    let Some((last, before)) = cuts.split_last().filter(|(last, _)| last["type"] == "ByteLevel") else {
        return Ok(None);
    };
    let set = |name: &str| last[name].as_bool().unwrap_or(true);
    let prefix = set("add_prefix_space");
    if prefix && !before.is_empty() {
        return Err(refuse("it puts a space before each piece of text that another step has cut"));
    }
    let mut patterns = before.iter().map(pattern).collect::<Option<Vec<_>>>().unwrap_or_default();
    let all = patterns.len() == before.len();
    if set("use_regex") {
        patterns.push(Split::GPT2.to_owned());
    }
    let known = patterns.first().filter(|_| patterns.len() == 1).and_then(|only| Split::of(only));
    let cuts = known.map(Cuts::Known).or_else(|| Pattern::of(&patterns).map(Cuts::Other)).filter(|_| all);
    let cuts = cuts.ok_or_else(|| refuse("it is cut by a pattern that kovocab does not read"))?;
    let nfc = match steps(normalizer, "normalizers").as_slice() {
        [] => false,
        [only] if only["type"] == "NFC" => true,
        _ => return Err(refuse("its normaliser is not NFC")),
    };
    Ok(Some(Style::ByteLevel { cuts, prefix, nfc }))
}

/// The pattern of a step that cuts text before and behind what matches; nothing of any other.
fn pattern(step: &Value) -> Option<String> {
    match step["type"].as_str()? {
        "Digits" => Some(if step["individual_digits"] == true { r"\p{N}" } else { r"\p{N}+" }.to_owned()),
        "Split" if step["behavior"] == "Isolated" && step["invert"] != true => {
            let text = || step["pattern"]["String"].as_str().map(|text| fancy_regex::escape(text).into_owned());
            step["pattern"]["Regex"].as_str().map(str::to_owned).or_else(text)
        }
        _ => None,
    }
}

/// The steps of a normaliser or pre-tokenizer, which may be one, a sequence, or none.
fn steps(step: Option<&Value>, inside: &str) -> Vec<Value> {
    match step {
        Some(Value::Object(map)) if map.get("type") == Some(&"Sequence".into()) => {
            map.get(inside).and_then(Value::as_array).cloned().unwrap_or_default()
        }
        Some(step) => vec![step.clone()],
        None => vec![],
    }
}

/// Where `▁` is put, from the normaliser or the pre-tokenizer; both at once are not known to exist.
fn prefix(normalizer: Option<&Value>, pre_tokenizer: Option<&Value>) -> Result<Prefix> {
    let space = SPACE.to_string();
    let prepend = serde_json::json!({"type": "Prepend", "prepend": space});
    let replace = serde_json::json!({"type": "Replace", "pattern": {"String": " "}, "content": space});
    let cuts = steps(pre_tokenizer, "pretokenizers");
    // Gemma cuts at spaces, of which its normaliser leaves none.
    let no_cut = serde_json::json!({
        "type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false
    });
    let cuts = if cuts == [no_cut] { &[] } else { cuts.as_slice() };
    match (steps(normalizer, "normalizers").as_slice(), cuts) {
        ([first, second], []) if *first == prepend && *second == replace => Ok(Prefix::Always),
        ([only], []) if *only == replace => Ok(Prefix::Never),
        ([], [step]) if step["type"] == "Metaspace" && step["replacement"] == space && step["split"] == false => {
            match step["prepend_scheme"].as_str() {
                Some("always") => Ok(Prefix::Missing),
                Some("first") => Ok(Prefix::MissingAtStart),
                Some("never") => Ok(Prefix::Never),
                _ => Err(refuse("its Metaspace has no prepend_scheme")),
            }
        }
        (normalizers, cuts) => {
            let names = [normalizers, cuts].concat();
            let names: Vec<_> = names.iter().filter_map(|step| step["type"].as_str()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(refuse(format!(
                "its normaliser and pre-tokenizer ({names}) are not those of a SentencePiece-style tokenizer"
            )))
        }
    }
}

pub(crate) fn refuse(reason: impl Into<String>) -> Error {
    Error::Tokenizer(reason.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokenizer_of_another_kind_is_refused_with_the_reason() {
        let wrong = |json: &str| TokenizerJson::read(json).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(wrong("{").starts_with("not a tokenizer.json"));
        assert!(wrong(r#"{"model": {"vocab": {}, "merges": []}}"#).contains("byte fallback"));
        assert!(wrong(r#"{"model": {"byte_fallback": true, "vocab": {}, "merges": []}}"#).contains("normaliser"));
    }
}
