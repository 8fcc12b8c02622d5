//! The file `tokenizer.json`, as far as the engine reads it, and what in it is refused.
//!
//! Read are the tokenizers whose behaviour the engine reproduces to the last id: BPE with byte fallback, no
//! pre-tokenizer but a Metaspace that does not split, and spaces turned into `▁`. Anything else is refused with
//! the reason, and the caller counts documents with the tokenizer itself.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::text::words::SPACE;

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

/// What the file says of a tokenizer that the engine reproduces.
pub(crate) struct TokenizerJson {
    pub(crate) vocab: HashMap<String, u32>,
    pub(crate) merges: Vec<Merge>,
    /// Content and id of each special token.
    pub(crate) special: Vec<(String, u32)>,
    pub(crate) prefix: Prefix,
}

impl TokenizerJson {
    pub(crate) fn read(json: &str) -> Result<Self> {
        let file: File = serde_json::from_str(json).map_err(|e| refuse(format!("not a tokenizer.json: {e}")))?;
        let model: Model = serde_json::from_value(file.model).map_err(|e| refuse(format!("its model: {e}")))?;
        model.check()?;
        let prefix = prefix(file.normalizer.as_ref(), file.pre_tokenizer.as_ref())?;
        Ok(Self { special: special(file.added_tokens)?, vocab: model.vocab, merges: model.merges, prefix })
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    model: Value,
}

#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools)] // the file's format, not ours
struct Added {
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
        if !self.byte_fallback {
            return Err(refuse("its model has no byte fallback (it is byte-level, or has an unknown token)"));
        }
        if self.ignore_merges || self.dropout.is_some_and(|share| share > 0.0) {
            return Err(refuse("its model has ignore_merges or dropout"));
        }
        if set(&self.continuing_subword_prefix) || set(&self.end_of_word_suffix) {
            return Err(refuse("its model marks the inside or the end of words"));
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

/// Content and id of each special token.
fn special(added: Vec<Added>) -> Result<Vec<(String, u32)>> {
    for token in &added {
        if token.normalized || token.single_word || token.lstrip || token.rstrip {
            return Err(refuse(format!(
                "its added token {:?} is normalised, stripped or a single word",
                token.content
            )));
        }
        if token.content.is_empty() || token.content.contains([' ', SPACE]) {
            return Err(refuse(format!("its added token {:?} is empty or holds a space", token.content)));
        }
    }
    Ok(added.into_iter().map(|token| (token.content, token.id)).collect())
}

/// Where `▁` is put, from the normaliser or the pre-tokenizer; both at once are not known to exist.
fn prefix(normalizer: Option<&Value>, pre_tokenizer: Option<&Value>) -> Result<Prefix> {
    let space = SPACE.to_string();
    let prepend = serde_json::json!({"type": "Prepend", "prepend": space});
    let replace = serde_json::json!({"type": "Replace", "pattern": {"String": " "}, "content": space});
    let steps = match normalizer {
        Some(Value::Object(map)) if map.get("type") == Some(&"Sequence".into()) => {
            map.get("normalizers").and_then(Value::as_array).cloned().unwrap_or_default()
        }
        Some(step) => vec![step.clone()],
        None => vec![],
    };
    match (steps.as_slice(), pre_tokenizer) {
        ([first, second], None) if *first == prepend && *second == replace => Ok(Prefix::Always),
        ([only], None) if *only == replace => Ok(Prefix::Never),
        ([], Some(step)) if step["type"] == "Metaspace" && step["replacement"] == space && step["split"] == false => {
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
