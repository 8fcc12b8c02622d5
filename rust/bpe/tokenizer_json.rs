//! The file `tokenizer.json`, as far as the engine reads it, and what in it is refused.
//!
//! Read are the BPE tokenizers whose behaviour the engine reproduces to the last id, of two styles: SentencePiece's,
//! with byte fallback, no pre-tokenizer but one that does not split, and spaces turned into `▁`; and the byte-level
//! one, whose characters are bytes and which cuts text by a pattern that [`Split`] knows. Anything else is refused with
//! the reason, and the caller counts documents with the tokenizer itself.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::text::split::Split;
use crate::text::words::SPACE;

/// What happens to text before it is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As in SentencePiece: symbols are characters, and a document is one long word.
    SentencePiece(Prefix),
    /// Symbols are bytes.
    ByteLevel {
        /// What cuts text into words.
        split: Split,
        /// Whether a space is put before a section of text that does not begin with one.
        prefix: bool,
        /// Whether text is brought into NFC.
        nfc: bool,
    },
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
}

/// What the file says of a tokenizer that the engine reproduces.
pub(crate) struct TokenizerJson {
    pub(crate) vocab: HashMap<String, u32>,
    pub(crate) merges: Vec<Merge>,
    pub(crate) added: Vec<Added>,
    pub(crate) style: Style,
    /// Whether a word that is a token as a whole is not merged.
    pub(crate) whole_words: bool,
}

impl TokenizerJson {
    pub(crate) fn read(json: &str) -> Result<Self> {
        let file: File = serde_json::from_str(json).map_err(|e| refuse(format!("not a tokenizer.json: {e}")))?;
        let model: Model = serde_json::from_value(file.model).map_err(|e| refuse(format!("its model: {e}")))?;
        model.check()?;
        let (normalizer, pre_tokenizer) = (file.normalizer.as_ref(), file.pre_tokenizer.as_ref());
        let style = match byte_level(normalizer, pre_tokenizer)? {
            Some(style) => style,
            None => Style::SentencePiece(model.sentence_piece().and_then(|()| prefix(normalizer, pre_tokenizer))?),
        };
        let added = added(file.added_tokens, style)?;
        Ok(Self { added, vocab: model.vocab, merges: model.merges, style, whole_words: model.ignore_merges })
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    model: Value,
}

#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools)] // the file's format, not ours
struct AddedToken {
    id: u32,
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    dropout: Option<f32>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    vocab: HashMap<String, u32>,
    merges: Vec<Merge>,
}

impl Model {
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

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Merge {
    Pair([String; 2]),
    Line(String),
}

impl Merge {
    pub(crate) fn parts(&self) -> Result<(&str, &str)> {
        match self {
            Self::Pair([left, right]) => Ok((left, right)),
            Self::Line(line) => line.split_once(' ').ok_or_else(|| refuse(format!("{line:?} is not a merge"))),
        }
    }
}

fn added(tokens: Vec<AddedToken>, style: Style) -> Result<Vec<Added>> {
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
        if *normalized && (*lstrip || *rstrip) {
            return Err(refuse(format!("its added token {content:?} is normalised and strips white space")));
        }
    }
    let added = |AddedToken { id, content, lstrip, rstrip, normalized, .. }| Added {
        id,
        content,
        before: lstrip,
        behind: rstrip,
        normalized,
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
    let (split, prefix) = match (before, set("use_regex")) {
        ([], true) => (Split::Gpt2, set("add_prefix_space")),
        ([only], false) if only["type"] == "Split" && !set("add_prefix_space") => {
            let known = only["pattern"]["Regex"].as_str().and_then(Split::of);
            let isolated = only["behavior"] == "Isolated" && only["invert"] != true;
            let split = known.filter(|_| isolated);
            (split.ok_or_else(|| refuse("it is cut by a pattern that kovocab has no scanner for"))?, false)
        }
        _ => return Err(refuse("it is cut by more than one pattern, or by none")),
    };
    let nfc = match steps(normalizer, "normalizers").as_slice() {
        [] => false,
        [only] if only["type"] == "NFC" => true,
        _ => return Err(refuse("its normaliser is not NFC")),
    };
    Ok(Some(Style::ByteLevel { split, prefix, nfc }))
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
        _ => Err(refuse("its normaliser and pre-tokenizer are not those of a SentencePiece-style tokenizer")),
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
