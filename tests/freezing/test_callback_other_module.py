"""The example of docs/: two stages of a module that knows nothing of kovocab, and the plain model that it leaves."""

import itertools
import runpy
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM

from kovocab.expanding.split_rows import save_plain
from support.models import ids, parameters

torch.set_num_threads(1)
EXAMPLE = Path(__file__).parents[2] / "docs/other_module.py"


def test_two_stages_train_what_their_patterns_say_and_nothing_else(tmp_path):
    example = runpy.run_path(str(EXAMPLE))
    lm = example["expanded_model"]()
    module = example["LanguageModel"](lm)
    states, reports = [parameters(module)], []
    for report in example["two_stages"](module, DataLoader(list(ids(shape=(32, 16))), batch_size=4)):
        reports.append(report)
        states.append(parameters(module))
    moved = [{n for n in a if not torch.equal(a[n], b[n])} for a, b in itertools.pairwise(states)]
    assert moved[0] == {"lm.model.embed_tokens.input_new", "lm.lm_head.output_new"}
    layer = {f"self_attn.{part}_proj" for part in "qkvo"} | {f"mlp.{part}_proj" for part in ("gate", "up", "down")}
    assert moved[1] == {f"lm.model.layers.1.{part}.weight" for part in layer} | {
        "lm.lm_head.output_old",
        "lm.lm_head.output_new",
    }
    for report, names in zip(reports, moved, strict=True):
        assert report["trained_parameters"] == len(names)
        assert report["verified_parameters"] == report["frozen_parameters"] == len(states[0]) - len(names)
    save_plain(lm, tmp_path)
    plain, info = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        torch.testing.assert_close(plain(ids()).logits, lm.eval()(ids()).logits)


def test_it_runs_as_a_script(capsys):
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    said = capsys.readouterr().out
    assert said.count("'moved_parameters': 0") == 2
    assert "saved: Linear with 100 rows" in said
