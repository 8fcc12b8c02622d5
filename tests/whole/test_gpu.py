"""`make gpu` rehearsed on the CPU at a tiny size, without what its machine lacks; what it does when parts fail."""

import os
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kovocab.expanding.split_rows import fused_state_dict
from kovocab.stages import STAGES

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import freezing  # noqa: E402
import gpu  # noqa: E402
import gpu_parts  # noqa: E402
import loss  # noqa: E402

LACKING = ("polars", "zlib_ng", "backports.zstd", "mistral_common", "ray")
"""What the machine with the GPU has not (`import x` fails where `sys.modules` has None for it)."""


@pytest.fixture(autouse=True)
def lacking(tmp_path, monkeypatch):
    """The parts, which are processes, find none of it."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({LACKING!r}))\n")
    there = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *([there] if there else [])]))


def drive(folder, *args):
    """The exit code, and the section's parts by their titles."""
    out = folder / "gpu.md"
    code = gpu.main(["--device", "cpu", "--peak", "0.1", "--folder", str(folder / "parts"), "--out", str(out), *args])
    _, *parts = out.read_text().split("\n### ")
    return code, {part.partition("\n")[0]: part for part in parts}


def table(part):
    """The rows of a table of Markdown, as cells."""
    rows = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def number(cell):
    return float(cell.replace(",", "").rstrip("%"))


def test_the_section_has_every_row_in_numbers(tmp_path):
    code, parts = drive(tmp_path)
    assert code == 0
    assert list(parts) == list(gpu.TITLES.values())
    exactness, stages, losses, planned = map(table, parts.values())
    assert [outcome for _, outcome, _ in exactness] == ["passed"]

    given = freezing.parse(["--stages", *"1234567"])
    assert [(int(stage), name) for stage, name, *_ in stages] == freezing.planned(given)
    assert [[name for stage, name, *_ in stages if stage == "1"]] == [list(freezing.CONTENDERS)]
    for _, name, *cells in stages:
        *left, check, speed, memory, used = cells
        assert all(number(cell) > 0 for cell in (*left, speed, memory, used))
        assert bool(check) == (name == "kovocab")

    assert [(int(stage), name) for stage, name, *_ in losses] == loss.planned(loss.parse([]))
    for _, name, *cells in losses:
        if name == loss.FUSED and cells[0].startswith("not in torch"):
            continue
        time, memory, *off = map(number, cells)
        assert time > 0
        assert memory > 0
        assert off[1] < 0.01
        assert (off[0] < 1e-4) or name == loss.FUSED  # torch's adds up in bf16

    assert [int(stage) for stage, *_ in planned] == list(range(1, 8))
    for _, peak, measured, share, speed, measured_speed, of_it in planned:
        assert 0.85 < number(share) < 1.15
        assert number(share) == pytest.approx(number(measured) / number(peak), rel=0.3)  # of rounded ones
        assert (speed, of_it) == ("", "")  # no plan tells a processor's
        assert number(measured_speed) > 0

    # The same model and batch: whatever trains it, its first loss is the same.
    rows = gpu.read(tmp_path / "parts/freezing.jsonl")[1:]
    assert [row["loss"] for row in rows] == pytest.approx([rows[0]["loss"]] * len(rows), abs=1e-4)
    # The table's share of the peak is of the work that is needed, the same for all of a stage.
    hidden, layers, length, products = 64, 2, 32, 2 * (4 * 64 * 64 + 3 * 64 * 172)
    attention = 2 * length * hidden * layers  # half of the square, two products
    forward = 2 * (products + 40_960 * hidden) + attention
    wanted = {
        1: 2 * forward + attention,
        2: forward + 2 * 8_960 * hidden,
        4: forward + 2 * 40_960 * hidden,
        6: 3 * forward,
        7: 2 * forward + attention + 2 * products,
    }
    for row, shown in zip(rows, stages, strict=True):
        if row["stage"] in wanted:
            speed = row["flops_per_second"]
            assert speed / row["tokens_per_second"] == pytest.approx(wanted[row["stage"]])
            assert number(shown[-1]) == pytest.approx(100 * speed / 0.1e12, abs=0.06)


@pytest.mark.parametrize("stage_number", [1, 2, 4, 5, 6])
def test_the_work_that_is_needed_is_what_torch_counts_of_kovocab(stage_number):
    """But for the upper half of attention, which torch computes and counts where it has no kernel for the lower."""
    given = freezing.parse(["--hidden", "64", "--layers", "2", "--length", "32"])
    stage, batch = STAGES["eeve"][stage_number - 1], torch.zeros(2, 32, dtype=torch.int64)
    contender = freezing.Contender(freezing.kovocab, stage, given)
    contender.step(batch)  # which checks the head
    contender.module.loaded.set_attn_implementation("eager")
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: addmm_flops}) as counter:
        contender.step(batch)
    below = stage.layers or stage.input_rows != "none"
    half = (3 if below else 1) * 2 * 32 * 64 * 2
    needed = freezing.flops(freezing.plain_model(given, "meta"), stage, 32)
    assert counter.get_total_flops() == (needed + half) * batch.numel()


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of peft on transformers 5
@pytest.mark.parametrize("stage_number", range(1, 8))
def test_every_contender_trains_what_the_stage_trains(stage_number):
    """Without weight decay and with a fresh optimizer the hooks freeze, too: the same work is compared."""
    given = freezing.parse(["--hidden", "64", "--layers", "1", "--length", "8"])
    stage, batch = STAGES["eeve"][stage_number - 1], torch.tensor([[1, 2, 3, 4, 32_000, 32_001, 40_000, 5]])
    before = plain_weights(freezing.plain_model(given))
    for name in freezing.ways(stage):
        contender = freezing.Contender(freezing.CONTENDERS[name], stage, given)
        contender.step(batch)
        model = contender.module
        if name == "PEFT":
            model = model.merge_and_unload()
        after = fused_state_dict(model.loaded) if name == "kovocab" else plain_weights(model)
        moved = set()
        for key, weight in before.items():
            same = [torch.equal(*halves) for halves in zip(weight.split(32_000), after[key].split(32_000), strict=True)]
            if "layers" in key:
                moved |= set() if all(same) else {"layers"}
            elif key.startswith(("model.embed_tokens", "lm_head")):
                side = "output" if key.startswith("lm_head") else "input"
                moved |= {f"{side}_{half}" for half, still in zip(("old", "new"), same, strict=True) if not still}
        assert moved == stage.blocks, name


def plain_weights(model):
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def addmm_flops(total_shape, left_shape, right_shape, out_shape=None, **kwargs):
    return 2 * left_shape[0] * left_shape[1] * right_shape[1]


def test_what_fails_is_named_and_the_rest_goes_on(tmp_path):
    bad = tmp_path / "test_bad.py"
    bad.write_text("def test_good():\n    pass\n\n\ndef test_bad():\n    assert 1 == 2\n")
    code, parts = drive(tmp_path, "--parts", "tests", "plan", "--tests", str(bad))
    assert code == 1
    exactness, planned = parts.values()
    assert [outcome for _, outcome, _ in table(exactness)] == ["passed", "failed"]
    assert exactness.endswith("\n\nFailed: ::test_bad.\n")
    assert "Failed" not in planned
    assert [row[2] for row in table(planned)] == ["not measured"] * 7


def test_a_part_that_ends_before_its_end_is_told_by_its_last_line(tmp_path):
    code, parts = drive(tmp_path, "--parts", "tests", "--tests", str(tmp_path / "nowhere.py"))
    assert code == 1
    assert "Failed: pytest ended with " in parts[gpu.TITLES["tests"]]


CHILD = """
import pathlib, sys, time
part, folder = sys.argv[1], pathlib.Path(sys.argv[sys.argv.index("--folder") + 1])
rows = {
    "machine": ['{"planned": ["machine"]}', '{"name": "machine", "line": "", "gpu": "", "command": ""}'],
    "freezing": ['{"planned": ["a", "b", "c"], "head": "| x |"}', '{"name": "a", "line": "| a |"}', '{"name": "b", "l'],
}[part]
(folder / f"{part}.jsonl").write_text("\\n".join(rows) + "\\n" * (part == "machine"))
time.sleep(600 * (part != "machine"))
"""


def test_a_part_whose_time_is_up_is_ended_and_what_is_not_there_named(tmp_path, monkeypatch):
    (tmp_path / "child.py").write_text(CHILD)
    monkeypatch.setattr(gpu, "CHILD", tmp_path / "child.py")
    code, parts = drive(tmp_path, "--parts", "freezing", "--seconds", "5")
    said = parts[gpu.TITLES["freezing"]]
    assert "| x |\n| a |\n\nIts time was up after " in said
    assert said.endswith(" s. Not there: b, c.\n")
    assert code == 0  # of a table; tests that did not run prove nothing
    found = gpu.Found(rows=[{"name": "a", "outcome": "passed"}], opening={"planned": ["a", "b"]}, in_time=False)
    assert found.failed("tests")
    skipped = [{"name": "a", "outcome": "skipped", "line": "| a | skipped |"}]
    found = {
        "machine": gpu.Found(rows=[{"gpu": "", "line": "", "command": ""}]),
        "tests": gpu.Found(rows=skipped, opening={"planned": ["a"], "head": "| x | |"}),
    }
    assert found["tests"].failed("tests")
    assert gpu.section(found, 1.0).endswith("| a | skipped |\n\nFailed: nothing passed.\n")
    assert gpu.Found(opening={"planned": ["a"]}, in_time=False).failed("freezing")


def test_a_rival_that_runs_out_of_memory_has_a_row_that_says_so(monkeypatch):
    def too_much(model, stage):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    def broken(model, stage):
        raise ValueError("no such|thing\nand more")

    monkeypatch.setitem(freezing.CONTENDERS, "careful hook", too_much)
    monkeypatch.setitem(freezing.CONTENDERS, "PEFT", broken)
    given = freezing.parse(["--hidden", "64", "--layers", "1", "--length", "8", "--rounds", "1"])
    batches = list(torch.zeros(1, 1, 8, dtype=torch.int64))
    rows = dict(freezing.one_by_one(STAGES["eeve"][0], batches, given))
    assert list(rows) == freezing.ways(STAGES["eeve"][0])
    assert rows["careful hook"] == {"failed": "out of memory"}
    assert all(row["seconds"] > 0 for name, row in rows.items() if name in (freezing.HOOK, "kovocab"))
    shown = freezing.Table(gpu=True)
    line = shown.line({"stage": 1, "contender": "careful hook", **rows["careful hook"]})
    assert line == "| 1 | careful hook | out of memory | | | | | | | |"
    if "PEFT" in rows:
        assert "ValueError: no such\\|thing |" in shown.line({"stage": 1, "contender": "PEFT", **rows["PEFT"]})
    assert all(line.count("|") == other.count("|") for other in shown.head.splitlines())


def test_without_a_gpu_it_says_so_in_a_line(tmp_path, capfd):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert gpu.main(["--folder", str(tmp_path / "parts"), "--out", str(tmp_path / "gpu.md")]) == 1
    said = capfd.readouterr().err.splitlines()
    assert said == [f"there is no NVIDIA GPU that torch {torch.__version__} sees here"]
    assert not (tmp_path / "gpu.md").exists()


def test_no_test_of_the_gpu_is_forgotten():
    marked = [
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if path != Path(__file__) and any(mark in path.read_text() for mark in ("mark.gpu", "DEVICES"))
    ]
    assert sorted(str(path.relative_to(ROOT)) for path in marked) == sorted(gpu_parts.TESTS["cuda"][1:])


def test_the_model_measured_there_has_1_b_parameters():
    given = freezing.parse(gpu_parts.SIZES["cuda"]["freezing"].split())
    assert sum(p.numel() for p in freezing.plain_model(given, "meta").parameters()) > 1e9
    assert given.batch * given.length == 8192
    assert gpu.PARTS.keys() == {"machine", *gpu.TITLES}
