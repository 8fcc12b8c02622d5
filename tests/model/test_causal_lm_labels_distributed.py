"""The label modes on two processes (gloo): DDP and FSDP2 learn the same new input rows, and nothing else moves."""

import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from test_causal_lm_labels import save_spelt

from kovocab.freezing.callback import StageFreezing
from kovocab.model.causal_lm import CausalLM
from kovocab.stages import Stage
from support.models import adamw, parameters
from support.ranks import on_two
from support.watched import Watch, fit

torch.set_num_threads(1)
MODES = ("old_vocab", "distill")
INPUT_NEW = "model.model.embed_tokens.input_new"


class Rows(Watch):
    """Keeps the new input rows, gathered, from before and after."""

    def on_train_end(self, trainer, pl_module):
        super().on_train_end(trainer, pl_module)
        self.rows = [self.before[INPUT_NEW], parameters(pl_module)[INPUT_NEW]]


def every_mode(folder):
    seen = {}
    for mode in MODES:
        sharded = ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1)
        for kind, strategy in (("ddp", DDPStrategy()), ("fsdp2", sharded)):
            module, rows = CausalLM(str(folder), adamw), Rows()
            module.label_mode = mode
            fit(module, strategy, [rows, StageFreezing.from_stage(Stage(input_rows="new"))])
            seen[f"{mode} {kind}"] = {"moved": sorted(rows.moved), "rows": rows.rows}
    return seen


def test_two_processes(tmp_path):
    first, second = on_two(every_mode, save_spelt(tmp_path))
    for mode in MODES:
        ddp, sharded = (first[f"{mode} {kind}"] for kind in ("ddp", "fsdp2"))
        for found in (ddp, sharded, second[f"{mode} ddp"], second[f"{mode} fsdp2"]):
            assert found["moved"] == ["input_new"]
            torch.testing.assert_close(found["rows"], ddp["rows"], atol=1e-4, rtol=0)
        before, after = ddp["rows"]
        assert (after - before).abs().max() > 1e-2  # a hundred times what the two may differ by
