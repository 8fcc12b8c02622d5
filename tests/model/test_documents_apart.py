"""Documents of one block that do not see each other: each is read, and trained on, as if it were alone."""

import pytest
import torch
from torch.nn import functional
from transformers import AutoConfig

from kovocab.errors import ModelError
from kovocab.freezing.callback import freeze
from kovocab.model.causal_lm import CausalLM
from kovocab.model.documents import check_documents, check_family, respelled
from kovocab.stages import Stage
from model.test_causal_lm_labels import FIRST, save_spelt, spelt
from support.models import expanded, ids, tiny

torch.set_num_threads(1)
LENGTHS = [[5, 1, 6], [12], [1, 1, 7, 3]]
"""Of the documents of each block of 12 tokens."""
FAMILIES = {
    "llama": {},
    "phi": {},
    "qwen2": {},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "sliding_window": 4},
    "gemma3_text": {"head_dim": 8, "sliding_window": 4},
    "mistral": {"sliding_window": 4},
    "gpt2": {},  # positions that are learned
}


def packed(lengths=LENGTHS):
    return torch.tensor([[place for length in row for place in range(length)] for row in lengths])


def alone(model, row, lengths):
    """The obvious twin: the logits of each document by itself."""
    return [model(part.unsqueeze(0)).logits[0] for part in row.split(lengths)]


def module_of(folder, family, **settings):
    module = CausalLM(str(expanded(folder, family, **settings)))
    module.configure_model()
    module.log = lambda *args, **more: None
    return module.eval(), tiny(family, **settings)


@pytest.mark.parametrize(
    ("family", "attention"),
    [(family, how) for family in FAMILIES for how in ("sdpa", "eager") if (family, how) != ("gemma2", "sdpa")],
)
def test_a_packed_block_gives_what_each_document_gives_alone(family, attention, tmp_path):
    module, plain = module_of(tmp_path, family, **FAMILIES[family])
    module.loaded.set_attn_implementation(attention)
    batch, positions = ids(shape=(3, 12)), packed()
    with torch.no_grad():
        logits = module(batch, position_ids=positions)
        joined = module(batch)
        documents = [alone(plain, row, lengths) for row, lengths in zip(batch, LENGTHS, strict=True)]
    for found, wanted in zip(logits, documents, strict=True):
        torch.testing.assert_close(found, torch.cat(wanted), atol=1e-5, rtol=1e-5)
    assert (logits[0, 6:] - joined[0, 6:]).abs().max() > 1e-4  # so the check above can fail
    # The loss is that of the documents: the first token of one is no label of the one before.
    losses = [
        functional.cross_entropy(part[:-1], tokens[1:], reduction="none")
        for row, lengths, parts in zip(batch, LENGTHS, documents, strict=True)
        for tokens, part in zip(row.split(lengths), parts, strict=True)
    ]
    assert sum(map(len, losses)) == batch.numel() - sum(map(len, LENGTHS))
    given = {"input_ids": batch, "position_ids": positions}
    torch.testing.assert_close(module.training_step(given, 0), torch.cat(losses).mean(), atol=1e-5, rtol=1e-5)
    each = [torch.cat(losses[first:last]).mean() for first, last in ((0, 3), (3, 4), (4, 8))]
    torch.testing.assert_close(module.predict_step(given, 0)["loss"], torch.stack(each), atol=1e-5, rtol=1e-5)


def test_a_block_of_documents_of_one_token_has_no_loss(tmp_path):
    module, _ = module_of(tmp_path, "llama")
    batch = {"input_ids": ids(shape=(2, 12)), "position_ids": torch.zeros(2, 12, dtype=torch.int64)}
    assert module.training_step(batch, 0) == 0
    assert module.predict_step(batch, 0)["loss"].tolist() == [0, 0]


@pytest.mark.parametrize("family", ["llama", "phi"])
def test_gradients_are_those_of_the_documents(family, tmp_path):
    module, plain = module_of(tmp_path, family)
    batch, positions = ids(shape=(3, 12)), packed()
    module.training_step({"input_ids": batch, "position_ids": positions}, 0).backward()
    losses = [
        functional.cross_entropy(plain(tokens.unsqueeze(0)).logits[0, :-1], tokens[1:], reduction="sum")
        for row, lengths in zip(batch, LENGTHS, strict=True)
        for tokens in row.split(lengths)
        if len(tokens) > 1
    ]
    (sum(losses) / (batch.numel() - sum(map(len, LENGTHS)))).backward()
    for name, parameter in plain.named_parameters():
        if ".layers." in name:
            own = module.loaded.get_parameter(name).grad
            torch.testing.assert_close(own, parameter.grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("most", [64, 17])
def test_distillation_compares_document_by_document(most, tmp_path):
    module = CausalLM(str(save_spelt(tmp_path, max_position_embeddings=most)))
    module.configure_model()
    freeze(module, Stage(input_rows="new").patterns)
    plain = tiny(max_position_embeddings=most)
    batch = torch.cat([ids(FIRST, (2, 12)), ids(10, (1, 12)) + FIRST])
    differences = []
    for row, lengths in zip(batch, LENGTHS, strict=True):
        end = -1
        for tokens in row.split(lengths):
            old = [piece for token in tokens.tolist() for piece in spelt(token)]
            wanted, found = plain.model(torch.tensor([old])), plain.model(tokens.unsqueeze(0))
            at = -1
            for place, token in enumerate(tokens.tolist()):
                at, end = at + len(spelt(token)), end + len(spelt(token))
                if end < most:
                    apart = found.last_hidden_state[0, place] - wanted.last_hidden_state[0, at]
                    differences.append(apart.square().mean())
    module.log, module.label_mode = lambda *args, **more: None, "distill"
    loss = module.training_step({"input_ids": batch, "position_ids": packed()}, 0)
    torch.testing.assert_close(loss, torch.stack(differences).mean(), atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        assert (module(batch, batch, "distill") - loss).abs() > 1e-6  # with documents that see each other


def test_compiled_layers_keep_documents_apart_too(tmp_path):
    batch, losses = ids(shape=(3, 12)), []
    expanded(tmp_path)
    for compiler in (None, "eager"):
        module = CausalLM(str(tmp_path), compiler=compiler)
        module.configure_model()
        with torch.no_grad():
            losses.append([module(batch, batch, position_ids=packed()), module(batch, batch)])
    assert losses[0] == losses[1]


def test_positions_of_another_spelling():
    ends = torch.tensor([[1, 2, 5, 6], [0, 1, 2, 3]])  # of tokens of 2, 1, 3 and 1 pieces
    positions = torch.tensor([[0, 1, 0, 0], [0, 0, 1, 2]])
    assert respelled(positions, ends, 7).tolist() == [[0, 1, 2, 0, 1, 2, 0], [0, 0, 1, 2, 3, 4, 5]]
    assert respelled(positions, ends, 4).tolist() == [[0, 1, 2, 0], [0, 0, 1, 2]]


@pytest.mark.parametrize(
    ("family", "settings", "why"),
    [
        ("bloom", {}, "takes no position_ids"),
        ("mamba", {}, "takes no position_ids"),
        ("recurrent_gemma", {}, "carries a state from token to token"),
        ("falcon_h1", {}, "carries a state from token to token"),
    ],
)
def test_families_that_cannot_are_refused_by_name(family, settings, why):
    with pytest.raises(ModelError, match=rf"base: \w+ForCausalLM {why}, .*wanted data.document_attention: across"):
        check_family(AutoConfig.for_model(family, **settings), "base")


@pytest.mark.parametrize("family", ["openai-gpt", "falcon", "opt", "biogpt"])
def test_what_takes_positions_and_goes_by_them_half_is_refused(family):
    settings = {"opt": {"word_embed_proj_dim": 32}}.get(family, {})
    model = tiny(family, **settings)
    check_family(model.config, "base")
    with pytest.raises(ModelError, match="does not keep documents apart by their position_ids"):
        check_documents(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("family", [*FAMILIES, "mixtral", "cohere", "granite", "olmo2", "phi3", "qwen3"])
def test_those_that_can_are_not(family, dtype):
    model = tiny(family, dtype=dtype, **FAMILIES.get(family, {"head_dim": 8} if family == "qwen3" else {}))
    check_family(model.config, "base")
    check_documents(model.train())
    assert model.training


def test_training_asks_the_model_once_before_its_first_step(tmp_path):
    model = CausalLM(str(expanded(tmp_path, "opt", word_embed_proj_dim=32)))
    model.configure_model()
    batch = ids(shape=(3, 12))
    assert model(batch, batch) > 0
    with pytest.raises(ModelError, match="OPTForCausalLM does not keep documents apart"):
        model(batch, batch, position_ids=packed())
