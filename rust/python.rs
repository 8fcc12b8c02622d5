//! The border. Scalars, strings and Arrow columns come in, Arrow tables go out; the interpreter is let go round
//! all work; every error of `error.rs` becomes one kind of exception.

// A `#[pyfunction]` takes its arguments by value.
#![allow(clippy::needless_pass_by_value)]

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::prelude::*;
use pyo3_arrow::{PyChunkedArray, PyRecordBatch};

use crate::bpe::Bpe;
use crate::counter::WordCounter;
use crate::encode::Encoder;
use crate::error::Error;
use crate::segments::Segments;
use crate::{table, train};

pyo3::create_exception!(kovocab._core, UnreadableTokenizer, PyValueError);

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Argument(_) => PyValueError::new_err(error.to_string()),
            Error::Tokenizer(_) => UnreadableTokenizer::new_err(error.to_string()),
            Error::Overflow => PyOverflowError::new_err(error.to_string()),
        }
    }
}

#[pyclass(frozen, module = "kovocab._core", name = "Bpe")]
struct PyBpe(Bpe);

#[pymethods]
impl PyBpe {
    #[new]
    fn new(py: Python<'_>, json: &str) -> PyResult<Self> {
        Ok(Self(py.detach(|| Bpe::from_json(json))?))
    }

    /// Where text is cut: before spaces, round newlines, where Hangul meets the rest.
    #[getter]
    fn cut(&self) -> (bool, bool, bool) {
        (self.0.cut.spaces, self.0.cut.newlines, self.0.cut.hangul)
    }

    fn count_tokens(
        &self,
        py: Python<'_>,
        words: PyChunkedArray,
        counts: PyChunkedArray,
        threads: usize,
    ) -> PyResult<PyRecordBatch> {
        Ok(py.detach(|| {
            let words = table::weighted(words.chunks(), counts.chunks())?;
            table::token_counts(Encoder::new(&self.0).count(&words, threads)?).map(PyRecordBatch::from)
        })?)
    }
}

#[pyclass(module = "kovocab._core", name = "WordCounter")]
struct PyWordCounter(Option<WordCounter>);

#[pymethods]
impl PyWordCounter {
    #[new]
    fn new(bpe: &PyBpe, threads: usize) -> PyResult<Self> {
        Ok(Self(Some(WordCounter::new(&bpe.0, threads)?)))
    }

    fn update(&mut self, py: Python<'_>, documents: PyChunkedArray) -> PyResult<()> {
        let counter = self.0.as_mut().ok_or_else(finished)?;
        Ok(py.detach(|| counter.update(&table::texts(documents.chunks())?))?)
    }

    fn count_tokens(&self, py: Python<'_>, bpe: &PyBpe) -> PyResult<PyRecordBatch> {
        let counter = self.0.as_ref().ok_or_else(finished)?;
        let counts = py.detach(|| counter.count_tokens(&Encoder::new(&bpe.0)))?;
        Ok(table::token_counts(counts)?.into())
    }

    fn finish(&mut self, py: Python<'_>) -> PyResult<PyRecordBatch> {
        let counter = self.0.take().ok_or_else(finished)?;
        Ok(py.detach(|| table::word_counts(&counter.finish()?).map(PyRecordBatch::from))?)
    }
}

fn finished() -> PyErr {
    PyValueError::new_err("this counter is finished; make a new one")
}

#[pyfunction]
fn train_bpe(
    py: Python<'_>,
    words: PyChunkedArray,
    counts: PyChunkedArray,
    vocab_size: usize,
    min_count: u64,
) -> PyResult<PyRecordBatch> {
    Ok(py.detach(|| {
        let words = table::weighted(words.chunks(), counts.chunks())?;
        table::trained(&train::train(words, vocab_size, min_count)?).map(PyRecordBatch::from)
    })?)
}

#[pyclass(module = "kovocab._core", name = "Segments")]
struct PySegments(Segments);

#[pymethods]
impl PySegments {
    #[new]
    fn new(
        py: Python<'_>,
        bpe: &PyBpe,
        words: PyChunkedArray,
        counts: PyChunkedArray,
        threads: usize,
    ) -> PyResult<Self> {
        Ok(Self(py.detach(|| {
            let words = table::weighted(words.chunks(), counts.chunks())?;
            Segments::new(&bpe.0, &words, threads)
        })?))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Take out `drop`, put back the characters `add`; returns how many segments were encoded again.
    fn change(&mut self, py: Python<'_>, drop: PyChunkedArray, add: PyChunkedArray) -> PyResult<usize> {
        Ok(py.detach(|| self.0.change(&table::ids(drop.chunks())?, &table::ids(add.chunks())?))?)
    }

    fn count_tokens(&self, py: Python<'_>) -> PyResult<PyRecordBatch> {
        Ok(py.detach(|| table::token_counts(self.0.counts()).map(PyRecordBatch::from))?)
    }
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("build_profile", if cfg!(debug_assertions) { "debug" } else { "release" })?;
    module.add("UnreadableTokenizer", module.py().get_type::<UnreadableTokenizer>())?;
    module.add_class::<PyBpe>()?;
    module.add_class::<PyWordCounter>()?;
    module.add_class::<PySegments>()?;
    module.add_function(wrap_pyfunction!(train_bpe, module)?)
}
