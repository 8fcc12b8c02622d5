"""Rows for tokens: rounded up past counts that mean something to others, and cut again; tokens keep theirs."""

import pytest
import torch

from kovocab.errors import UsageError
from kovocab.expanding.new_rows import matrices
from kovocab.expanding.row_counts import meaning, rows_for, set_rows, without_token
from support.models import tiny


@pytest.mark.parametrize(
    ("rows", "tokens", "multiple", "wanted"),
    [
        (32_000, 34_241, None, 34_241),
        (32_000, 34_241, 64, 34_304),
        (51_200, 50_295, None, 51_200),
        (32_000, 49_100, 64, 49_216),  # not 49,152
        (32_000, 49_152, 64, 49_216),
        (32_000, 49_152, 1, 49_153),
        (32_000, 32_010, 16, 32_032),  # not 32,016
        (32_000, 32_016, None, 32_016),
    ],
)
def test_rows(rows, tokens, multiple, wanted):
    assert rows_for(rows, tokens, multiple) == wanted


def test_a_multiple_out_of_range():
    with pytest.raises(UsageError, match="pad_to_multiple_of is 0"):
        rows_for(100, 100, 0)


def test_a_count_with_a_meaning_is_said_of_the_models_that_it_is_read_of():
    assert "turns the start token off" in meaning(49_152, "LlamaForCausalLM")
    assert "32,007 to 32,010 for CodeLlama's infill tokens" in meaning(32_016, "MistralForCausalLM")
    assert meaning(49_152, "PhiForCausalLM") is None
    assert meaning(49_153, "LlamaForCausalLM") is None


def test_rows_without_a_token_are_said():
    assert without_token(100, 100, sentencepiece=True) is None
    said = without_token(101, 100, sentencepiece=True)
    assert said.startswith("Id 100 has a row and no token (101 rows, 100 tokens).")
    assert "as many rows as tokens, and so does llama.cpp without a tokenizer.model; trl adds" in said
    said = without_token(34_304, 34_241, sentencepiece=False)
    assert said.startswith("Ids 34,241 to 34,303 have a row and no token")
    assert "as many rows as tokens; trl adds" in said
    assert "llama.cpp" not in said


@pytest.mark.parametrize("architecture", ["llama", "phi", "tied"])
@pytest.mark.parametrize("rows", [96, 97, 100, 128])
def test_tokens_keep_their_rows(architecture, rows):
    tied = architecture == "tied"
    model = tiny("llama" if tied else architecture, tie_word_embeddings=tied)
    before = {name: matrix.clone() for name, matrix in matrices(model).items()}
    ids = torch.arange(96).view(4, 24)
    with torch.no_grad():
        logits = model(ids).logits
    set_rows(model, rows, tokens=96, first_new_id=90)
    assert matrices(model).keys() == before.keys()
    assert model.config.vocab_size == rows
    for name, matrix in matrices(model).items():
        assert len(matrix) == rows
        assert torch.equal(matrix[: min(rows, 100)], before[name][:rows])
        assert torch.equal(matrix[100:], before[name][:90].mean(dim=0).expand_as(matrix[100:]))
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits[..., : min(rows, 100)], logits[..., :rows])
