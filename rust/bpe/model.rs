//! A `tokenizer.json` made into the tables that cutting and encoding need.

use std::sync::{LazyLock, OnceLock};

use rustc_hash::FxHashMap;

use crate::bpe::neighbours::{Borders, Neighbours};
use crate::bpe::pairs::{NONE, Pairs};
use crate::bpe::syllables::Syllables;
use crate::bpe::tokenizer_json::{Added, Merge, Style, Text, TokenizerJson, refuse};
use crate::error::Result;
use crate::text::notation::turn;
use crate::text::words::{Cut, SPACE};

/// A BPE model: symbols to ids, pairs to ranks, ranks to ids.
pub struct Bpe {
    /// One more than the highest id.
    pub size: usize,
    /// Special and other added tokens.
    pub added: Vec<Added>,
    /// What happens to text before it is merged.
    pub style: Style,
    /// The places that no entry spans, in the text of a SentencePiece-style tokenizer.
    pub cut: Cut,
    /// Id of each byte: of its fallback token, or of the symbol that it is.
    pub bytes: Vec<u32>,
    /// Words that are not merged, being tokens as a whole; see `ignore_merges`.
    pub whole: FxHashMap<Vec<u8>, u32>,
    /// Id of the token that a merge makes, by rank.
    pub merged: Vec<u32>,
    /// Ids of the two tokens that a merge joins, by rank.
    pub parts: Vec<(u32, u32)>,
    /// The token that a merge makes, by rank; of a byte-level tokenizer a byte is the character that stands for it.
    pub entries: Vec<String>,
    /// Rank of each pair of ids.
    pub ranks: Pairs,
    /// Of a byte-level tokenizer, the syllables that need not be merged of bytes.
    pub(crate) syllables: Syllables,
    neighbours: Neighbours,
    /// What cutting words into fragments needs, once it was asked for.
    pub(super) fragments: OnceLock<Divided>,
    /// Ids of the tokens that are one character each, by code: up to 2^16 in a row, and the others.
    plane: Vec<u32>,
    beyond: FxHashMap<u32, u32>,
}

/// Where words may be cut into fragments.
pub(super) struct Divided {
    /// Which characters may merge.
    pub(super) borders: Borders,
    /// Of the words that are taken whole, those that merges do not make.
    pub(super) unmade: FxHashMap<Vec<u8>, u32>,
    /// Whether no Hangul merges with anything, so that it may be taken out of text before that is cut into words.
    pub(super) hangul_is_single: bool,
}

impl Bpe {
    /// Read `tokenizer.json`.
    ///
    /// # Errors
    /// If it is not one, or is of a kind that the engine does not reproduce; says which part.
    pub fn from_json(json: &str) -> Result<Self> {
        let TokenizerJson { vocab, merges, added, style, whole_words } = TokenizerJson::read(json)?;
        let size = vocab.values().chain(added.iter().map(|token| &token.id)).max().map_or(0, |&id| id as usize + 1);
        let byte_level = matches!(style, Style::ByteLevel { .. });
        let spelled = |byte: u8| if byte_level { symbol(byte).to_string() } else { format!("<0x{byte:02X}>") };
        let bytes = (0..=u8::MAX)
            .map(|byte| vocab.get(spelled(byte).as_str()).copied())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| refuse("its vocabulary lacks some of the 256 byte tokens"))?;
        // A token that is spelled in other characters than bytes are is no word.
        let word = |(token, id): (&Text<'_>, &u32)| Some((text(&token.0)?, *id));
        let whole = if whole_words { vocab.iter().filter_map(word).collect() } else { FxHashMap::default() };

        if size > Pairs::MOST || merges.len() > Pairs::MOST {
            return Err(refuse(format!("it has more than {} tokens or merges", Pairs::MOST)));
        }
        let mut merged = Vec::with_capacity(merges.len());
        let mut parts = Vec::with_capacity(merges.len());
        let mut entries = Vec::with_capacity(merges.len());
        let mut ranks = Pairs::with_capacity(merges.len());
        for Merge(Text(left), Text(right)) in &merges {
            let entry = format!("{left}{right}");
            let id = |token: &str| {
                let found = vocab.get(token).copied();
                found
                    .ok_or_else(|| refuse(format!("the merge {left:?} + {right:?} needs {token:?}, which is no token")))
            };
            let pair = (id(left)?, id(right)?);
            if !byte_level && (bytes.contains(&pair.0) || bytes.contains(&pair.1)) {
                // Such an entry spans characters that its text does not show, so that the cut could not be checked.
                return Err(refuse(format!("the merge {left:?} + {right:?} joins a byte token")));
            }
            ranks.insert(pair.0, pair.1, rank(merged.len())?);
            merged.push(id(&entry)?);
            parts.push(pair);
            entries.push(entry);
        }
        let (plane, beyond) = characters(&vocab);
        let cut = if byte_level { Cut::ALL } else { Cut::check(entries.iter().map(String::as_str)) };
        let (neighbours, syllables) = if byte_level {
            let texts: Vec<_> = entries.iter().map(|entry| text(entry).unwrap_or_default()).collect();
            let bytes_of = texts.iter().map(|text| text.iter().map(|byte| u32::from(*byte)));
            (Neighbours::of(bytes_of), Syllables::of(&bytes, &parts, &merged, &texts, &ranks))
        } else {
            (Neighbours::of(entries.iter().map(|entry| entry.chars().map(u32::from))), Syllables::default())
        };
        Ok(Self {
            size,
            added,
            style,
            cut,
            bytes,
            whole,
            merged,
            parts,
            entries,
            ranks,
            syllables,
            neighbours,
            fragments: OnceLock::new(),
            plane,
            beyond,
        })
    }

    /// Id of the token that is this one character, or [`NONE`].
    #[must_use]
    #[inline]
    pub fn char_id(&self, c: char) -> u32 {
        self.code_id(c.into())
    }

    /// [`Bpe::char_id`], by the character's code.
    #[inline]
    pub(crate) fn code_id(&self, code: u32) -> u32 {
        match self.plane.get(code as usize) {
            Some(&id) => id,
            None => self.beyond.get(&code).copied().unwrap_or(NONE),
        }
    }

    /// Whether an entry may have two characters side by side, by their codes, of a byte-level tokenizer two bytes: else
    /// nothing merges across them.
    #[inline]
    pub(crate) fn are_neighbours(&self, left: u32, right: u32) -> bool {
        self.neighbours.may_have(left, right)
    }

    /// Append the symbols of `word`, written as words are outside the engine, to `atoms`: [`NONE`] for a character that
    /// is no token, which is then handed to `spelled`.
    pub(crate) fn atoms(&self, word: &str, turned: &mut Vec<u8>, atoms: &mut Vec<u32>, mut spelled: impl FnMut(char)) {
        if matches!(self.style, Style::ByteLevel { .. }) {
            turned.clear();
            turn(word.as_bytes(), turned);
            atoms.extend(turned.iter().map(|byte| self.bytes[usize::from(*byte)]));
            return;
        }
        for c in word.chars().map(|c| if c == ' ' { SPACE } else { c }) {
            let id = self.char_id(c);
            if id == NONE {
                spelled(c);
            }
            atoms.push(id);
        }
    }

    /// Ids of the byte tokens that spell a character.
    pub(crate) fn spell(&self, c: char) -> Vec<u32> {
        c.encode_utf8(&mut [0; 4]).bytes().map(|byte| self.bytes[usize::from(byte)]).collect()
    }

    /// The tokens that are one character each and may be missing, in no order: of a byte-level tokenizer none.
    pub fn characters(&self) -> impl Iterator<Item = (char, u32)> {
        let some = matches!(self.style, Style::SentencePiece(_));
        let plane = (0..).zip(&self.plane).filter(|(_, id)| **id != NONE);
        let all = plane.chain(self.beyond.iter().map(|(&code, id)| (code, id)));
        all.filter(move |_| some).filter_map(|(code, &id)| char::from_u32(code).map(|c| (c, id)))
    }
}

/// The character that a byte-level tokenizer writes a byte as: itself if it is printable, and else one from U+0100 on.
pub(crate) fn symbol(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..);
    if printable(byte) {
        return byte.into();
    }
    let number = (0..byte).filter(|byte| !printable(*byte)).count();
    (0x100..).nth(number).and_then(char::from_u32).unwrap_or_default()
}

/// The bytes of a token as a byte-level tokenizer writes it; nothing if it is not written so.
pub(super) fn text(token: &str) -> Option<Vec<u8>> {
    // By code, from U+0021 to U+0143.
    static BYTES: LazyLock<Vec<Option<u8>>> = LazyLock::new(|| {
        let mut bytes = vec![None; 0x144];
        (0..=u8::MAX).for_each(|byte| bytes[symbol(byte) as usize] = Some(byte));
        bytes
    });
    token.chars().map(|c| BYTES.get(c as usize).copied().flatten()).collect()
}

/// The tokens that are one character each, by code: up to 2^16 in a row, and the others.
fn characters(vocab: &FxHashMap<Text<'_>, u32>) -> (Vec<u32>, FxHashMap<u32, u32>) {
    let mut plane = vec![NONE; 1 << 16];
    let mut beyond = FxHashMap::default();
    for (token, &id) in vocab {
        let mut chars = token.0.chars();
        if let (Some(c), None) = (chars.next(), chars.next()) {
            match plane.get_mut(c as usize) {
                Some(slot) => *slot = id,
                None => _ = beyond.insert(u32::from(c), id),
            }
        }
    }
    (plane, beyond)
}

fn rank(index: usize) -> Result<u32> {
    u32::try_from(index).map_err(|_| refuse("it has more than 2^32 merges"))
}
