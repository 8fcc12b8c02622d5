"""`kovocab fit` on two processes (gloo): FSDP2's loading, artefacts, refusals; kill -9 in every stage, with DDP too."""

import os
import signal
from contextlib import chdir
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.multiprocessing import ProcessExitedException
from transformers import AutoModelForCausalLM

from kovocab.errors import FreezingError, ModelError, UsageError
from kovocab.expanding.split_rows import fused_state_dict
from kovocab.model.fsdp import shard
from kovocab.model.loading import load_split
from kovocab.record import read_record
from kovocab.stages import STAGES
from support import runs
from support.expanded import save_expanded
from support.models import ids, tiny
from support.ranks import fresh_port, on_two

EVERY = dict(enumerate(STAGES["eeve"], start=1))
DDP = ["--trainer.strategy", "ddp"]
CONFIG = """
model: {model: expanded}
trainer:
  accelerator: cpu
  devices: 2
  strategy:
    class_path: lightning.pytorch.strategies.ModelParallelStrategy
    init_args: {data_parallel_size: 2, tensor_parallel_size: 1}
  gradient_clip_val: 1.0
  accumulate_grad_batches: 2
defaults: {lr: 1e-2, steps: 4}
checkpoint_every: 2
"""


def fit(run, *args):
    fresh_port()
    runs.fit(run, *args)


def killed_run(stage, *args):
    """A run that is killed in the middle of a stage, after its first checkpoint."""
    runs.strike(pytest.MonkeyPatch(), stage, 5, lambda: os.kill(os.getpid(), signal.SIGKILL))
    fit(*args)


class Mover(Callback):
    """Somebody's callback that touches what is frozen, once, in one rank's shard."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, index):
        if trainer.global_rank == 1 and index == 0:
            pl_module.loaded.lm_head.output_old.data.to_local()[0] += 1


class Dtypes(Callback):
    """The dtypes of a weight as it is kept, as its layer computes with it, and of its gradient and state."""

    def on_train_start(self, trainer, pl_module):
        self.seen = {}
        query = pl_module.loaded.model.layers[0].self_attn.q_proj
        query.register_forward_hook(lambda module, *_: self.seen.update(computed=module.weight.dtype))

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        kept = optimizer.param_groups[0]["params"][-1]
        self.seen |= {"kept": kept.dtype, "gradient": kept.grad.dtype}

    def on_train_end(self, trainer, pl_module):
        self.seen["state"] = next(iter(trainer.optimizers[0].state.values()))["exp_avg"].dtype
        torch.save(self.seen, f"dtypes-{trainer.global_rank}.pt")


def others():
    """What needs the processes, and no run of its own: a head with bias, refusals, a frozen row that moved."""
    fit("phi", "--config", "phi.yaml", "--trainer.callbacks+=test_fit_sharded.Dtypes")
    told = []
    for sizes in (["data_parallel_size", "auto"], ["data_parallel_size", "1"], ["tensor_parallel_size", "auto"]):
        with pytest.raises(UsageError) as caught:
            fit("refused", f"--trainer.strategy.{sizes[0]}", sizes[1])
        told.append(str(caught.value))

    def stop():
        raise KeyboardInterrupt

    runs.strike(pytest.MonkeyPatch(), 1, 4, stop)
    with pytest.raises(KeyboardInterrupt):
        fit("moved", "--trainer.callbacks+=test_fit_sharded.Mover")
    with pytest.raises(FreezingError) as caught:
        fit("moved")
    return [*told, str(caught.value)]


class Root(torch.nn.Module):
    """A root as CausalLM is one, with nothing but the model."""

    def forward(self, input_ids):
        return self.model(input_ids=input_ids).logits


def load(folder, mesh, dtype="auto"):
    """The model in `folder`, sharded; and its root."""
    root = Root()

    def sharded(model):
        root.model = model
        shard(root, model, mesh, bf16=False)

    return load_split(folder, 90, dtype, shard=sharded), root


def loads():
    """Sharded models against `from_pretrained`, bit for bit: weights, buffers, logits."""
    torch.distributed.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (2,))
    for folder in sorted(Path().glob("load-*")):
        plain = AutoModelForCausalLM.from_pretrained(folder).eval()
        model, root = load(folder, mesh)
        split, head = model.get_input_embeddings(), model.get_output_embeddings()
        assert all(isinstance(parameter, DTensor) for parameter in model.parameters())
        assert (split.input_old is head.output_old) == plain.config.tie_word_embeddings
        held = sum(parameter.to_local().numel() for parameter in model.parameters())
        assert held <= sum(parameter.numel() for parameter in plain.parameters()) / 2 + 200  # odd rows
        for (name, buffer), other in zip(plain.named_buffers(), model.buffers(), strict=True):
            assert torch.equal(buffer, other), name
        with torch.no_grad():
            torch.testing.assert_close(root.eval()(ids()), plain(ids()).logits)
        fused, wanted = fused_state_dict(model), plain.state_dict()
        if torch.distributed.get_rank():
            assert fused == {}
            continue
        assert fused.keys() == wanted.keys()
        assert [name for name in wanted if not torch.equal(fused[name], wanted[name])] == []
        assert all(fused[name].dtype == wanted[name].dtype for name in wanted)
    assert load(folder, mesh, "bfloat16")[0].dtype == torch.bfloat16
    with pytest.raises(ModelError) as caught:
        load("broken", mesh)
    return str(caught.value)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an expanded Llama, a Phi, a corpus, a configuration, and the run `whole`."""
    folder = runs.make_place(tmp_path_factory.mktemp("place"), CONFIG, attention_dropout=0.1)
    save_expanded(folder / "phi-model", "phi")
    (folder / "phi.yaml").write_text(
        "{model: {model: phi-model, activation_checkpointing: true}, trainer: {precision: bf16-mixed}, "
        "schedule: kosolar}"
    )
    with chdir(folder):
        on_two(fit, "whole")
    return folder


def test_every_stage_moves_what_it_trains_and_nothing_else(in_place):
    before = load_file("expanded/model.safetensors")
    for number, stage in EVERY.items():
        after = load_file(f"whole/stages/{number}/model.safetensors")
        assert runs.moved(before, after) == stage.blocks
        record = read_record(f"whole/stages/{number}")
        assert record["freezing"]["verified_parameters"] == record["freezing"]["frozen_parameters"]
        assert bool(record["freezing"]["frozen_parameters"]) == (number != 6)
        before = after
    assert record["loss"]["val"] < read_record("whole/stages/1")["loss"]["val_before"] - 0.5


def test_kill_9_in_every_stage_resumes_to_the_same_bits(in_place):
    for stage in EVERY:
        with pytest.raises(ProcessExitedException, match="SIGKILL"):
            on_two(killed_run, stage, "killed")
        begun = Path(f"killed/stages/.{stage}")
        assert (begun / "last.ckpt/.metadata").is_file()  # of shards
        state = torch.load(begun / "last.ckpt/meta.pt", weights_only=True)
        assert state["global_step"] == 2
        first, second = state["callbacks"]["StageFreezing"]["start"]  # digests of either rank's shards
        assert first.keys() == second.keys()
        assert (first == second) == (stage == 6)  # where nothing is frozen
    on_two(fit, "killed")
    runs.assert_equal("whole", "killed", EVERY)


def test_kill_9_in_every_stage_of_ddp_resumes_to_the_same_bits(in_place):
    on_two(fit, "whole-ddp", *DDP)
    for stage in EVERY:
        with pytest.raises(ProcessExitedException, match="SIGKILL"):
            on_two(killed_run, stage, "killed-ddp", *DDP)
        assert torch.load(f"killed-ddp/stages/.{stage}/last.ckpt", weights_only=True)["global_step"] == 2
    on_two(fit, "killed-ddp", *DDP)
    runs.assert_equal("whole-ddp", "killed-ddp", EVERY)


def test_a_head_with_bias_refusals_and_a_row_that_moved_before_the_resume(in_place):
    for rank, told in enumerate(on_two(others)):
        for mesh in told[:3]:
            assert "wanted data_parallel_size: 2, tensor_parallel_size: 1" in mesh
        assert ("moved during the fit: model.lm_head.output_old" if rank else "moved on another rank") in told[3]
        dtypes = torch.load(f"dtypes-{rank}.pt", weights_only=True)
        masters = dict.fromkeys(("kept", "gradient", "state"), torch.float32)
        assert dtypes == masters | {"computed": torch.bfloat16}
    assert not Path("refused").exists()
    record = read_record("phi/stages/1")
    assert record["freezing"]["moved_parameters"] == 0
    assert record["loss"]["val"] < record["loss"]["val_before"]
    after = load_file("phi/stages/1/model.safetensors")
    assert all(tensor.dtype == torch.float32 for tensor in after.values())
    before = load_file("phi-model/model.safetensors")
    assert not torch.equal(before["lm_head.bias"], after["lm_head.bias"])


def test_sharded_models_load_as_from_pretrained_loads_them(here):
    for architecture in ("llama", "phi"):
        for tied in (False, True):
            made = tiny(architecture, tie_word_embeddings=tied, seed=tied, rows=101)
            made.save_pretrained(f"load-{architecture}-{tied}", max_shard_size="20kB" if tied else "1GB")
    assert len(list(Path("load-llama-True").glob("*.safetensors"))) > 1
    tiny(num_hidden_layers=1).save_pretrained("broken")
    config = Path("broken/config.json")
    config.write_text(config.read_text().replace('"num_hidden_layers": 1', '"num_hidden_layers": 2'))
    for told in on_two(loads):
        assert "missing keys, the first model.layers.1." in told
