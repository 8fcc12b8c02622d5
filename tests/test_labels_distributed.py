"""The label modes on two processes (gloo): DDP and FSDP2 learn the same new input rows, and nothing else moves."""

import os
import socket
import warnings
from functools import partial

import polars as pl
import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

from kovocab.causal_lm import CausalLM
from kovocab.freezing import StageFreezing
from kovocab.pieces import save_pieces
from kovocab.stages import Stage
from models import expanded
from test_distributed import Watch, fit, whole
from test_labels import FIRST, SPELT

torch.set_num_threads(1)
MODES = ("old_vocab", "distill")
INPUT_NEW = "model.model.embed_tokens.input_new"


class Rows(Watch):
    """Keeps the new input rows, gathered, from before and after."""

    def on_train_end(self, trainer, pl_module):
        super().on_train_end(trainer, pl_module)
        self.rows = [self.before[INPUT_NEW], whole(pl_module)[INPUT_NEW]]


def process(rank, port, folder):
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": 2, "NODE_RANK": 0}
    os.environ.update({key: str(value) for key, value in (here | {"RANK": rank, "LOCAL_RANK": rank}).items()})
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    adamw = partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1)
    seen = {}
    for mode in MODES:
        sharded = ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
        for kind, strategy in (("ddp", DDPStrategy()), ("fsdp2", sharded)):
            module, rows = CausalLM(str(folder), adamw), Rows()
            module.label_mode = mode
            fit(module, strategy, [rows, StageFreezing.from_stage(Stage(input_rows="new"))])
            seen[f"{mode} {kind}"] = {"moved": sorted(rows.moved), "rows": rows.rows}
    torch.save(seen, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()  # gloo aborts now and then where it ends after Python


def test_two_processes(tmp_path):
    expanded(tmp_path)
    table = {"id": range(FIRST, 100), "token": [f"새{i}" for i in range(10)], "base_pieces": SPELT}
    save_pieces(pl.DataFrame(table), FIRST, tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(process, args=(port, tmp_path), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    for mode in MODES:
        ddp, sharded = (first[f"{mode} {kind}"] for kind in ("ddp", "fsdp2"))
        for found in (ddp, sharded, second[f"{mode} ddp"], second[f"{mode} fsdp2"]):
            assert found["moved"] == ["input_new"]
            torch.testing.assert_close(found["rows"], ddp["rows"], atol=1e-4, rtol=0)
        before, after = ddp["rows"]
        assert (after - before).abs().max() > 1e-2  # a hundred times what the two may differ by
