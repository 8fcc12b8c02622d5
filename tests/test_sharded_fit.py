"""`kovocab fit` under FSDP2 on two processes (gloo): loading, artefacts, kill -9 in every stage, what is refused."""

import os
import signal
import socket
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.multiprocessing import ProcessExitedException, get_context, start_processes
from transformers import AutoModelForCausalLM

from expanded import BASE_TOKENS, corpus, save_expanded, texts
from kovocab.artefact import read_record
from kovocab.callbacks import StepSeed
from kovocab.errors import FreezingError, ModelError, UsageError
from kovocab.fit import main
from kovocab.sharding import shard
from kovocab.split_rows import fused_state_dict
from kovocab.stages import Stage
from kovocab.weights import load_split
from models import ids, tiny

SCHEDULE = (Stage(input_rows="new"), Stage(input_rows="new", output_rows="all"), Stage(layers=True))
CONFIG = """
model: {model: expanded}
data:
  sources: [{name: ko, corpus: ko.jsonl}]
  length: 16
  batch_size: 2
  validation_share: 0.05
trainer:
  accelerator: cpu
  devices: 2
  strategy:
    class_path: lightning.pytorch.strategies.ModelParallelStrategy
    init_args: {data_parallel_size: 2, tensor_parallel_size: 1}
  gradient_clip_val: 1.0
  accumulate_grad_batches: 2
schedule: [{input_rows: new}, {input_rows: new, output_rows: all}, {layers: true}]
defaults: {lr: 1e-2, steps: 4}
checkpoint_every: 2
"""


def fit(run, *args):
    main(["fit", "--config", "fit.yaml", "--run", run, *args])


def whole_run():
    """A run that nobody stops."""
    fit("whole")


def killed_run(stage):
    """The same, killed in the middle of a stage, after its first checkpoint."""
    before = StepSeed.on_train_batch_start

    def hook(self, trainer, module, data, index):
        if (self._stage, index) == (stage, 5):
            os.kill(os.getpid(), signal.SIGKILL)
        before(self, trainer, module, data, index)

    StepSeed.on_train_batch_start = hook
    fit("killed")


class Mover(Callback):
    """Somebody's callback that touches what is frozen, once, in one rank's shard."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, index):
        if trainer.global_rank == 1 and index == 0:
            pl_module.loaded.lm_head.output_old.data.to_local()[0] += 1


def others():
    """What needs the processes, and no run of its own: a head with bias, refusals, a frozen row that moved."""
    fit("phi", "--config", "phi.yaml")
    told = []
    for sizes in (["data_parallel_size", "auto"], ["data_parallel_size", "1"], ["tensor_parallel_size", "auto"]):
        with pytest.raises(UsageError) as caught:
            fit("refused", f"--trainer.strategy.{sizes[0]}", sizes[1])
        told.append(str(caught.value))
    before = StepSeed.on_train_batch_start

    def stop(self, trainer, module, data, index):
        if index == 4:
            raise KeyboardInterrupt
        before(self, trainer, module, data, index)

    StepSeed.on_train_batch_start = stop
    with pytest.raises(KeyboardInterrupt):
        fit("moved", "--trainer.callbacks+=test_sharded_fit.Mover")
    StepSeed.on_train_batch_start = before
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
        return torch.device("cpu")

    return load_split(folder, 90, dtype, sharded), root


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
    torch.distributed.destroy_process_group()
    return str(caught.value)


def process(rank, port, folder, job, args):
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": 2, "NODE_RANK": 0}
    os.environ.update({key: str(value) for key, value in (here | {"RANK": rank, "LOCAL_RANK": rank}).items()})
    os.chdir(folder)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    torch.save(job(*args), f"{job.__name__}-{rank}.pt")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def two(folder, job, *args):
    """Run `job` in two processes; what each of them gave. They are forked from one that has imported all of it."""
    get_context("forkserver").set_forkserver_preload(["kovocab.fit"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start_processes(process, (port, folder, job, args), nprocs=2, start_method="forkserver")
    return [torch.load(folder / f"{job.__name__}-{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an expanded Llama, a Phi, a corpus, a configuration, and the run `whole`."""
    folder = tmp_path_factory.mktemp("place")
    save_expanded(folder / "expanded", attention_dropout=0.1)
    save_expanded(folder / "phi-model", "phi")
    corpus(folder, "ko", texts(200))
    (folder / "fit.yaml").write_text(CONFIG)
    (folder / "phi.yaml").write_text(
        "{model: {model: phi-model, activation_checkpointing: true}, trainer: {precision: bf16-mixed}, "
        "schedule: kosolar}"
    )
    two(folder, whole_run)
    return folder


def test_every_stage_moves_what_it_trains_and_nothing_else(place):
    before = load_file(place / "expanded/model.safetensors")
    for number, stage in enumerate(SCHEDULE, start=1):
        after = load_file(place / f"whole/stages/{number}/model.safetensors")
        moved = set()
        for name in before:
            block = {"model.embed_tokens.weight": "input", "lm_head.weight": "output"}.get(name)
            rows = {"old": slice(0, BASE_TOKENS), "new": slice(BASE_TOKENS, None)} if block else {"": slice(None)}
            for part, where in rows.items():
                if not torch.equal(before[name][where], after[name][where]):
                    moved.add(f"{block}_{part}" if block else "layers")
        assert moved == stage.blocks
        record = read_record(place / f"whole/stages/{number}")
        assert record["freezing"]["verified_parameters"] == record["freezing"]["frozen_parameters"] > 0
        before = after
    assert record["loss"]["val"] < read_record(place / "whole/stages/1")["loss"]["val_before"] - 0.5


def test_kill_9_in_every_stage_resumes_to_the_same_bits(place):
    for stage in (1, 2, 3):
        with pytest.raises(ProcessExitedException, match="SIGKILL"):
            two(place, killed_run, stage)
        begun = place / f"killed/stages/.{stage}"
        assert (begun / "last.ckpt/.metadata").is_file()  # of shards
        state = torch.load(begun / "last.ckpt/meta.pt", weights_only=True)
        assert state["global_step"] == 2
        first, second = state["callbacks"]["StageFreezing"]["start"]  # digests of either rank's shards
        assert first.keys() == second.keys()
        assert first != second
    two(place, killed_run, 0)
    for number in (1, 2, 3):
        ours, theirs = ({p.name: p.read_bytes() for p in (place / run / f"stages/{number}").iterdir()} for run in RUNS)
        assert ours == theirs


RUNS = ("whole", "killed")


def test_a_head_with_bias_refusals_and_a_row_that_moved_before_the_resume(place):
    record = None
    for rank, told in enumerate(two(place, others)):
        for mesh in told[:3]:
            assert "wanted data_parallel_size: 2, tensor_parallel_size: 1" in mesh
        assert ("moved during the fit: model.lm_head.output_old" if rank else "moved on another rank") in told[3]
        record = read_record(place / "phi/stages/1")
    assert not (place / "refused").exists()
    assert record["freezing"]["moved_parameters"] == 0
    assert record["loss"]["val"] < record["loss"]["val_before"]
    after = load_file(place / "phi/stages/1/model.safetensors")
    assert all(tensor.dtype == torch.float32 for tensor in after.values())
    before = load_file(place / "phi-model/model.safetensors")
    assert not torch.equal(before["lm_head.bias"], after["lm_head.bias"])


def test_sharded_models_load_as_from_pretrained_loads_them(tmp_path):
    for architecture in ("llama", "phi"):
        for tied in (False, True):
            made = tiny(architecture, tie_word_embeddings=tied, seed=tied, rows=101)
            made.save_pretrained(tmp_path / f"load-{architecture}-{tied}", max_shard_size="20kB" if tied else "1GB")
    assert len(list((tmp_path / "load-llama-True").glob("*.safetensors"))) > 1
    tiny(num_hidden_layers=1).save_pretrained(tmp_path / "broken")
    config = tmp_path / "broken/config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 1', '"num_hidden_layers": 2'))
    for told in two(tmp_path, loads):
        assert "missing keys, the first model.layers.1." in told
