"""What a stage trains towards: each label mode computes what it says, and fit takes it to the stages it is for."""

import shutil
from pathlib import Path

import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn import functional

import kovocab
from kovocab.errors import ModelError
from kovocab.expanding.new_rows import INITIALISATION
from kovocab.expanding.spelling import PIECES, BasePieces, save_pieces
from kovocab.exporting.card import model_card
from kovocab.freezing.callback import freeze
from kovocab.model.causal_lm import CausalLM
from kovocab.record import read_record, write_record
from kovocab.stages import Stage
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.models import expanded, ids, tiny
from support.runs import fit, make_place, moved

torch.set_num_threads(1)
FIRST = 90
SPELT = [[(31 * i + 7 * k) % FIRST for k in range(1 + (5 * i) % 6)] for i in range(10)]
"""One to six base pieces for each of the ten new tokens of a tiny model."""


def spelt(token):
    return SPELT[token - FIRST] if token >= FIRST else [token]


@given(
    sequences=st.integers(1, 9).flatmap(
        lambda length: st.lists(st.lists(st.integers(0, 99), min_size=length, max_size=length), min_size=1, max_size=4)
    ),
    most=st.none() | st.integers(1, 40),
)
def test_spelling(sequences, most):
    pieces = BasePieces(FIRST, SPELT)
    old, ends = pieces.spell(torch.tensor(sequences), most)
    whole = [[piece for token in sequence for piece in spelt(token)] for sequence in sequences]
    longest = min(max(map(len, whole)), most or 1000)
    assert old.shape == (len(sequences), longest)
    for row, sequence, wanted, its_ends in zip(old.tolist(), sequences, whole, ends.tolist(), strict=True):
        assert row == (wanted + [0] * longest)[:longest]
        assert its_ends == [sum(len(spelt(t)) for t in sequence[: i + 1]) - 1 for i in range(len(sequence))]
    first = pieces.first(torch.tensor([*sequences[0], -100])).tolist()
    assert first == [*(spelt(token)[0] for token in sequences[0]), -100]


def test_pieces_in_a_row_are_the_base_s_own_tokens_of_the_text(mistral, tmp_path):
    words = kovocab.count_words(kovocab.sample_documents(60_000), mistral)
    settings = kovocab.RefineSettings(min_count=10, min_syllable_count=10, intermediate_vocab_size=2000)
    refined = kovocab.refine(words, mistral, settings)
    base = load_tokenizer(mistral)
    library, first = Reference(base).library, base.size
    save_pieces(refined.vocabulary, first, tmp_path)
    pieces, new = BasePieces.read(tmp_path, first), 0
    for text in list(kovocab.sample_documents(20_000, seed=1)):
        target = refined.tokenizer.encode(text).ids
        old, ends = pieces.spell(torch.tensor([target]))
        assert old[0].tolist() == library.encode(text).ids
        assert ends[0, -1] == old.shape[1] - 1
        new += sum(token >= first for token in target)
    assert new > 100


# --- what each mode computes ---


def save_spelt(folder, architecture="llama", **settings):
    """A model whose new tokens have base pieces."""
    table = {"id": range(FIRST, 100), "token": [f"새{i}" for i in range(10)], "base_pieces": SPELT}
    save_pieces(pl.DataFrame(table), FIRST, expanded(folder, architecture, **settings))
    return folder


def loaded(folder, architecture="llama", **settings):
    """A split model, and its plain twin."""
    module = CausalLM(str(save_spelt(folder, architecture, **settings)))
    module.configure_model()
    return module, tiny(architecture, **settings)


def step(module, batch, mode):
    module.label_mode = mode
    module.log = lambda *args, **settings: None
    return module.training_step({"input_ids": batch}, 0)


@pytest.mark.parametrize("architecture", ["llama", "phi"])
@pytest.mark.parametrize("mode", ["plain", "first_piece", "old_vocab"])
def test_labels(architecture, mode, tmp_path):
    module, model = loaded(tmp_path, architecture)
    batch = ids(100, (3, 12))
    logits, labels = model(batch).logits[:, :-1].double(), batch[:, 1:]
    assert (labels >= FIRST).any()
    if mode != "plain":
        labels = torch.tensor([[spelt(label)[0] for label in row] for row in labels.tolist()])
    if mode == "old_vocab":
        logits = logits[..., :FIRST]
    wanted = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
    loss = step(module, batch, mode)
    torch.testing.assert_close(loss.double(), wanted, atol=1e-6, rtol=1e-6)
    loss.backward()
    wanted.backward()
    grad = model.get_input_embeddings().weight.grad[FIRST:]
    torch.testing.assert_close(module.loaded.get_input_embeddings().input_new.grad, grad, atol=1e-7, rtol=1e-5)
    # What is held out is measured by plain labels, in every mode.
    held_out = []
    module.log = lambda name, value, **settings: held_out.append(value)
    module.validation_step({"input_ids": batch}, 0)
    torch.testing.assert_close(held_out[0], module(batch, batch))


def distance(model, batch, most):
    """The obvious twin: sequence by sequence, token by token."""
    differences = []
    for sequence in batch.tolist():
        old = [piece for token in sequence for piece in spelt(token)]
        with torch.no_grad():
            wanted = model.model(torch.tensor([old[:most]])).last_hidden_state[0]
        found = model.model(torch.tensor([sequence])).last_hidden_state[0]
        end = -1
        for place, token in enumerate(sequence):
            end += len(spelt(token))
            if end < most:
                differences.append((found[place] - wanted[end]).square().mean())
    return torch.stack(differences).mean()


@pytest.mark.parametrize("architecture", ["llama", "phi"])
@pytest.mark.parametrize("most", [64, 19])
def test_distillation(architecture, most, tmp_path):
    module, model = loaded(tmp_path, architecture, max_position_embeddings=most)
    freeze(module, Stage(input_rows="new").patterns)
    batch = torch.cat([ids(100, (3, 12)), ids(FIRST, (1, 12)), ids(10, (1, 12)) + FIRST])
    loss, wanted = step(module, batch, "distill"), distance(model, batch, most)
    torch.testing.assert_close(loss, wanted, atol=1e-6, rtol=1e-5)
    loss.backward()
    wanted.backward()
    grad = model.get_input_embeddings().weight.grad[FIRST:]
    torch.testing.assert_close(module.loaded.get_input_embeddings().input_new.grad, grad, atol=1e-7, rtol=1e-4)
    assert [name for name, p in module.named_parameters() if p.grad is not None] == [
        "model.model.embed_tokens.input_new"
    ]
    # Of old tokens alone there is nothing to learn.
    assert step(module, ids(FIRST), "distill") < 1e-12


def test_the_teacher_has_no_dropout_and_the_pupil_has(tmp_path):
    module, _ = loaded(tmp_path, "phi", resid_pdrop=0.5)
    seen = []
    module.loaded.base_model.register_forward_pre_hook(
        lambda body, args, kwargs: seen.append((kwargs["input_ids"].shape[1] > 12, body.training)), with_kwargs=True
    )
    step(module, ids(10, (2, 12)) + FIRST, "distill")
    assert seen == [(True, False), (False, True)]
    assert all(part.training for part in module.modules())


def test_distillation_brings_new_tokens_near_their_spelling(tmp_path):
    module, _ = loaded(tmp_path)
    freeze(module, Stage(input_rows="new").patterns)
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=1e-2)
    batch, losses = ids(100, (4, 12)), []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(step(module, batch, "distill"))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2


CONFIG = """
model: {model: expanded}
trainer: {accelerator: cpu, devices: 1}
schedule: [{input_rows: new}]
defaults: {lr: 1e-2, steps: 3}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("place"), CONFIG)


def test_fit_in_every_mode(in_place, tmp_path, capsys):
    held_out, trained = set(), set()
    for mode in ("plain", "first_piece", "old_vocab", "distill"):
        assert fit(tmp_path / mode, "--defaults.label_mode", mode) == 0
        assert "warning" not in capsys.readouterr().err
        stage = tmp_path / mode / "stages/1"
        record = read_record(stage)
        assert record["settings"]["stage"]["label_mode"] == mode
        assert record["freezing"]["moved_parameters"] == 0
        before, after = load_file("expanded/model.safetensors"), load_file(stage / "model.safetensors")
        assert moved(before, after) == {"input_new"}
        assert (stage / PIECES).read_bytes() == Path("expanded", PIECES).read_bytes()
        assert (f"({mode}) |" in model_card(record, "name")) == (mode != "plain")
        held_out.add(record["loss"]["val_before"])
        trained.add(record["loss"]["train"])
    assert len(held_out) == 1  # measured alike, whatever is trained towards
    assert len(trained) == 4


def test_a_model_without_base_pieces_is_refused_before_anything_begins(in_place, tmp_path):
    shutil.copytree("expanded", tmp_path / "old")
    (tmp_path / "old" / PIECES).unlink()
    args = ["--model.model", str(tmp_path / "old")]
    with pytest.raises(ModelError, match=r"old/base_pieces.parquet cannot be read: .* which `kovocab expand` leaves"):
        fit(tmp_path / "run", *args, "--defaults.label_mode", "distill")
    assert not (tmp_path / "run").exists()
    assert fit(tmp_path / "run", *args) == 0  # plain labels need none


def test_a_word_where_plain_labels_name_rows_that_mean_nothing(in_place, tmp_path, capsys):
    other = shutil.copytree("expanded", tmp_path / "other")
    write_record(other, read_record(other) | {"initialisation": INITIALISATION | {"output": "normal, 0.02"}})
    args, run = ["--model.model", str(other), "--defaults.steps", "1"], tmp_path / "run"

    def warnings():
        return [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]

    assert fit(run, *args, "--schedule", "[{input_rows: new}, {layers: true}]") == 0
    assert warnings() == [
        "warning: stage 1 trains with plain labels, and the output rows of new tokens are not those of their first "
        "pieces (expand's rule: normal, 0.02); see label_mode"
    ]
    assert fit(run, *args, "--schedule", "[{input_rows: new}, {layers: true}]") == 0  # is done
    assert fit(tmp_path / "old", *args, "--defaults.label_mode", "old_vocab") == 0
    assert fit(tmp_path / "output", *args, "--schedule", "[{output_rows: new}, {input_rows: new}]") == 0
    later = [*args[2:], "--model.model", str(tmp_path / "output/stages/2")]
    assert fit(tmp_path / "later", *later) == 0  # their rows were trained in the run before
    assert warnings() == []
