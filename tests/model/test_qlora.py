"""QLoRA: 4-bit layers that stand still, LoRA on what is named, embeddings in full, and the sum in plain weights."""

import json

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from safetensors.torch import load_file
from torch import nn

from kovocab.errors import ArtefactError, FreezingError, ModelError, UsageError
from kovocab.expanding.expand import load_plain
from kovocab.expanding.split_rows import plain_place
from kovocab.freezing.callback import StageFreezing
from kovocab.freezing.digest import digest
from kovocab.model import qlora as room
from kovocab.model.causal_lm import CausalLM
from kovocab.model.qlora import QLoRA, check_qlora, merge, train_patterns
from kovocab.stages import STAGES, Stage
from support.devices import DEVICES, on
from support.four_bits import TINY, installed
from support.models import QUIET, Packed, adamw, expanded, ids

torch.set_num_threads(1)
PHI = ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"]
ALL, LAYERS = STAGES["eeve"][5:]


def small(**settings):
    return QLoRA(**({"rank": 4, "alpha": 8.0, "compute_dtype": "float32"} | settings))


def loaded(folder, settings=None, dtype="auto", device="cpu", lora=True):
    module = CausalLM(str(folder), adamw, dtype=dtype, qlora=settings or small())
    module.lora = lora
    with torch.device(device):  # as Lightning does it
        module.configure_model()
    return module


def trained(folder, stage=ALL, settings=None, dtype="auto", callbacks=(), **more):
    """A module after some steps of a stage, and the report of its freezing."""
    module = CausalLM(str(folder), adamw, dtype=dtype, qlora=settings or small())
    module.lora = stage.layers
    freezing = StageFreezing(train_patterns(stage))
    trainer = Trainer(
        max_steps=6,
        enable_checkpointing=False,
        gradient_clip_val=1.0,
        accumulate_grad_batches=2,
        callbacks=[freezing, *callbacks],
        **QUIET | more,
    )
    trainer.fit(module, Packed())
    return module, freezing.report, trainer


def linears(model):
    """Weights in 4 bits, unpacked, by the names of plain ones."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    found = {name: part.weight for name, part in model.named_modules() if isinstance(part, Linear4bit)}
    return {name.replace(".base_layer", ""): dequantize_4bit(w.data, w.quant_state) for name, w in found.items()}


@installed
@pytest.mark.parametrize("device", DEVICES)
def test_every_linear_of_the_layers_is_in_4_bits_and_lora_on_those_named(device, tmp_path):
    module = loaded(expanded(tmp_path, **TINY), small(target_modules=["q_proj", "down_proj"]), device=device)
    assert {p.device.type for p in module.parameters()} == {device}
    model = module.loaded
    names = {f"model.layers.{i}.{part}" for i in range(2) for part in ("self_attn.q_proj", "mlp.down_proj")}
    assert set(room._adapted(model)) == names
    assert len(linears(model)) == 14
    assert {p.dtype for n, p in model.named_parameters() if "base_layer" in n} == {torch.uint8}
    # No other module was taken, the split head least of all.
    assert {type(part).__name__ for part in (model.get_input_embeddings(), model.get_output_embeddings())} == {
        "SplitEmbedding",
        "SplitLinear",
    }
    assert module._head.output_old.dtype == torch.float32
    # NF4 with constants quantised too, and near what it stands for.
    state = model.model.layers[0].mlp.up_proj.weight.quant_state
    assert (state.quant_type, state.nested) == ("nf4", True)
    plain = load_plain(str(tmp_path)).state_dict()
    for name, weight in linears(model).items():
        assert 0 < (weight.cpu() - plain[f"{name}.weight"]).norm() / plain[f"{name}.weight"].norm() < 0.15


STAGES_OF_A_FIT = [LAYERS, Stage(input_rows="all", output_rows="new", layers=True), STAGES["eeve"][4]]
HOW = {"cpu": ("float32", "32-true"), "cuda": ("bfloat16", "bf16-mixed")}
"""The dtype that 4-bit weights are multiplied in, and the Trainer's precision; on a GPU those of `configs/fit`."""


@installed
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("stage", STAGES_OF_A_FIT)
def test_a_stage_trains_lora_and_its_rows_and_nothing_else(stage, device, tmp_path):
    """A stage that leaves the layers frozen has no LoRA (`every_stage`)."""
    settings, precision = small(compute_dtype=HOW[device][0]), HOW[device][1]
    before = loaded(expanded(tmp_path, **TINY), settings, device=device, lora=stage.layers)
    after, report, trainer = trained(tmp_path, stage, settings, precision=precision, **on(device))
    # Packed and constants; a digest is the same on every device, and Lightning leaves a module on the CPU.
    packed = {name: digest(p) for name, p in before.named_parameters() if hasattr(p, "quant_state")}
    assert len(packed) == 14
    ours = dict(after.named_parameters())
    assert all(digest(ours[name]) == there for name, there in packed.items())
    moved = {name for name, p in before.named_parameters() if digest(p) != digest(ours[name])}
    blocks = {name for name in ours if any(block in name for block in stage.blocks - {"layers"})}
    assert moved == {name for name in ours if ".lora_" in name} | blocks
    assert len(blocks) == len(stage.blocks - {"layers"})
    assert len(trainer.optimizers[0].state) == len(moved) == report["trained_parameters"]
    assert report["verified_parameters"] == report["frozen_parameters"] == len(ours) - len(moved)


@installed
@pytest.mark.parametrize("device", DEVICES)
def test_the_proof_covers_packed_weights_and_the_constants_that_unpack_them(device, tmp_path):
    model = loaded(expanded(tmp_path, **TINY), device=device).loaded
    weight = model.model.layers[0].mlp.up_proj.base_layer.weight
    before = digest(weight)
    assert digest(weight) == before

    def change(tensor, value):
        old = tensor.view(-1)[0].clone()
        tensor.view(-1)[0] = value
        changed = digest(weight)
        tensor.view(-1)[0] = old
        assert digest(weight) == before
        return changed != before

    with torch.no_grad():
        assert change(weight.data, weight.data.view(-1)[0] ^ 1)
        state = weight.quant_state
        assert change(state.absmax, state.absmax[0] ^ 1)
        assert change(state.state2.absmax, state.state2.absmax[0] * 2)
        state.offset += 1e-3
        assert digest(weight) != before


@installed
def test_what_is_frozen_stands_still_where_compute_and_weights_differ_in_dtype(tmp_path):
    """bitsandbytes casts a bias in place in the first forward, and repacks weights in eval mode on some CPUs."""
    folder, settings = expanded(tmp_path, "phi", **TINY), small(target_modules=PHI, compute_dtype="bfloat16")
    fresh = room.load_4bit(str(folder), "auto", settings).model.layers[0].mlp.fc1  # no forward yet
    assert (fresh.bias.dtype, fresh.weight.quant_state.nested) == (torch.bfloat16, True)
    module, report, _ = trained(folder, settings=settings, precision="bf16-mixed")
    assert report["moved_parameters"] == 0
    assert {p.dtype for p in module.parameters() if p.requires_grad} == {torch.float32}
    weight = module.loaded.model.layers[0].mlp.fc1.base_layer.weight
    before = digest(weight)
    with torch.no_grad():
        module.eval()(ids())
    assert digest(weight) == before
    assert weight.quant_state.dtype == torch.bfloat16


class Nudge(Callback):
    def on_train_batch_start(self, trainer, module, *rest):
        module.loaded.model.layers[1].mlp.up_proj.base_layer.weight.quant_state.absmax[0] += 1


@installed
def test_a_4_bit_weight_that_moved_is_named(tmp_path):
    with pytest.raises(
        FreezingError, match=r"moved during the fit: model.model.layers.1.mlp.up_proj.base_layer.weight"
    ):
        trained(expanded(tmp_path, **TINY), callbacks=[Nudge()])


@installed
@pytest.mark.parametrize(
    ("architecture", "dtype", "shape"),
    [
        ("llama", torch.float32, {}),
        ("phi", torch.float32, {}),
        ("llama", torch.bfloat16, {"tie_word_embeddings": True}),
        ("gemma2", torch.float32, {"tie_word_embeddings": True, "head_dim": 16, "final_logit_softcapping": 5.0}),
    ],
)
def test_merged_weights_are_the_plain_ones_plus_the_product(architecture, dtype, shape, tmp_path):
    folder, out = expanded(tmp_path / "model", architecture, dtype=dtype, **TINY, **shape), tmp_path / "merged"
    out.mkdir()
    settings = small(target_modules=PHI) if architecture == "phi" else small()
    module, _, _ = trained(folder, settings=settings)
    merge(module.loaded, folder, out, "auto")
    before, after = load_file(folder / "model.safetensors"), load_file(out / "model.safetensors")
    assert before.keys() == after.keys()
    parameters = dict(module.loaded.named_parameters())
    for name, value in after.items():
        assert value.dtype == dtype
        stem = name.removesuffix(".weight")
        if f"{stem}.lora_A.default.weight" in parameters:
            a, b = (parameters[f"{stem}.lora_{x}.default.weight"] for x in "AB")
            assert torch.equal(value, (before[name].float() + (b @ a) * (8 / 4)).to(dtype))
            assert not torch.equal(value, before[name])
        elif name.startswith(("model.embed_tokens", "lm_head")):
            blocks = [rows for home, rows in parameters.items() if plain_place(home, 1)[0] == name]
            assert torch.equal(value, torch.cat(blocks))
            assert not torch.equal(value, before[name])
        else:
            assert torch.equal(value, before[name])

    # The same LoRA over the plain weights gives the logits that the merged folder gives.
    merged, batch = load_plain(str(out)), ids()
    assert merged.config.tie_word_embeddings == bool(shape)
    for name, part in module.loaded.named_modules():
        if name in room._adapted(module.loaded):
            plain = nn.Linear(part.in_features, part.out_features, bias=part.base_layer.bias is not None, dtype=dtype)
            plain.weight.data = before[f"{name}.weight"]
            plain.bias = part.base_layer.bias
            part.base_layer = plain
    model = module.loaded.eval()
    atol = 1e-5 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(model(batch).logits, merged(batch).logits, atol=atol, rtol=1e-3)


@installed
def test_what_is_merged_in_another_dtype_is_rounded_once(tmp_path):
    folder, out = expanded(tmp_path / "model", dtype=torch.bfloat16, **TINY), tmp_path / "merged"
    out.mkdir()
    module, _, _ = trained(folder, dtype="float32")
    assert {p.dtype for p in module.parameters() if p.requires_grad} == {torch.float32}
    merge(module.loaded, folder, out, "float32")
    plain = load_plain(str(out))
    assert plain.dtype == torch.float32
    module_ = room._adapted(module.loaded)["model.layers.0.self_attn.q_proj"]
    stored = load_file(folder / "model.safetensors")["model.layers.0.self_attn.q_proj.weight"]
    wanted = stored.float() + module_.get_delta_weight("default")
    assert torch.equal(plain.model.layers[0].self_attn.q_proj.weight, wanted)


@installed
def test_merging_into_another_model_is_refused(tmp_path):
    folder, other = expanded(tmp_path / "a", **TINY), expanded(tmp_path / "b", num_hidden_layers=1, **TINY)
    module = loaded(folder)
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match=r"has no model.layers.1.mlp.down_proj.weight, which was trained"):
        merge(module.loaded, other, tmp_path / "out", "auto")


@installed
def test_the_lora_begins_the_same_whatever_was_drawn_before(tmp_path):
    folder, starts = expanded(tmp_path, **TINY), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        drawn = torch.random.get_rng_state()
        module = loaded(folder)
        assert torch.equal(torch.random.get_rng_state(), drawn)
        starts.append({n: p for n, p in module.named_parameters() if ".lora_" in n})
    assert all(torch.equal(p, starts[1][n]) for n, p in starts[0].items())
    assert all(p.any() == (".lora_A." in n) for n, p in starts[0].items())
    other = loaded(folder, small(seed=1)).get_parameter("model.model.layers.0.mlp.up_proj.lora_A.default.weight")
    assert not torch.equal(other, starts[0]["model.model.layers.0.mlp.up_proj.lora_A.default.weight"])


@installed
def test_a_checkpoint_of_other_adapters_is_refused(tmp_path):
    folder = expanded(tmp_path / "model", **TINY)
    _, _, trainer = trained(folder)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    other = CausalLM(str(folder), adamw, qlora=small(target_modules=["q_proj"]))
    again = Trainer(max_steps=8, enable_checkpointing=False, callbacks=[StageFreezing(train_patterns(ALL))], **QUIET)
    with pytest.raises(ArtefactError, match=r"differ in 24 parameters, the first model.model.layers.0.mlp.down_proj"):
        again.fit(other, Packed(), ckpt_path=tmp_path / "last.ckpt")


@pytest.mark.parametrize("missing", room.PACKAGES)
def test_a_missing_package_is_told_in_a_line(missing, monkeypatch, tmp_path):
    found = {name: object() for name in room.PACKAGES}
    monkeypatch.setattr(room, "find_spec", lambda name: None if name == missing else found[name])
    with pytest.raises(
        UsageError, match=rf"^model.qlora: {missing} is missing; wanted pip install 'kovocab\[qlora\]'$"
    ):
        check_qlora(expanded(tmp_path), QLoRA())


@installed
def test_special_ids_come_through_a_merge(tmp_path):
    folder, out = expanded(tmp_path / "model", **TINY), tmp_path / "merged"
    out.mkdir()
    special = {"pad_token_id": -1, "eos_token_id": [2, 3], "suppress_tokens": [5], "forced_eos_token_id": 2}
    config = json.loads((folder / "config.json").read_text()) | special
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text('{"temperature": 0.5, "do_sample": false}')
    merge(loaded(folder).loaded, folder, out, "bfloat16")
    said = json.loads((out / "config.json").read_text())
    assert {key: said[key] for key in special} == special
    assert said["dtype"] == said["torch_dtype"] == "bfloat16"
    assert said["rope_theta"] == said["rope_parameters"]["rope_theta"]
    assert (out / "generation_config.json").read_text() == '{"temperature": 0.5, "do_sample": false}'
    assert load_plain(str(out)).dtype == torch.bfloat16
