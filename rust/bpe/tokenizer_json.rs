//! The file `tokenizer.json`, as far as the engine reads it, and what in it is refused.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use crate::bpe::model::Prefix;
use crate::error::{Error, Result};
use crate::text::words::SPACE;

#[derive(Deserialize)]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) added_tokens: Vec<Added>,
    pub(crate) normalizer: Option<Value>,
    pub(crate) pre_tokenizer: Option<Value>,
    pub(crate) model: Value,
}

#[derive(Deserialize)]
#[allow(clippy::struct_excessive_bools)] // the file's format, not ours
pub(crate) struct Added {
    id: u32,
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
}

#[derive(Deserialize)]
pub(crate) struct Model {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    dropout: Option<f32>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    pub(crate) vocab: HashMap<String, u32>,
    pub(crate) merges: Vec<Merge>,
}

impl Model {
    /// Refuse what the engine does not reproduce.
    pub(crate) fn check(&self) -> Result<()> {
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
pub(crate) fn special(added: Vec<Added>) -> Result<Vec<(String, u32)>> {
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
pub(crate) fn prefix(normalizer: Option<&Value>, pre_tokenizer: Option<&Value>) -> Result<Prefix> {
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
