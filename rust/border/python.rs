//! The border. Scalars, strings and Arrow columns come in, Arrow tables go out; the interpreter is let go round
//! all work; every error of `error.rs` becomes one kind of exception.

// A `#[pyfunction]` takes its arguments by value.
#![allow(clippy::needless_pass_by_value)]

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use pyo3::exceptions::{PyOSError, PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyChunkedArray, PyRecordBatch, PyTable};

use crate::border::arrow as table;
use crate::bpe::encode::Encoder;
use crate::bpe::model::Bpe;
use crate::bpe::segments::{Segmenter, Segments};
use crate::counting::counter::WordCounter;
use crate::counting::cutter::Cutter;
use crate::counting::spill;
use crate::counting::tokens::TokenCounter;
use crate::error::Error;
use crate::learning::learner::{Learner, Settings};
use crate::packing::packer::{Packer, Round};
use crate::reading::delimited::{self, Dialect};
use crate::reading::json;
use crate::reading::lines;
use crate::reading::paths::{Found, Lost, Paths, Step};
use crate::reading::seen::Seen;
use crate::text::compose::nfc as composed;
use crate::text::hangul::Kinds;

pyo3::create_exception!(kovocab._core, UnreadableTokenizer, PyValueError);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Argument(_) => PyValueError::new_err(error.to_string()),
            Error::Tokenizer(_) => UnreadableTokenizer::new_err(error.to_string()),
            Error::File(path, error) => match error.raw_os_error() {
                // With its number, so that it becomes the kind of OSError that Python has for it.
                Some(number) => PyOSError::new_err((number, error.to_string(), path)),
                None => PyOSError::new_err(format!("{}: {error}", path.display())),
            },
            Error::Overflow => PyOverflowError::new_err(error.to_string()),
        }
    }
}

/// Python aligns the memory of its objects to 16 bytes, whatever lies in them (`PyO3` #5714).
const _: () = {
    let most = [
        align_of::<PyBpe>(),
        align_of::<PyWordCounter>(),
        align_of::<PyTokenCounter>(),
        align_of::<PySortedWords>(),
        align_of::<PyLearner>(),
        align_of::<PySegmenter>(),
        align_of::<PySegments>(),
        align_of::<PyPacker>(),
        align_of::<PySeen>(),
        align_of::<PyJsonReader>(),
        align_of::<PyLineReader>(),
        align_of::<PyDelimitedReader>(),
    ];
    let mut at = 0;
    while at < most.len() {
        assert!(most[at] <= 16);
        at += 1;
    }
};

#[pyclass(frozen, module = "kovocab._core", name = "Bpe")]
struct PyBpe {
    bpe: Bpe,
    cutter: Cutter,
}

#[pymethods]
impl PyBpe {
    #[new]
    fn new(py: Python<'_>, json: &str) -> PyResult<Self> {
        Ok(py.detach(|| {
            let bpe = Bpe::from_json(json)?;
            let cutter = Cutter::new(&bpe)?;
            Ok::<_, Error>(Self { bpe, cutter })
        })?)
    }

    /// Where text is cut: before spaces, round newlines, where Hangul meets the rest.
    #[getter]
    fn cut(&self) -> (bool, bool, bool) {
        (self.bpe.cut.spaces, self.bpe.cut.newlines, self.bpe.cut.hangul)
    }
}

#[pyclass(module = "kovocab._core", name = "WordCounter")]
struct PyWordCounter(WordCounter);

#[pymethods]
impl PyWordCounter {
    #[new]
    fn new(threads: usize) -> Self {
        Self(WordCounter::new(threads))
    }

    /// Count the words of documents; returns how many stand between white space.
    fn update(&mut self, py: Python<'_>, bpe: &PyBpe, documents: PyChunkedArray) -> PyResult<u64> {
        Ok(py.detach(|| self.0.update(&bpe.cutter, &table::documents_of(documents.chunks())?))?)
    }

    fn add(&mut self, py: Python<'_>, words: PyChunkedArray, counts: PyChunkedArray) -> PyResult<()> {
        Ok(py.detach(|| self.0.add(&table::weighted(words.chunks(), counts.chunks())?))?)
    }

    /// Distinct words in memory, the bytes that they take, and those that they will take before long.
    fn size(&self) -> (usize, usize, usize) {
        let size = self.0.size();
        (size.words, size.memory, size.memory_soon)
    }

    fn spill(&mut self, py: Python<'_>, folder: PathBuf) -> PyResult<()> {
        Ok(py.detach(|| self.0.spill(&folder))?)
    }

    fn sorted(&mut self, py: Python<'_>) -> PyResult<PySortedWords> {
        Ok(PySortedWords(py.detach(|| Ok::<_, Error>(table::Ordered::new(self.0.sorted()?, self.0.threads())))?))
    }
}

/// Counts tokens of documents, or of words, which all have to be of one tokenizer.
#[pyclass(module = "kovocab._core", name = "TokenCounter")]
struct PyTokenCounter(TokenCounter);

#[pymethods]
impl PyTokenCounter {
    #[new]
    fn new(threads: usize) -> Self {
        Self(TokenCounter::new(threads))
    }

    /// Count the tokens of documents.
    fn update(&mut self, py: Python<'_>, bpe: &PyBpe, documents: PyChunkedArray) -> PyResult<()> {
        let encoder = Encoder::new(&bpe.bpe);
        Ok(py.detach(|| self.0.update(&encoder, &bpe.cutter, &table::documents_of(documents.chunks())?))?)
    }

    fn add(&mut self, py: Python<'_>, bpe: &PyBpe, words: PyChunkedArray, counts: PyChunkedArray) -> PyResult<()> {
        let encoder = Encoder::new(&bpe.bpe);
        Ok(py.detach(|| table::weighted(words.chunks(), counts.chunks()).map(|words| self.0.add(&encoder, &words)))?)
    }

    /// Distinct fragments in memory, the bytes that they take, and those that they will take before long.
    fn size(&self) -> (usize, usize, usize) {
        let size = self.0.size();
        (size.words, size.memory, size.memory_soon)
    }

    /// Encode what is in memory and forget it.
    fn spill(&mut self, py: Python<'_>, bpe: &PyBpe) -> PyResult<()> {
        Ok(py.detach(|| self.0.spill(&Encoder::new(&bpe.bpe)))?)
    }

    fn counts(&mut self, py: Python<'_>, bpe: &PyBpe) -> PyResult<PyRecordBatch> {
        let counts = py.detach(|| self.0.counts(&Encoder::new(&bpe.bpe)))?;
        Ok(table::token_counts(counts)?.into())
    }
}

#[pyclass(module = "kovocab._core", name = "SortedWords")]
struct PySortedWords(table::Ordered);

#[pymethods]
impl PySortedWords {
    /// The words of the parts in a folder that `sort_parts` has seen.
    #[staticmethod]
    fn read(folder: PathBuf) -> PyResult<Self> {
        Ok(Self(table::Ordered::new(spill::read_sorted(&folder)?, 1)))
    }

    /// Distinct words, and words, where they are in memory.
    fn totals(&self) -> (u64, u64) {
        self.0.totals()
    }

    /// The next words, at most `limit` of them; None after the last.
    fn take(&mut self, py: Python<'_>, limit: usize) -> PyResult<Option<PyTable>> {
        let tables = py.detach(|| self.0.take(limit))?;
        let schema = tables.first().map(RecordBatch::schema);
        schema.map(|schema| PyTable::try_new(tables, schema)).transpose()
    }
}

#[pyfunction]
fn sort_parts(py: Python<'_>, folder: PathBuf, threads: usize) -> PyResult<(u64, u64)> {
    Ok(py.detach(|| spill::sort_parts(&folder, threads))?)
}

/// Learns BPE tokens from words and their counts, which it asks for several times.
#[pyclass(module = "kovocab._core", name = "Learner")]
struct PyLearner(Learner);

#[pymethods]
impl PyLearner {
    #[new]
    #[pyo3(signature = (first, characters, *, vocab_size, min_count, threads, memory))]
    fn new(
        first: PyChunkedArray,
        characters: String,
        vocab_size: usize,
        min_count: u64,
        threads: usize,
        memory: usize,
    ) -> PyResult<Self> {
        let first = table::texts(first.chunks())?.into_iter().map(String::from).collect();
        Ok(Self(Learner::new(Settings { first, characters, vocab_size, min_count, threads, memory })))
    }

    /// Whether all words are wanted, from the first on.
    fn again(&mut self, py: Python<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.0.again())?)
    }

    fn feed(&mut self, py: Python<'_>, words: PyChunkedArray, counts: PyChunkedArray) -> PyResult<()> {
        Ok(py.detach(|| self.0.feed(&table::weighted(words.chunks(), counts.chunks())?))?)
    }

    fn learned(&self, py: Python<'_>) -> PyResult<PyRecordBatch> {
        Ok(py.detach(|| table::learned(self.0.learned()).map(PyRecordBatch::from))?)
    }
}

/// Hangul characters; of them conjoining jamo, halfwidth and other ones that no token holds; private-use characters.
#[pyfunction]
fn count_hangul(py: Python<'_>, words: PyChunkedArray, counts: PyChunkedArray, threads: usize) -> PyResult<[u128; 5]> {
    let kinds = py.detach(|| table::of_weighted(words.chunks(), counts.chunks(), threads, Kinds::of))?;
    let kinds: Kinds = kinds.into_iter().sum();
    Ok([kinds.all, kinds.conjoining, kinds.halfwidth, kinds.other, kinds.private_use])
}

/// Words on their way to segments: they come some at a time.
#[pyclass(module = "kovocab._core", name = "Segmenter")]
struct PySegmenter {
    bpe: Py<PyBpe>,
    /// None once it has given its segments.
    segmenter: Option<Segmenter>,
}

#[pymethods]
impl PySegmenter {
    /// `characters` are all that the words may hold, as the tokenizer writes them; any, where there are none.
    #[new]
    fn new(py: Python<'_>, bpe: Py<PyBpe>, characters: &str, threads: usize) -> PyResult<Self> {
        let segmenter = py.detach(|| Segmenter::new(&bpe.get().bpe, characters, threads))?;
        Ok(Self { bpe, segmenter: Some(segmenter) })
    }

    fn feed(&mut self, py: Python<'_>, words: PyChunkedArray, counts: PyChunkedArray) -> PyResult<()> {
        let bpe = &self.bpe.get().bpe;
        let segmenter = self.segmenter.as_mut().ok_or_else(given)?;
        Ok(py.detach(|| segmenter.feed(bpe, &table::weighted(words.chunks(), counts.chunks())?))?)
    }

    fn segments(&mut self, py: Python<'_>) -> PyResult<PySegments> {
        let bpe = &self.bpe.get().bpe;
        let segmenter = self.segmenter.take().ok_or_else(given)?;
        Ok(PySegments(py.detach(|| segmenter.segments(bpe))?))
    }
}

fn given() -> Error {
    Error::Argument("the segments were given already".into())
}

#[pyclass(module = "kovocab._core", name = "Segments")]
struct PySegments(Segments);

#[pymethods]
impl PySegments {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Another that goes its own way from here.
    fn copy(&self, py: Python<'_>) -> Self {
        Self(py.detach(|| self.0.clone()))
    }

    /// How many tokens more the words are without each of `sets` sets; which `ids` are in which of them.
    fn prices(
        &self,
        py: Python<'_>,
        sets: usize,
        sets_of: PyChunkedArray,
        ids: PyChunkedArray,
    ) -> PyResult<PyRecordBatch> {
        Ok(py.detach(|| {
            let prices = self.0.prices(sets, &table::ids(sets_of.chunks())?, &table::ids(ids.chunks())?)?;
            table::prices(prices).map(PyRecordBatch::from)
        })?)
    }

    /// Take out `drop`, put back the characters `add`; returns how many segments were encoded again.
    fn change(&mut self, py: Python<'_>, drop: PyChunkedArray, add: PyChunkedArray) -> PyResult<usize> {
        Ok(py.detach(|| self.0.change(&table::ids(drop.chunks())?, &table::ids(add.chunks())?))?)
    }

    fn count_tokens(&self, py: Python<'_>) -> PyResult<PyRecordBatch> {
        Ok(py.detach(|| table::token_counts(self.0.counts()).map(PyRecordBatch::from))?)
    }
}

#[pyclass(module = "kovocab._core", name = "Packer")]
struct PyPacker {
    bpe: Py<PyBpe>,
    packer: Ids,
}

/// By how many bytes an id has.
enum Ids {
    Two(Packer<u16>),
    Four(Packer<u32>),
}

#[pymethods]
impl PyPacker {
    #[new]
    #[pyo3(signature = (bpe, threads, memory, *, wide, before, behind, last, sought, special_as_text))]
    #[allow(clippy::too_many_arguments)] // of a Python function, which has names for them
    fn new(
        bpe: Py<PyBpe>,
        threads: usize,
        memory: usize,
        wide: bool,
        before: PyChunkedArray,
        behind: PyChunkedArray,
        last: Option<u32>,
        sought: PyChunkedArray,
        special_as_text: bool,
    ) -> PyResult<Self> {
        let round = Round {
            before: table::ids(before.chunks())?,
            behind: table::ids(behind.chunks())?,
            last,
            sought: table::texts(sought.chunks())?.into_iter().map(String::from).collect(),
            special_as_text,
        };
        let of = &bpe.get().bpe;
        let packer = if wide {
            Ids::Four(Packer::new(of, round, threads, memory)?)
        } else {
            Ids::Two(Packer::new(of, round, threads, memory)?)
        };
        Ok(Self { bpe, packer })
    }

    /// The ids of documents one after another, what is known of each document, and how many hold what is sought.
    fn pack(&mut self, py: Python<'_>, documents: PyChunkedArray) -> PyResult<(PyArray, PyRecordBatch, u64)> {
        let bpe = &self.bpe.get().bpe;
        let (ids, of_documents, found) = py.detach(|| {
            let texts = table::texts(documents.chunks())?;
            match &mut self.packer {
                Ids::Two(packer) => table::narrow(packer.pack(bpe, &texts)?),
                Ids::Four(packer) => table::wide(packer.pack(bpe, &texts)?),
            }
        })?;
        Ok((PyArray::from_array_ref(ids), of_documents.into(), found))
    }
}

/// The texts in NFC; nothing where all are.
#[pyfunction]
fn nfc(py: Python<'_>, texts: PyChunkedArray) -> PyResult<Option<PyRecordBatch>> {
    Ok(py.detach(|| {
        let found: Vec<_> = table::texts(texts.chunks())?.into_iter().map(composed).collect();
        let any = found.iter().any(|text| matches!(text, Cow::Owned(_)));
        any.then(|| table::documents(&found).map(PyRecordBatch::from)).transpose()
    })?)
}

/// The documents that were seen.
#[pyclass(module = "kovocab._core", name = "Seen")]
struct PySeen(Seen);

#[pymethods]
impl PySeen {
    #[new]
    fn new() -> Self {
        Self(Seen::default())
    }

    /// `first: bool`, of each text.
    fn first(&mut self, py: Python<'_>, texts: PyChunkedArray) -> PyResult<PyRecordBatch> {
        Ok(py.detach(|| table::flags(self.0.first(&table::texts(texts.chunks())?)).map(PyRecordBatch::from))?)
    }

    fn size(&self) -> (usize, usize) {
        self.0.size()
    }

    fn take_new(&mut self) -> Cow<'static, [u8]> {
        Cow::Owned(self.0.take_new())
    }

    fn add(&mut self, py: Python<'_>, kept: &[u8]) {
        py.detach(|| self.0.add(kept));
    }
}

/// Rows of texts, and what stood in place of others: line and reason.
type Batch = PyResult<(PyRecordBatch, Vec<Lost>)>;

fn batch(names: &[String], found: Found) -> Batch {
    Ok((table::rows(names, &found.columns)?.into(), found.lost))
}

fn paths_of(names: Vec<String>, paths: Vec<Vec<String>>, filled: bool) -> PyResult<Arc<Paths>> {
    let paths: Vec<Vec<Step>> = paths.into_iter().map(|path| path.into_iter().map(Step::from).collect()).collect();
    Ok(Arc::new(Paths::new(names, &paths, filled)?))
}

/// The rows at paths in a block of lines of JSON.
#[pyfunction]
fn json_lines(
    py: Python<'_>,
    block: &[u8],
    first: u64,
    names: Vec<String>,
    paths: Vec<Vec<String>>,
    filled: bool,
) -> Batch {
    let paths = paths_of(names, paths, filled)?;
    py.detach(|| batch(&paths.names, json::lines(block, first, &paths)))
}

/// The rows at paths in JSON that comes piece by piece.
#[pyclass(module = "kovocab._core", name = "JsonReader")]
struct PyJsonReader(json::Reader);

#[pymethods]
impl PyJsonReader {
    #[new]
    fn new(names: Vec<String>, paths: Vec<Vec<String>>, filled: bool) -> PyResult<Self> {
        Ok(Self(json::Reader::new(paths_of(names, paths, filled)?)))
    }

    /// Whether so much was found that it is worth taking.
    fn feed(&mut self, py: Python<'_>, piece: &[u8]) -> bool {
        py.detach(|| self.0.feed(piece))
    }

    fn end(&mut self, py: Python<'_>) {
        py.detach(|| self.0.end());
    }

    fn take(&mut self, py: Python<'_>) -> Batch {
        py.detach(|| {
            let found = self.0.take();
            batch(self.0.names(), found)
        })
    }

    /// Where it is broken, if it is: line, character, reason.
    #[getter]
    fn broken(&self) -> Option<json::Broken> {
        self.0.broken().cloned()
    }
}

/// Documents; behind them the number of a line, and what is to be read in another way from there on.
type PyLines = (PyRecordBatch, u64, Cow<'static, [u8]>);

/// A file of lines, compressed or not, as texts.
#[pyclass(frozen, module = "kovocab._core", name = "LineReader")]
struct PyLineReader(Mutex<lines::Reader>);

#[pymethods]
impl PyLineReader {
    #[new]
    fn new(path: PathBuf, compression: &str, key: Option<String>, most: usize) -> PyResult<Self> {
        Ok(Self(Mutex::new(lines::Reader::new(&path, compression, key, most)?)))
    }

    /// The next part of the file; None behind the last.
    fn take(&self, py: Python<'_>) -> PyResult<Option<PyLines>> {
        let part = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        part.map(|part| Ok((table::views(part.texts)?.into(), part.others.0, part.others.1.into()))).transpose()
    }

    /// Whether all of the file was read.
    #[getter]
    fn whole(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).whole())
    }
}

/// The columns of `.csv` and `.tsv`, which come in blocks of whole lines.
#[pyclass(module = "kovocab._core", name = "DelimitedReader")]
struct PyDelimitedReader {
    columns: Vec<String>,
    reader: delimited::Reader,
}

#[pymethods]
impl PyDelimitedReader {
    #[new]
    #[pyo3(signature = (columns, filled, *, separator, literal, most))]
    fn new(columns: Vec<String>, filled: bool, separator: char, literal: bool, most: usize) -> PyResult<Self> {
        let separator = u8::try_from(separator).map_err(|error| Error::Argument(error.to_string()))?;
        let reader = delimited::Reader::new(columns.clone(), filled, Dialect { separator, literal, most });
        Ok(Self { columns, reader })
    }

    fn feed(&mut self, py: Python<'_>, block: &[u8]) -> Batch {
        py.detach(|| batch(&self.columns, self.reader.feed(block)))
    }

    fn end(&mut self, py: Python<'_>) -> Batch {
        py.detach(|| batch(&self.columns, self.reader.end()))
    }

    /// Why there is no table, if so: line, or 0, and reason.
    #[getter]
    fn broken(&self) -> Option<delimited::Broken> {
        self.reader.broken().cloned()
    }
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("build_profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    module.add("UnreadableTokenizer", module.py().get_type::<UnreadableTokenizer>())?;
    module.add_class::<PyBpe>()?;
    module.add_class::<PyWordCounter>()?;
    module.add_class::<PyTokenCounter>()?;
    module.add_class::<PySortedWords>()?;
    module.add_function(wrap_pyfunction!(sort_parts, module)?)?;
    module.add_function(wrap_pyfunction!(count_hangul, module)?)?;
    module.add_class::<PySegmenter>()?;
    module.add_class::<PySegments>()?;
    module.add_class::<PyPacker>()?;
    module.add_class::<PySeen>()?;
    module.add_function(wrap_pyfunction!(nfc, module)?)?;
    module.add_function(wrap_pyfunction!(json_lines, module)?)?;
    module.add_class::<PyJsonReader>()?;
    module.add_class::<PyDelimitedReader>()?;
    module.add_class::<PyLineReader>()?;
    module.add_class::<PyLearner>()
}
