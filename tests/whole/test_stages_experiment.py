"""benchmarks/stages.py: it runs through at its smallest size, and its table is arithmetic on the runs' figures."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import stages_setting  # noqa: E402
import stages_table  # noqa: E402

TEXTS = {"korean": 100, "english": 100}
BASE = {"korean": 9.0, "english": 4.0, "parameters": 1_000_000, "texts": {name: {"bytes": 100} for name in TEXTS}}


def command(home, *args):
    """The experiment, as a process of its own."""
    script = ROOT / "benchmarks" / "stages.py"
    given = ["--size", "smoke", "--device", "cpu", "--out", str(home), *args]
    return subprocess.run([sys.executable, str(script), *given], capture_output=True, text=True, check=False)


def run(arm, seed, korean, flops=1.0, text=1.0, english=4.0):
    """A run of a size whose arms have 20 steps, with figures at half of them, at their end and behind it."""
    curve = [
        {
            "step": 20 * share,
            "tokens": 2_000 * share,
            "flops": 1e6 * flops * share,
            "korean_bytes": 1e4 * text * share,
            "korean": korean + fall,
            "english": english,
        }
        for share, fall in ((0.5, 1.0), (1.0, 0.0), (2.0, -1.0))
    ]
    speed = {"tokens_per_second": 100.0, "characters_per_second": 150.0}
    return {"arm": arm, "seed": seed, "curve": curve, "texts": TEXTS, "new_tokens": 128, **speed}


def line(section, begin):
    """The first line that begins so, and what stands beneath it for Korean."""
    lines = section.splitlines()
    at = next(number for number, each in enumerate(lines) if each.startswith(begin))
    return lines[at], lines[at + 1]


def test_runs_are_compared_at_equal_tokens_compute_and_text():
    reference, other = run("c", 1, 3.0), run("e", 1, 3.0, flops=0.5, text=2.0)
    # c falls by 1 with each doubling: at half of the work it stood at 4, at twice the text at 2.
    for basis, wanted in {"tokens": 0.0, "compute": -1.0, "text": 1.0}.items():
        assert stages_table.less(other, reference, basis, "korean", "smoke") == pytest.approx(wanted)
        assert stages_table.less(reference, reference, basis, "korean", "smoke") == 0.0
    between = run("d", 1, 3.0, flops=2**-0.5)
    assert stages_table.less(between, reference, "compute", "korean", "smoke") == pytest.approx(-0.5)
    assert stages_table.less(run("d", 1, 3.0, flops=9.0), reference, "compute", "korean", "smoke") is None


def test_a_difference_smaller_than_its_spread_tells_nothing_apart():
    rows = [run("c", seed, 3.0 + seed / 100) for seed in (1, 2, 3)]
    rows += [run("e", seed, 2.9 + seed / 100) for seed in (1, 2, 3)]
    rows += [run("d", seed, 3.0 + seed / 100 + odd) for seed, odd in ((1, 0.03), (2, -0.02), (3, 0.02))]
    rows += [run("b", seed, 2.5) for seed in (1, 2)]
    section = stages_table.section("smoke", BASE, rows)
    assert "+0.0100 (-0.0200 to +0.0300): not told apart by three seeds" in line(section, "- **Does KoSOLAR's")[1]
    assert "equal tokens -0.1000 (-0.1000 to -0.1000): yes" in line(section, "- **Do seven stages beat all")[1]
    assert "equal tokens +0.5150 (+0.5100 to +0.5200): no, the other way round" in line(section, "- **Do rows of")[1]
    assert "Does the bias help" not in section  # nobody ran f
    assert "| e | EEVE's seven stages | 3 | 128 | 2.920 (2.910 to 2.930) | 4.000 (4.000 to 4.000) |" in section
    alone = stages_table.section("smoke", BASE, [row for row in rows if row["seed"] == 1])
    assert "-0.1000, of one seed, which tells nothing apart" in line(alone, "- **Do seven stages beat all")[1]


def test_runs_on_other_text_are_no_table():
    with pytest.raises(SystemExit, match="e, seed 1, was measured on"):
        stages_table.section("smoke", BASE, [run("e", 1, 3.0) | {"texts": {"korean": 99, "english": 100}}])


def test_seven_stages_share_the_steps_as_the_configuration_does():
    assert stages_setting.stage_steps(100) == [5, 5, 10, 15, 15, 40, 10]
    assert all(min(stages_setting.stage_steps(size.steps)) >= 1 for size in stages_setting.SIZES.values())


@pytest.mark.timeout(600)  # half a minute where nothing else runs
def test_the_command_runs_through_and_goes_on(tmp_path, data):
    assert data.is_dir()
    first = command(tmp_path / "out", "--arms", "c")
    assert first.returncode == 0, first.stderr
    kept = (tmp_path / "out" / "c-1.json").stat().st_mtime_ns
    second = command(tmp_path / "out", "--arms", "b", "c", "h")
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "out" / "c-1.json").stat().st_mtime_ns == kept
    runs = {arm: json.loads((tmp_path / "out" / f"{arm}-1.json").read_text()) for arm in "bch"}
    steps = stages_setting.SIZES["smoke"].steps
    ends = {arm: next(point for point in each["curve"] if point["step"] == steps) for arm, each in runs.items()}
    # The same blocks of the same text; and seven stages work less.
    assert ends["b"]["korean_bytes"] == pytest.approx(ends["c"]["korean_bytes"])
    assert ends["b"]["flops"] == ends["c"]["flops"] > ends["h"]["flops"]
    assert len(runs["h"]["curve"]) == 7
    section = (tmp_path / "out" / "stages.md").read_text()
    for arm, point in ends.items():
        assert re.search(rf"^\| {arm} \| .* \| {point['korean']:.3f} \| {point['english']:.3f} \|", section, re.M)
    base = json.loads((tmp_path / "out" / "base.json").read_text())
    assert f"{base['korean']:.3f} | {base['english']:.3f}" in section
    assert all(point["korean"] < base["korean"] for point in ends.values())


def test_a_folder_of_other_settings_is_refused(tmp_path):
    import stages  # with torch

    (tmp_path / "size.json").write_text(json.dumps(asdict(stages_setting.SIZES["tiny"])))
    with pytest.raises(SystemExit, match="holds runs of other settings"):
        stages.main(["--size", "smoke", "--out", str(tmp_path)])
