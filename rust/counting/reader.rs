//! A thread's share of a pass: documents into words, which its front takes first.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::counting::cutter::Cutter;
use crate::counting::hash_tables::{Front, Sink};
use crate::counting::keys::PADDING;
use crate::error::{Error, Result};
use crate::text::bytes::are_text;
use crate::text::spaces::words_between_space;
use crate::threads::at_once;

/// Bytes of text that a thread takes at a time: enough to forget the taking, and little to wait for at the end.
const TASK: usize = 1 << 16;

/// Bytes of sections that a thread keeps room for: all but a document that is longer.
const SECTIONS: usize = 1 << 20;

/// What a thread works with.
#[derive(Default)]
pub(crate) struct Reader {
    pub(crate) front: Front,
    /// Sections of text with gaps between: cut all at once, however short they are.
    sections: Vec<u8>,
}

/// Take `documents` apart; a thread that is free takes the next of them, and its words go where it brings them. O(bytes).
///
/// Returns how many words stand between white space, which the words as they are cut do not tell; 0 where they are not
/// counted.
///
/// # Errors
/// If a document is no UTF-8, or cannot be cut; see [`Cutter::check`].
pub(crate) fn read<'a, S: Sink + Send>(
    readers: impl Iterator<Item = (&'a mut Reader, S)>,
    cutter: &Cutter,
    documents: &[&str],
) -> Result<u64> {
    let tasks = tasks(documents);
    let (next, broken) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = |(reader, mut to): (&mut Reader, S)| {
        let mut between_space = 0;
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !are_text(task.iter().copied(), &mut reader.sections) {
                broken.store(true, Ordering::Relaxed);
                break;
            }
            if !cutter.plain_sections(task, &mut reader.sections) {
                between_space += task.iter().map(|text| reader.document(cutter, text, &mut to)).sum::<i64>();
            }
            between_space += reader.words(cutter, &mut to);
        }
        between_space
    };
    let between_space = at_once(readers, work).into_iter().sum::<i64>().unsigned_abs();
    if broken.into_inner() {
        return Err(Error::Argument("a text is no UTF-8".into()));
    }
    cutter.check().map(|()| between_space)
}

/// Runs of documents of about [`TASK`] bytes.
pub(crate) fn tasks<'a, 'b>(documents: &'a [&'b str]) -> Vec<&'a [&'b str]> {
    let mut bytes = 0;
    let goes_on = |text: &&str, _: &&str| {
        bytes += text.len();
        let full = bytes >= TASK;
        if full {
            bytes = 0;
        }
        !full
    };
    documents.chunk_by(goes_on).collect()
}

impl Reader {
    /// Take a document apart; returns how many more words stand between white space in it than in its sections.
    fn document<S: Sink>(&mut self, cutter: &Cutter, text: &str, to: &mut S) -> i64 {
        let Self { front, sections } = self;
        let before = sections.len();
        if cutter.sections(text, sections, |token, _| front.push(&token.padded, 0, token.length, to)) {
            return 0;
        }
        between_space::<S>(text.as_bytes()) - between_space::<S>(&sections[before..])
    }

    /// The words of the sections; returns how many stand between white space.
    fn words<S: Sink>(&mut self, cutter: &Cutter, to: &mut S) -> i64 {
        let Self { front, sections } = self;
        to.take_singles(sections);
        let length = sections.len();
        let between_space = between_space::<S>(sections);
        sections.extend_from_slice(&[0; PADDING]);
        cutter.words(&sections[..length], |start, end| front.push(sections, start, end, to));
        sections.clear();
        sections.shrink_to(SECTIONS);
        between_space
    }
}

fn between_space<S: Sink>(text: &[u8]) -> i64 {
    if S::BETWEEN_SPACE { words_between_space(text).cast_signed() } else { 0 }
}
