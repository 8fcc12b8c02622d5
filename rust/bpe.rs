//! `tokenizer.json` of a SentencePiece-style BPE, read into the tables that cutting and encoding need.
//!
//! Read are the tokenizers whose behaviour the engine reproduces to the last id: BPE with byte fallback, no
//! pre-tokenizer but a Metaspace that does not split, and spaces turned into `▁`. Anything else is refused with
//! the reason, and the caller counts documents with the tokenizer itself.

use std::collections::HashMap;

use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::words::{Cut, SPACE};

/// No token, no rank.
pub const NONE: u32 = u32::MAX;

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

/// A BPE model: characters to ids, pairs to ranks, ranks to ids.
pub struct Bpe {
    /// One more than the highest id.
    pub size: usize,
    /// Special tokens, found in raw text before anything else.
    pub special: Vec<(String, u32)>,
    /// Where `▁` is put before.
    pub prefix: Prefix,
    /// The places that no entry spans.
    pub cut: Cut,
    /// Id of each byte's fallback token.
    pub bytes: Vec<u32>,
    /// Id of the token that a merge makes, by rank.
    pub merged: Vec<u32>,
    /// Rank of each pair of ids.
    pub ranks: Pairs,
    plane: Vec<u32>,
    beyond: FxHashMap<char, u32>,
}

impl Bpe {
    /// Read `tokenizer.json`.
    ///
    /// # Errors
    /// If it is not one, or is of a kind that the engine does not reproduce; says which part.
    pub fn from_json(json: &str) -> Result<Self> {
        let file: File = serde_json::from_str(json).map_err(|e| refuse(format!("not a tokenizer.json: {e}")))?;
        let model: Model = serde_json::from_value(file.model).map_err(|e| refuse(format!("its model: {e}")))?;
        model.check()?;
        let prefix = prefix(file.normalizer.as_ref(), file.pre_tokenizer.as_ref())?;
        let special = special(file.added_tokens)?;
        let size = model.vocab.values().chain(special.iter().map(|(_, id)| id)).max().map_or(0, |&id| id as usize + 1);
        let bytes = (0..256)
            .map(|byte| model.vocab.get(&format!("<0x{byte:02X}>")).copied())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| refuse("its vocabulary lacks some of the 256 byte tokens"))?;

        let mut plane = vec![NONE; 1 << 16];
        let mut beyond = FxHashMap::default();
        for (token, &id) in &model.vocab {
            let mut chars = token.chars();
            if let (Some(c), None) = (chars.next(), chars.next()) {
                match plane.get_mut(c as usize) {
                    Some(slot) => *slot = id,
                    None => _ = beyond.insert(c, id),
                }
            }
        }

        let mut merged = Vec::with_capacity(model.merges.len());
        let mut entries = Vec::with_capacity(model.merges.len());
        let mut ranks = Pairs::with_capacity(model.merges.len());
        for merge in &model.merges {
            let (left, right) = merge.parts()?;
            let entry = format!("{left}{right}");
            let id = |token: &str| {
                let found = model.vocab.get(token).copied();
                found
                    .ok_or_else(|| refuse(format!("the merge {left:?} + {right:?} needs {token:?}, which is no token")))
            };
            let pair = (id(left)?, id(right)?);
            if bytes.contains(&pair.0) || bytes.contains(&pair.1) {
                // Such an entry spans characters that its text does not show, so that the cut could not be checked.
                return Err(refuse(format!("the merge {left:?} + {right:?} joins a byte token")));
            }
            ranks.insert(pair.0, pair.1, rank(merged.len())?);
            merged.push(id(&entry)?);
            entries.push(entry);
        }
        let cut = Cut::check(entries.iter().map(String::as_str));
        Ok(Self { size, special, prefix, cut, bytes, merged, ranks, plane, beyond })
    }

    /// Id of the token that is this one character, or [`NONE`].
    #[must_use]
    #[inline]
    pub fn char_id(&self, c: char) -> u32 {
        match self.plane.get(c as usize) {
            Some(&id) => id,
            None => self.beyond.get(&c).copied().unwrap_or(NONE),
        }
    }
}

/// Pair of ids → rank: open addressing, 16 bytes a slot, at most half full.
pub struct Pairs {
    slots: Vec<(u64, u32)>,
    shift: u32,
}

/// No pair of ids: both would be [`NONE`].
const FREE: u64 = u64::MAX;

impl Pairs {
    fn with_capacity(pairs: usize) -> Self {
        let bits = (pairs * 2).next_power_of_two().trailing_zeros().max(4);
        Self { slots: vec![(FREE, NONE); 1 << bits], shift: 64 - bits }
    }

    /// A pair that comes twice keeps its later rank, as in `tokenizers`.
    fn insert(&mut self, left: u32, right: u32, rank: u32) {
        let key = key(left, right);
        let mut at = self.place(key);
        while self.slots[at].0 != FREE && self.slots[at].0 != key {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = (key, rank);
    }

    /// The rank of a pair, or [`NONE`]. Lower ranks merge first.
    #[must_use]
    #[inline]
    pub fn get(&self, left: u32, right: u32) -> u32 {
        let key = key(left, right);
        let mut at = self.place(key);
        loop {
            let (found, rank) = self.slots[at];
            if found == key || found == FREE {
                return rank;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Fibonacci hashing: the high bits of the product are the well mixed ones.
    #[allow(clippy::cast_possible_truncation)]
    fn place(&self, key: u64) -> usize {
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
}

fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

fn rank(index: usize) -> Result<u32> {
    u32::try_from(index).map_err(|_| refuse("it has more than 2^32 merges"))
}

fn refuse(reason: impl Into<String>) -> Error {
    Error::Tokenizer(reason.into())
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
enum Merge {
    Pair([String; 2]),
    Line(String),
}

impl Merge {
    fn parts(&self) -> Result<(&str, &str)> {
        match self {
            Self::Pair([left, right]) => Ok((left, right)),
            Self::Line(line) => line.split_once(' ').ok_or_else(|| refuse(format!("{line:?} is not a merge"))),
        }
    }
}

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
