"""The small phi-2 of the quickstart is built as phi-2 is: byte-level, 38 runs of white space, biases, rows to spare."""

import pytest
import tokenizers

from kovocab.errors import ArtefactError
from kovocab.example.bases import END, RUNS, byte_level_tokenizer, phi_2, write_sample_tokenizer
from kovocab.example.text import sample_documents
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.spelling import BYTES
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.vocabularies import pieces, tokenizer_merges


@pytest.fixture(scope="module")
def made():
    return byte_level_tokenizer()


def test_its_merges_are_those_that_tokenizers_learns(made):
    trainers = pytest.importorskip("tokenizers.trainers", reason="this version of tokenizers trains nothing")
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    merges = tokenizer_merges(made)
    size = 256 + len(set(map("".join, merges)))
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=BYTES, show_progress=False)
    library.train_from_iterator(sample_documents(1_000_000, language="en"), trainer)
    vocab = library.get_vocab()
    theirs = sorted(vocab, key=vocab.get)[256:]
    assert list(dict.fromkeys(map("".join, merges))) == theirs


def test_its_ids_are_laid_out_as_phi_2_s(made, data):
    """Bytes, merges, the end of a text, then 30 runs of spaces and 8 of tabs, the longest first."""
    real = load_tokenizer(data / "tokenizers" / "phi2")
    first, real_first = made.ids[END], real.ids[END]
    assert made.size - first == real.size - real_first == 39
    assert [vars(token) | {"id": token.id - first} for token in made.added_tokens] == [
        vars(token) | {"id": token.id - real_first} for token in real.added_tokens
    ]
    assert tuple(made.tokens[i] for i in range(first + 1, made.size)) == RUNS
    assert made.pre_tokenizer == real.pre_tokenizer
    assert pieces(made, "        the time\t\t\t") == [" " * 8, "the", "Ġtime", "\t\t\t"]  # found before the split
    text = "What he said, 3 times: 나무 그늘 🙂\n\n    if x:\t\ty"
    reference = Reference(made)
    assert reference.decode(reference.encode([text])[0]) == text


def test_its_model_has_biases_and_rows_to_spare(made, tmp_path):
    transformers = pytest.importorskip("transformers")
    phi_2()(tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(model).__name__ == "PhiForCausalLM"
    assert model.config.vocab_size == len(model.lm_head.bias) == made.size + 905
    assert model.config.eos_token_id == made.ids[END]
    opened = transformers.AutoTokenizer.from_pretrained(tmp_path)
    text = "The old    tree\t\tstands."
    assert opened(text)["input_ids"] == Reference(made).encode([text])[0]
    assert opened.eos_token == END


def test_it_is_written_as_a_base_and_over_no_other(made, tmp_path):
    for _ in range(2):
        write_sample_tokenizer(tmp_path / "base")
        assert load_tokenizer(tmp_path / "base") == made
    (tmp_path / "base" / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"tokenizer.json is there and is not the sample tokenizer"):
        write_sample_tokenizer(tmp_path / "base")
    assert (tmp_path / "base" / "tokenizer.json").read_text() == "{}"


def test_it_is_not_written_among_somebody_s_files(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ArtefactError, match=r"holds files that are not kovocab's .*; choose another folder"):
        write_sample_tokenizer(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
