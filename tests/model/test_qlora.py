"""QLoRA: 4-bit layers that stand still, LoRA on what is named, embeddings in full, and the sum in plain weights."""

import shlex
import shutil
from contextlib import chdir
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from safetensors.torch import load_file
from torch import nn

from kovocab.artefact import RECORD, read_record
from kovocab.errors import ArtefactError, FreezingError, ModelError, UsageError
from kovocab.expanding.expand import load_plain
from kovocab.expanding.split_rows import plain_place
from kovocab.exporting.card import _quantized, model_card
from kovocab.fitting.callbacks import StepSeed
from kovocab.fitting.fit import main
from kovocab.freezing.callback import StageFreezing
from kovocab.freezing.digest import digest
from kovocab.model import qlora as room
from kovocab.model.causal_lm import CausalLM
from kovocab.model.qlora import QLoRA, check_qlora, merge, train_patterns
from kovocab.run.configuration import Configuration
from kovocab.run.stage_plan import stage_plans
from kovocab.stages import STAGES, Stage
from support.base import BASE_TOKENS
from support.models import QUIET, Packed, adamw, expanded, ids
from support.runs import fit, make_place, strike

torch.set_num_threads(1)
installed = pytest.mark.skipif(
    any(find_spec(name) is None for name in room.PACKAGES), reason="needs pip install 'kovocab[qlora]'"
)
ROOT = Path(__file__).parents[2]
PHI = ["q_proj", "k_proj", "v_proj", "dense", "fc1", "fc2"]
ALL, LAYERS = STAGES["eeve"][5:]
TINY = {"hidden_size": 64, "intermediate_size": 128}  # blocks of 64 weights have a scale each


def small(**settings):
    return QLoRA(**({"rank": 4, "alpha": 8.0, "compute_dtype": "float32"} | settings))


def loaded(folder, settings=None, dtype="auto"):
    module = CausalLM(str(folder), adamw, dtype=dtype, qlora=settings or small())
    module.configure_model()
    return module


def trained(folder, stage=ALL, settings=None, dtype="auto", callbacks=(), **more):
    """A module after some steps of a stage, and the report of its freezing."""
    module = CausalLM(str(folder), adamw, dtype=dtype, qlora=settings or small())
    freezing = StageFreezing(train_patterns(stage))
    trainer = Trainer(
        max_steps=6,
        enable_checkpointing=False,
        gradient_clip_val=1.0,
        accumulate_grad_batches=2,
        callbacks=[freezing, *callbacks],
        **QUIET,
        **more,
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
def test_every_linear_of_the_layers_is_in_4_bits_and_lora_on_those_named(tmp_path):
    module = loaded(expanded(tmp_path, **TINY), small(target_modules=["q_proj", "down_proj"]))
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
        assert 0 < (weight - plain[f"{name}.weight"]).norm() / plain[f"{name}.weight"].norm() < 0.15


@installed
@pytest.mark.parametrize("stage", [LAYERS, Stage(input_rows="all", output_rows="new", layers=True)])
def test_a_stage_trains_lora_and_its_rows_and_nothing_else(stage, tmp_path):
    before = loaded(expanded(tmp_path, **TINY))
    after, report, trainer = trained(tmp_path, stage)
    packed = linears(before.loaded)
    assert all(torch.equal(weight, packed[name]) for name, weight in linears(after.loaded).items())
    ours = dict(after.named_parameters())
    moved = {name for name, p in before.named_parameters() if not torch.equal(p, ours[name])}
    blocks = {name for name in ours if any(block in name for block in stage.blocks - {"layers"})}
    assert moved == {name for name in ours if ".lora_" in name} | blocks
    assert len(blocks) == len(stage.blocks) - 1
    assert len(trainer.optimizers[0].state) == len(moved) == report["trained_parameters"]
    assert report["verified_parameters"] == report["frozen_parameters"] == len(ours) - len(moved)


@installed
def test_the_proof_covers_packed_weights_and_the_constants_that_unpack_them(tmp_path):
    model = loaded(expanded(tmp_path, **TINY)).loaded
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


class Nudge(StepSeed):
    def __init__(self):
        super().__init__(0, 1)

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


CONFIG = """
model: {model: expanded, qlora: {rank: 4, alpha: 8, dropout: 0.1, compute_dtype: float32}}
trainer: {accelerator: cpu, devices: 1, gradient_clip_val: 1.0, accumulate_grad_batches: 2}
schedule: [{output_rows: new}, {input_rows: all, output_rows: all, layers: true}, {layers: true}]
defaults: {lr: 1e-2, steps: 4}
checkpoint_every: 2
"""
FIRST_TWO = "[{output_rows: new}, {input_rows: all, output_rows: all, layers: true}]"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an expanded model, text, a configuration of three stages, two with QLoRA, and the run `whole`."""
    folder = make_place(tmp_path_factory.mktemp("place"), CONFIG, **TINY)
    with chdir(folder):
        assert fit("whole") == 0
    return folder


@installed
def test_a_run_leaves_plain_folders_and_says_what_merging_did(in_place, capsys):
    records = [read_record(f"whole/stages/{number}", "fit") for number in (1, 2, 3)]
    plain, first, second = records
    assert "qlora" not in plain
    assert "val_merged" not in plain["loss"]
    assert plain["settings"]["model"]["qlora"] is None
    for record in (first, second):
        assert record["settings"]["model"]["qlora"]["rank"] == record["qlora"]["settings"]["rank"] == 4
        assert record["qlora"]["adapted_linears"] == record["qlora"]["quantized_linears"] == 14
        assert set(record["qlora"]["versions"]) == set(room.PACKAGES)
        assert record["freezing"]["moved_parameters"] == 0
    assert [stage.get("qlora") for stage in second["earlier"]] == [None, first["qlora"]]
    # Quantising costs some loss and merging gives it back: each is measured, on the same batches.
    assert first["loss"]["val_before"] != plain["loss"]["val"]
    assert first["loss"]["val"] < first["loss"]["val_before"]
    assert first["loss"]["val_merged"] == pytest.approx(first["loss"]["val"], abs=0.1)
    assert first["loss"]["val_merged"] != first["loss"]["val"]
    for number, record in ((2, first), (3, second)):
        folder = Path(f"whole/stages/{number}")
        assert "quantization_config" not in (folder / "config.json").read_text()
        names = {path.name for path in Path("whole/stages/1").iterdir()}
        assert {path.name for path in folder.iterdir()} == names
        assert main(["validate", "--config", "fit.yaml", "--model.model", str(folder)]) == 0
        assert float(capsys.readouterr().out.split()[1]) == pytest.approx(record["loss"]["val_merged"], abs=1e-5)
    before, after = (load_file(f"whole/stages/{number}/model.safetensors") for number in (2, 3))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {"model.embed_tokens.weight", "lm_head.weight"} == same - {n for n in same if "norm" in n}
    assert not list(Path("whole/stages").glob(".*"))
    card = model_card(second, "ours")
    assert "| 1 | none | new | none |" in card
    assert "| 2 | all | all | LoRA |" in card
    assert card.count("held the layers in 4 bits") == 2
    assert f"has held-out loss {second['loss']['val_merged']:.4g}." in card


def test_the_card_says_what_was_in_4_bits():
    stage = {
        "stage": 6,
        "settings": {"stage": {"layers": True}},
        "loss": {"val_merged": 3.25},
        "qlora": {"settings": {"rank": 4, "alpha": 8.0}},
    }
    said = _quantized(stage)
    assert said.startswith("Stage 6 held the layers in 4 bits (NF4)")
    assert "LoRA of rank 4 (alpha 8) was merged" in said
    assert said.endswith("has held-out loss 3.25.")
    stage |= {"settings": {"stage": {"layers": False}}, "loss": {"val_merged": None}}
    assert _quantized(stage) == "Stage 6 held the layers in 4 bits (NF4), and its losses above are with those."


@installed
def test_frozen_layers_may_be_in_4_bits_and_come_out_as_they_were(in_place, tmp_path):
    run = tmp_path / "run"
    assert fit(run, "--model.qlora.every_stage", "true", "--schedule", "[{output_rows: new}]") == 0
    record, plain = (read_record(folder / "stages/1") for folder in (run, Path("whole")))
    assert (record["qlora"]["quantized_linears"], record["qlora"]["adapted_linears"]) == (14, 0)
    assert record["loss"]["val_before"] != plain["loss"]["val_before"]
    assert record["loss"]["val_merged"] != record["loss"]["val"] < record["loss"]["val_before"]
    before, after = (load_file(folder / "model.safetensors") for folder in (Path("expanded"), run / "stages/1"))
    assert before.keys() == after.keys()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"lm_head.weight"}
    assert torch.equal(before["lm_head.weight"][:BASE_TOKENS], after["lm_head.weight"][:BASE_TOKENS])


class StruckError(Exception):
    """As if the power went."""


@installed
@pytest.mark.parametrize(("batch", "step"), [(2, None), (5, 2)])
def test_a_stage_that_was_stopped_ends_as_one_that_was_not(in_place, monkeypatch, tmp_path, batch, step):
    """Bit for bit: before its first checkpoint, whatever else was drawn in the process, and behind it."""

    def stop():
        raise StruckError

    run, args = tmp_path / "run", ["--schedule", FIRST_TWO]
    shutil.copytree("whole/stages/1", run / "stages/1")
    strike(monkeypatch, 2, batch, stop)
    with pytest.raises(StruckError):
        fit(run, *args)
    last = run / "stages/.2/last.ckpt"
    assert last.exists() == (step is not None)
    if step is not None:
        saved = torch.load(last, weights_only=True)
        assert saved["global_step"] == step
        # What trains, and nothing in 4 bits.
        assert {name for name in saved["state_dict"] if ".lora_" not in name} == {
            f"model.{name}"
            for name in (
                "model.embed_tokens.input_old",
                "model.embed_tokens.input_new",
                "lm_head.output_old",
                "lm_head.output_new",
            )
        }
    torch.rand(3)
    assert fit(run, *args) == 0
    for path in Path("whole/stages/2").iterdir():
        if path.name != RECORD:
            assert path.read_bytes() == (run / "stages/2" / path.name).read_bytes(), path
    assert read_record(run / "stages/2")["loss"] == read_record("whole/stages/2")["loss"]


@installed
def test_a_checkpoint_of_other_adapters_is_refused(tmp_path):
    folder = expanded(tmp_path / "model", **TINY)
    _, _, trainer = trained(folder)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    other = CausalLM(str(folder), adamw, qlora=small(target_modules=["q_proj"]))
    again = Trainer(max_steps=8, enable_checkpointing=False, callbacks=[StageFreezing(train_patterns(ALL))], **QUIET)
    with pytest.raises(ArtefactError, match=r"differ in 24 parameters, the first model.model.layers.0.mlp.down_proj"):
        again.fit(other, Packed(), ckpt_path=tmp_path / "last.ckpt")


@installed
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--model.qlora.rank", "8"], r"stages/2 was trained with model.qlora.rank 4; the configuration now gives 8"),
        (["--model.qlora", "null"], r"stages/2 was trained with model.qlora.rank 4; the configuration now gives null"),
    ],
)
def test_a_run_of_another_qlora_is_refused_by_name(in_place, args, says):
    with pytest.raises(ArtefactError, match=says):
        fit("whole", *args)


@installed
@pytest.mark.parametrize(
    ("args", "error", "says"),
    [
        (["--model.qlora.rank", "0"], UsageError, "model.qlora.rank is 0; wanted at least 1"),
        (["--model.qlora.dropout", "1"], UsageError, "model.qlora.dropout is 1"),
        (["--model.qlora.target_modules", "[]"], UsageError, "model.qlora.target_modules is"),
        (
            ["--model.qlora.target_modules", "[q_proj, dense]"],
            ModelError,
            r"LlamaForCausalLM has no linear 'dense' in its layers; it has q_proj, k_proj, .*, down_proj$",
        ),
        (["--model.qlora.target_modules", "[lm_head]"], ModelError, "has no linear 'lm_head'"),
        (
            ["--trainer.strategy", "{class_path: lightning.pytorch.strategies.ModelParallelStrategy}"],
            UsageError,
            "ModelParallelStrategy shards parameters",
        ),
    ],
)
def test_what_cannot_be_is_told_before_the_first_stage(in_place, tmp_path, args, error, says):
    with pytest.raises(error, match=says):
        fit(tmp_path / "run", *args)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("missing", room.PACKAGES)
def test_a_missing_package_is_told_in_a_line(missing, monkeypatch, tmp_path):
    found = {name: object() for name in room.PACKAGES}
    monkeypatch.setattr(room, "find_spec", lambda name: None if name == missing else found[name])
    with pytest.raises(
        UsageError, match=rf"^model.qlora: {missing} is missing; wanted pip install 'kovocab\[qlora\]'$"
    ):
        check_qlora(expanded(tmp_path), QLoRA())


def test_the_preset_composes_and_begins_with_the_command_that_uses_it(monkeypatch):
    monkeypatch.chdir(ROOT)
    path = Path("configs/fit/qlora.yaml")
    command = shlex.split(path.read_text().splitlines()[0].removeprefix("# kovocab fit "))
    assert str(path) in command
    made = Configuration("fit", command)
    module, _ = made.build()
    assert module.qlora == QLoRA(**yaml.safe_load(path.read_text())["model"]["qlora"])
    given = made.config_init
    stages = stage_plans(given.schedule, given.stages, given.defaults, 2048 * 8 * 16)
    assert [stage.lr for stage in stages] == [2e-4, 2e-4, 2e-4, 1e-4, 1e-4, 1e-4, 1e-4]
    assert sum(stage.steps for stage in stages) * 2048 * 8 * 16 == pytest.approx(2e9, rel=0.01)
