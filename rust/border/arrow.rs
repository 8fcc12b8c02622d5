//! Columns in and out, as Arrow: the only currency at the border.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::builder::{StringViewBuilder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Int64Array, PrimitiveArray, RecordBatch, StringViewArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};

use crate::counting::merge::Merge;
use crate::counting::sorted::Sorted;
use crate::error::{Error, Result};
use crate::learning::learner::Learned;
use crate::packing::packer::Packed;
use crate::text::bytes::{are_text, is_text};
use crate::threads::each;

/// The texts of a string column, which may come in chunks.
///
/// # Errors
/// If it is not a string column, or a row is null or no UTF-8 (named by its number, from 0).
pub fn texts(chunks: &[ArrayRef]) -> Result<Vec<&str>> {
    let found = documents_of(chunks)?;
    all_texts(0, found.iter().copied())?;
    Ok(found)
}

/// Check that `texts` are UTF-8, of which the first is row `first` to whoever has them.
fn all_texts<'a>(first: usize, mut texts: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
    if are_text(texts.clone(), &mut Vec::new()) {
        return Ok(());
    }
    let row = first + texts.position(|text| !is_text(text)).unwrap_or_default();
    Err(Error::Argument(format!("row {row} is no UTF-8")))
}

/// [`texts`], of which it is not known that they are UTF-8: who counts documents looks at them with [`are_text`], each
/// thread at those that it takes.
///
/// # Errors
/// If it is not a string column, or a row is null.
pub fn documents_of(chunks: &[ArrayRef]) -> Result<Vec<&str>> {
    let mut found = Vec::with_capacity(length(chunks));
    each_text(0, chunks, |text| found.push(text))?;
    Ok(found)
}

fn each_text<'a>(first: usize, chunks: &'a [ArrayRef], mut found: impl FnMut(&'a str)) -> Result<()> {
    let mut before = first;
    for chunk in chunks {
        no_nulls(chunk, before)?;
        before += chunk.len();
        match chunk.data_type() {
            DataType::Utf8View => chunk.as_string_view().iter().flatten().for_each(&mut found),
            DataType::LargeUtf8 => chunk.as_string::<i64>().iter().flatten().for_each(&mut found),
            DataType::Utf8 => chunk.as_string::<i32>().iter().flatten().for_each(&mut found),
            other => return Err(Error::Argument(format!("wanted a column of strings, not of {other}"))),
        }
    }
    Ok(())
}

fn length(chunks: &[ArrayRef]) -> usize {
    chunks.iter().map(Array::len).sum()
}

/// Words and their counts, row by row.
///
/// # Errors
/// If the columns are not strings and `u64`, differ in length, or hold a null or what is no UTF-8.
pub fn weighted<'a>(words: &'a [ArrayRef], counts: &[ArrayRef]) -> Result<Vec<(&'a str, u64)>> {
    rows_of(words, counts)?;
    weighted_from(0, words, counts)
}

/// What `work` makes of [`weighted`], some rows at a time, by `threads` threads.
///
/// # Errors
/// As [`weighted`].
pub fn of_weighted<T: Send>(
    words: &[ArrayRef],
    counts: &[ArrayRef],
    threads: usize,
    work: impl Fn(&[(&str, u64)]) -> T + Sync,
) -> Result<Vec<T>> {
    let rows = rows_of(words, counts)?;
    each(rows.div_ceil(ROWS), threads, |at| {
        let (from, to) = (at * ROWS, rows.min((at + 1) * ROWS));
        weighted_from(from, &slice(words, from, to), &slice(counts, from, to)).map(|found| work(&found))
    })
}

/// How many rows two columns have.
fn rows_of(words: &[ArrayRef], counts: &[ArrayRef]) -> Result<usize> {
    let [rows, others] = [words, counts].map(length);
    if rows == others { Ok(rows) } else { Err(Error::Argument(format!("{rows} words but {others} counts"))) }
}

/// Rows that a thread takes at a time.
const ROWS: usize = 1 << 15;

/// The rows of `chunks` from `from` to before `to`.
fn slice(chunks: &[ArrayRef], from: usize, to: usize) -> Vec<ArrayRef> {
    let mut before = 0;
    let part = |chunk: &ArrayRef| {
        let [begin, end] = [from, to].map(|row| row.saturating_sub(before).min(chunk.len()));
        before += chunk.len();
        (begin < end).then(|| chunk.slice(begin, end - begin))
    };
    chunks.iter().filter_map(part).collect()
}

fn weighted_from<'a>(first: usize, words: &'a [ArrayRef], counts: &[ArrayRef]) -> Result<Vec<(&'a str, u64)>> {
    let mut found = Vec::with_capacity(length(words));
    each_text(first, words, |word| found.push((word, 0)))?;
    all_texts(first, found.iter().map(|(word, _)| *word))?;
    let numbers = numbers::<UInt64Type>(first, counts, "u64 counts")?;
    found.iter_mut().zip(numbers).for_each(|((_, count), number)| *count = number);
    Ok(found)
}

/// The token ids of a column.
///
/// # Errors
/// If it is not a column of `u32`, or holds a null.
pub fn ids(chunks: &[ArrayRef]) -> Result<Vec<u32>> {
    numbers::<UInt32Type>(0, chunks, "u32 ids")
}

fn numbers<T: ArrowPrimitiveType>(first: usize, chunks: &[ArrayRef], kind: &str) -> Result<Vec<T::Native>> {
    let mut found = Vec::with_capacity(length(chunks));
    for chunk in chunks {
        no_nulls(chunk, first + found.len())?;
        let column = chunk.as_primitive_opt::<T>();
        let wanted = || Error::Argument(format!("wanted a column of {kind}, not of {}", chunk.data_type()));
        found.extend_from_slice(column.ok_or_else(wanted)?.values());
    }
    Ok(found)
}

fn no_nulls(chunk: &ArrayRef, before: usize) -> Result<()> {
    let none = chunk.null_count() == 0;
    match (0..chunk.len()).find(|&row| !none && chunk.is_null(row)) {
        Some(row) => Err(Error::Argument(format!("row {} is null", before + row))),
        None => Ok(()),
    }
}

/// Words in order as tables, which threads make side by side.
pub struct Ordered {
    sorted: Sorted,
    threads: usize,
    /// Tables that nobody has taken yet.
    ready: VecDeque<RecordBatch>,
}

impl Ordered {
    /// Of `sorted`, by `threads` threads where it is in memory.
    #[must_use]
    pub fn new(sorted: Sorted, threads: usize) -> Self {
        Self { sorted, threads, ready: VecDeque::new() }
    }

    /// As [`Sorted::totals`].
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        self.sorted.totals()
    }

    /// `word: string, count: u64`: the next words, at most `limit` of them, in one table or more; none after the last.
    ///
    /// # Errors
    /// If a file that they are in cannot be read.
    pub fn take(&mut self, limit: usize) -> Result<Vec<RecordBatch>> {
        let (mut taken, mut left) = (Vec::new(), limit);
        while left > 0 {
            if self.ready.is_empty() {
                let made = self.sorted.ranges(left, self.threads, word_counts)?;
                self.ready.extend(made.into_iter().filter(|table| table.num_rows() > 0));
            }
            let Some(table) = self.ready.pop_front() else { break };
            let rows = table.num_rows().min(left);
            if rows < table.num_rows() {
                self.ready.push_front(table.slice(rows, table.num_rows() - rows));
            }
            taken.push(table.slice(0, rows));
            left -= rows;
        }
        Ok(taken)
    }
}

fn word_counts(words: &mut Merge, limit: usize) -> Result<RecordBatch> {
    let (mut texts, mut counts) = (StringViewBuilder::new(), UInt64Builder::new());
    words.take(limit, |word, count| {
        texts.append_value(word);
        counts.append_value(count);
    })?;
    table([("word", Arc::new(texts.finish())), ("count", Arc::new(counts.finish()))])
}

/// `id: u32, count: u64`, a row for each id.
///
/// # Errors
/// If there are more than 2^32 ids.
pub fn token_counts(counts: Vec<u64>) -> Result<RecordBatch> {
    let size = u32::try_from(counts.len()).map_err(|_| Error::Argument("more than 2^32 ids".into()))?;
    table([("id", Arc::new(UInt32Array::from_iter_values(0..size))), ("count", u64s(counts))])
}

/// `price: i64`.
///
/// # Errors
/// None that the caller can cause.
pub fn prices(values: Vec<i64>) -> Result<RecordBatch> {
    table([("price", Arc::new(Int64Array::from(values)))])
}

/// `token: string, left: string?, right: string?, count: u64`, in the order of training.
///
/// # Errors
/// None that the caller can cause: the columns are of one length.
pub fn learned(tokens: &[Learned]) -> Result<RecordBatch> {
    let part = |of: fn(&(String, String)) -> &String| {
        strings(tokens.iter().map(|token| token.parts.as_ref().map(|parts| of(parts).as_str())))
    };
    table([
        ("token", strings(tokens.iter().map(|token| Some(token.token.as_str())))),
        ("left", part(|parts| &parts.0)),
        ("right", part(|parts| &parts.1)),
        ("count", u64s(tokens.iter().map(|token| token.count))),
    ])
}

/// Ids of two bytes each, `end, text_tokens, hash, words, bytes: u64` of each document, and how many hold what is sought.
///
/// # Errors
/// None that the caller can cause.
pub fn narrow(packed: Packed<u16>) -> Result<(ArrayRef, RecordBatch, u64)> {
    packed_as::<UInt16Type>(packed)
}

/// [`narrow`], with ids of four bytes.
///
/// # Errors
/// None that the caller can cause.
pub fn wide(packed: Packed<u32>) -> Result<(ArrayRef, RecordBatch, u64)> {
    packed_as::<UInt32Type>(packed)
}

fn packed_as<T: ArrowPrimitiveType>(packed: Packed<T::Native>) -> Result<(ArrayRef, RecordBatch, u64)> {
    let Packed { ids, ends, text_tokens, hashes, words, bytes, found } = packed;
    let columns = [("end", ends), ("text_tokens", text_tokens), ("hash", hashes), ("words", words), ("bytes", bytes)];
    let of = |values: Vec<u64>| -> ArrayRef { Arc::new(UInt64Array::new(values.into(), None)) };
    let documents = table(columns.map(|(name, values)| (name, of(values))))?;
    Ok((Arc::new(PrimitiveArray::<T>::new(ids.into(), None)), documents, found))
}

/// `text: string`.
///
/// # Errors
/// None that the caller can cause.
pub fn documents<T: AsRef<str>>(texts: &[T]) -> Result<RecordBatch> {
    table([("text", strings(texts.iter().map(|text| Some(text.as_ref()))))])
}

/// `text: string`, of texts that are a column already.
///
/// # Errors
/// None that the caller can cause.
pub fn views(texts: StringViewArray) -> Result<RecordBatch> {
    table([("text", Arc::new(texts))])
}

/// A column of strings for each name.
///
/// # Errors
/// None that the caller can cause: the columns are of one length.
pub fn rows(names: &[String], columns: &[Vec<String>]) -> Result<RecordBatch> {
    let column = |texts: &Vec<String>| strings(texts.iter().map(|text| Some(text.as_str())));
    RecordBatch::try_from_iter(names.iter().zip(columns.iter().map(column))).map_err(|e| Error::Argument(e.to_string()))
}

/// `first: bool`.
///
/// # Errors
/// None that the caller can cause.
pub fn flags(values: Vec<bool>) -> Result<RecordBatch> {
    table([("first", Arc::new(BooleanArray::from(values)))])
}

fn strings<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut builder = StringViewBuilder::new();
    values.for_each(|value| builder.append_option(value));
    let array: StringViewArray = builder.finish();
    Arc::new(array)
}

fn u64s(values: impl IntoIterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(values))
}

fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch> {
    let nullable = |name: &str| name == "left" || name == "right";
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), nullable(name));
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(schema), columns).map_err(|e| Error::Argument(e.to_string()))
}
