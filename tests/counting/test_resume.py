"""Kept: a count that is killed, at any moment and as often as you like, goes on and ends with the same file."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kovocab.cli.main import main
from kovocab.corpus import contents
from kovocab.corpus.faults import Fault
from kovocab.counting import one_pass, resume
from kovocab.counting.count import count, count_to
from kovocab.counting.resume import Done, FileProgress, Kept
from kovocab.counting.word_counts import load_counted
from kovocab.errors import ArtefactError, CorpusError
from kovocab.example.text import write_sample
from kovocab.reading import blocks
from kovocab.tokenizer.tokenizer_json import TokenizerJson

KILLABLE = Path(__file__).parents[1] / "support/killable.py"


@pytest.fixture(scope="module")
def base_file(base: TokenizerJson, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base as a `tokenizer.json`, which is loaded sooner."""
    path = tmp_path_factory.mktemp("base") / "tokenizer.json"
    path.write_text(base.pretty())
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for seed in range(6):
        write_sample(folder / f"{seed}{'.jsonl' if seed % 2 else '.txt'}", 200_000 + 100_000 * seed, seed=seed)
    return folder


@pytest.fixture
def texts(corpus: Path, tmp_path: Path) -> Path:
    """A copy of the corpus."""
    return Path(shutil.copytree(corpus, tmp_path / "texts"))


@pytest.fixture(scope="module")
def whole(corpus: Path, base_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a count of the corpus that nothing stopped: the same of each copy."""
    return uninterrupted(corpus, tmp_path_factory.mktemp("made"), base_file)


def uninterrupted(texts: Path, folder: Path, tokenizer: Path, *more: str) -> Path:
    child = started("never", 0, texts, folder / "whole", tokenizer, *more)
    said = child.communicate(timeout=60)
    assert child.returncode in (0, 3), said
    return folder / "whole"


def killed(place: str, at: int, texts: Path, out: Path, tokenizer: Path, *more: str) -> None:
    child = started(place, at, texts, out, tokenizer, *more)
    told, said = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL, said
    assert f"killed at {place}" in told


def started(place: str, at: int, texts: Path, out: Path, tokenizer: Path, *more: str) -> "subprocess.Popen[str]":
    line = ["--corpus", texts, "--tokenizer", tokenizer, "--out", out, "--log", "json", "--threads", "3", *more]
    command = [sys.executable, str(KILLABLE), place, str(at), *map(str, line)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def progress(folder: Path) -> dict[str, Any]:
    path = folder / ".w.counting" / "progress.json"
    return json.loads(path.read_text())["done"]["files"] if path.exists() else {}


def ends(texts: Path, folder: Path, tokenizer: Path, *more: str) -> None:
    """Run to the end; check that what was counted before is not read again."""
    before = progress(folder)
    child = started("never", 0, texts, folder / "w", tokenizer, *more)
    out, said = child.communicate(timeout=60)
    assert child.returncode in (0, 3), said
    read = dict(line.split()[1:] for line in out.splitlines() if line.startswith("read "))
    for path in texts.iterdir():
        state = before.get(path.name, {"done": False, "documents": 0})
        assert (path.name in read) != state["done"]
        assert int(read.get(path.name, 0)) == (0 if state["done"] else state["documents"])
    lines = [json.loads(line) for line in said.splitlines()]
    assert lines[-1]["event"] == "done"
    assert not (folder / ".w.counting").exists()


PLACES = [
    ("before", 1), ("before", 3), ("renames", 1), ("renames", 4), ("kept", 1), ("kept", 15), ("written", 1),
]  # fmt: skip


@pytest.mark.parametrize(("place", "at"), PLACES)
def test_a_count_that_is_killed_goes_on(
    place: str, at: int, texts: Path, whole: Path, tmp_path: Path, base_file: Path
) -> None:
    killed(place, at, texts, tmp_path / "w", base_file)
    assert bool(progress(tmp_path)) == ((place, at) not in [("before", 1), ("renames", 1)])
    assert (tmp_path / "w").exists() == (place == "written")
    ends(texts, tmp_path, base_file)
    assert (tmp_path / "w").read_bytes() == whole.read_bytes()


def test_a_count_that_is_killed_again_and_again(texts: Path, whole: Path, tmp_path: Path, base_file: Path) -> None:
    rng = random.Random(7)
    counted = [0]
    for threads in ("1", "5", "2"):  # of which nothing depends
        place, at = rng.choice([("kept", 4), ("before", 3), ("renames", 5)])
        killed(place, at, texts, tmp_path / "w", base_file, "--threads", threads)
        counted.append(sum(file["documents"] for file in progress(tmp_path).values()))
    assert counted == sorted(set(counted)), "each goes on after the one before"
    for place in ("sort", "write"):
        killed(place, 1, texts, tmp_path / "w", base_file)
    ends(texts, tmp_path, base_file)
    assert (tmp_path / "w").read_bytes() == whole.read_bytes()
    lines = [line for path in sorted(texts.iterdir()) for line in path.read_text("utf-8").splitlines()]
    documents = [json.loads(line)["text"] if line.startswith('{"text"') else line for line in lines]
    record = load_counted(tmp_path / "w").record
    assert record["words_between_space"] == sum(len(text.split()) for text in documents)


def test_a_count_that_is_killed_at_random_moments(texts: Path, whole: Path, tmp_path: Path, base_file: Path) -> None:
    rng = random.Random(11)
    struck = tries = 0
    while struck < 3:  # some are done before
        tries += 1
        assert tries < 20
        child = started("never", 0, texts, tmp_path / "w", base_file)
        assert child.stdout is not None
        child.stdout.readline()  # reading has begun
        time.sleep(rng.uniform(0, 0.25))
        child.kill()
        child.communicate(timeout=60)
        struck += child.returncode == -signal.SIGKILL
    ends(texts, tmp_path, base_file)
    assert (tmp_path / "w").read_bytes() == whole.read_bytes()


def test_ctrl_c_and_the_same_command_again(texts: Path, whole: Path, tmp_path: Path, base_file: Path) -> None:
    child = started("ctrl-c", 5, texts, tmp_path / "w", base_file)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert said.endswith("kovocab count: stopped\n")
    assert "Traceback" not in said
    assert progress(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"texts", ".w.counting"}
    ends(texts, tmp_path, base_file)
    assert (tmp_path / "w").read_bytes() == whole.read_bytes()


def test_faults_are_neither_lost_nor_doubled(texts: Path, tmp_path: Path, base_file: Path) -> None:
    for path in texts.iterdir():
        lines = path.read_bytes().splitlines()
        for at in range(7, len(lines), 50):
            lines[at] = b"\xff" + lines[at]
        path.write_bytes(b"\n".join(lines) + b"\n")
    expected = uninterrupted(texts, tmp_path, base_file, "--on_error", "skip")
    for place, at in [("kept", 3), ("before", 6)]:
        killed(place, at, texts, tmp_path / "w", base_file, "--on_error", "skip")
    report = tmp_path / "report"
    ends(texts, tmp_path, base_file, "--on_error", "skip", "--report", str(report))
    assert (tmp_path / "w").read_bytes() == expected.read_bytes()
    assert report.read_bytes() == (tmp_path / "whole.skipped.jsonl").read_bytes()
    faults = [json.loads(line) for line in report.read_text().splitlines()]
    lines = sum(path.read_bytes().count(b"\xff") for path in texts.iterdir())
    assert len(faults) == len({(fault["file"], fault["place"]) for fault in faults}) == lines > 100
    assert load_counted(tmp_path / "w").record["skipped"] == {"faults": lines, "documents": lines}


def test_a_count_that_fails_goes_on_where_what_is_broken_is_skipped(
    texts: Path, stopped: Path, tmp_path: Path, base_file: Path
) -> None:
    before = progress(tmp_path)
    assert sum(file["documents"] for file in before.values()) > 0
    count_to(tmp_path / "w", texts, base_file, on_error="skip")
    expected = count(texts, base_file, on_error="skip")
    found = load_counted(tmp_path / "w")
    assert found.words.equals(expected.words)
    assert found.record == expected.record


def test_real_text(data: Path, mistral: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOCK", "1_000_000")
    texts = tmp_path / "texts"
    texts.mkdir()
    for name in ("ko_small.jsonl.zst", "other.jsonl.zst"):
        (texts / name).symlink_to(data / name)
    expected = uninterrupted(texts, tmp_path, mistral)
    for place, at in [("kept", 4), ("renames", 3), ("write", 1)]:
        killed(place, at, texts, tmp_path / "w", mistral)
    ends(texts, tmp_path, mistral)
    assert (tmp_path / "w").read_bytes() == expected.read_bytes()


# ── in this process ──


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_pass, "EVERY", 0.0)
    monkeypatch.setattr(one_pass, "_WORTH", 0)
    monkeypatch.setattr(one_pass, "BATCH_SIZE", 60_000)
    monkeypatch.setattr(blocks, "BLOCK", 60_000)


@pytest.fixture
def stopped(texts: Path, tmp_path: Path, base_file: Path, often: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a count that was stopped when some of it was kept."""
    return interrupted(tmp_path, texts, base_file, monkeypatch)


def interrupted(folder: Path, texts: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Path:
    keep, kept_so_often = Kept.keep, 0

    def stops(self: Kept, *what: Any) -> None:
        nonlocal kept_so_often
        keep(self, *what)
        kept_so_often += 1
        if kept_so_often == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Kept, "keep", stops)
        with pytest.raises(KeyboardInterrupt):
            count_to(folder / "w", texts, tokenizer, threads=2, **settings)
    return folder / ".w.counting"


def goes_on(texts: Path, out: Path, tokenizer: Path, whole: Path) -> None:
    count_to(out, texts, tokenizer)
    assert load_counted(out).words.equals(load_counted(whole).words)
    assert not (out.parent / ".w.counting").exists()


def test_what_a_part_has_beyond_what_was_noted_goes(
    texts: Path, stopped: Path, tmp_path: Path, base_file: Path, whole: Path
) -> None:
    parts = sorted(stopped.glob("*.words"))
    assert len(parts) > 100
    for part in parts[::3]:
        with part.open("ab") as file:
            file.write(part.read_bytes()[:1000] + b"\xff")
    (stopped / "005.sorted").write_bytes(b"of a sort that was killed")
    (stopped / "progress.json.part").write_text('{"identi')
    goes_on(texts, tmp_path / "w", base_file, whole)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: os.truncate(folder / "017.words", 3), r"017\.words is shorter than \d+ bytes"),
        (lambda folder: (folder / "017.words").unlink(), r"017\.words is missing"),
        (lambda folder: (folder / "progress.json").write_text(""), r"progress\.json cannot be read"),
        (lambda folder: (folder / "progress.json").write_text("[]"), r"progress\.json is not a record"),
        (lambda folder: (folder / "progress.json").write_text("{}"), r"progress\.json is not a record"),
        (lambda folder: (folder / "progress.json").write_bytes(b"\xff"), r"progress\.json cannot be read"),
    ],
)
def test_damage_to_what_was_kept_is_named_and_nothing_is_changed(
    spoil: Any, said: str, texts: Path, stopped: Path, tmp_path: Path, base_file: Path
) -> None:
    spoil(stopped)
    before = {path.name: path.read_bytes() for path in stopped.iterdir()}
    for _ in range(2):
        with pytest.raises(ArtefactError, match=rf"{said}.*; remove the folder {stopped} to count anew"):
            count_to(tmp_path / "w", texts, base_file)
    assert {path.name: path.read_bytes() for path in stopped.iterdir()} == before


def test_a_bit_of_a_part_that_was_flipped_is_named(
    texts: Path, stopped: Path, tmp_path: Path, base_file: Path, whole: Path
) -> None:
    rng = random.Random(3)
    parts = [part for part in sorted(stopped.glob("*.words")) if part.stat().st_size]
    assert len(parts) > 100
    kept = json.loads((stopped / "progress.json").read_text())
    for part in parts:
        data = part.read_bytes()
        damaged = bytearray(data)
        damaged[rng.randrange(kept["parts"][part.name]["bytes"])] ^= 1 << rng.randrange(8)
        part.write_bytes(damaged)
        with pytest.raises(ArtefactError, match=rf"{part} is damaged.*; remove the folder {stopped} to count anew"):
            Kept(tmp_path / "w", kept["identity"])
        part.write_bytes(data)
    goes_on(texts, tmp_path / "w", base_file, whole)


def test_what_progress_says_is_of_its_form_and_under_its_seal(tmp_path: Path) -> None:
    identity = {"fingerprint": "quick", "on_error": "fail", "files": []}
    under_way = Kept(tmp_path / "w", identity)
    (under_way.folder / "000.words").write_bytes(b"abc")
    done = Done({"\udcff.txt": FileProgress(3, 4, 1)}, words_between_space=7)
    done.skip(Fault("\udcff.txt", "line 1", "what", 2))
    under_way.keep(done, {"000.words": 1})
    under_way.keep(done, {"000.words": 3})
    under_way.close(forget=False)
    path = under_way.folder / "progress.json"
    kept = path.read_text()
    numbers = list(re.finditer(r"(?<=: )\d+", kept))
    assert len(numbers) == 11
    for number in numbers:
        for other in (str(int(number[0]) + 1), "-1", "1.5", '"x"', "null", "[1]"):
            path.write_text(kept[: number.start()] + other + kept[number.end() :])
            with pytest.raises(ArtefactError, match=rf"{path} is .*; remove the folder {under_way.folder} to count"):
                Kept(tmp_path / "w", identity)
    path.write_text(kept)
    again = Kept(tmp_path / "w", identity)
    assert again.done == done
    again.close(forget=True)


def test_what_is_no_longer_the_same_is_named(
    texts: Path, stopped: Path, tmp_path: Path, base_file: Path, whole: Path
) -> None:
    out = tmp_path / "w"
    advice = f"; remove the folder {stopped} to count anew"

    def refused(said: str, tokenizer: Path = base_file, corpus: Any = texts, **settings: Any) -> None:
        with pytest.raises(ArtefactError) as caught:
            count_to(out, corpus, tokenizer, **settings)
        assert str(caught.value).startswith(f"a count of this was interrupted, and {said}")
        assert str(caught.value).endswith(advice)
        assert "\n" not in str(caught.value)

    refused("column was 'text' and is 'body'", column="body")
    count_to(tmp_path / "old", texts / "0.txt", base_file)
    refused("add_to was [] and is ['", add_to=tmp_path / "old")
    model = json.loads(base_file.read_text())
    model["added_tokens"].pop()
    (tmp_path / "tokenizer.json").write_text(json.dumps(model))
    refused("tokenizer was '", tokenizer=tmp_path / "tokenizer.json")
    refused("0.txt is gone since, and 4 other files are not as before", corpus=texts / "1.jsonl")

    (texts / "new.txt").write_text("새\n")
    refused("new.txt is new since")
    (texts / "new.txt").unlink()
    hidden = tmp_path / "hidden"
    (texts / "3.jsonl").rename(hidden)
    refused("3.jsonl is gone since")
    hidden.rename(texts / "3.jsonl")
    stat = (texts / "4.txt").stat()
    data = (texts / "4.txt").read_bytes()
    (texts / "4.txt").write_bytes(data + b"more\n")
    refused("4.txt has changed since")
    middle = len(data) // 4  # which no sample of the file holds
    (texts / "4.txt").write_bytes(data[:middle] + b"a" + data[middle + 1 :])
    refused("4.txt has changed since")
    (texts / "4.txt").write_bytes(data)
    os.utime(texts / "4.txt", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    goes_on(texts, out, base_file, whole)  # nothing was changed by being refused


def test_a_count_goes_on_by_the_fingerprint_that_it_began_with(
    texts: Path, stopped: Path, tmp_path: Path, base_file: Path
) -> None:
    with pytest.raises(ArtefactError, match=r"interrupted, and fingerprint was 'quick' and is 'full'; remove"):
        count_to(tmp_path / "w", texts, base_file, fingerprint="full")


@pytest.mark.parametrize("fingerprint", ["quick", "full"])
def test_a_file_that_was_replaced_since(
    fingerprint: Any, texts: Path, tmp_path: Path, base_file: Path, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one of the same size and time, and different where no sample looks: as rsync puts it there."""
    path = texts / "4.txt"
    interrupted(tmp_path, texts, base_file, monkeypatch, fingerprint=fingerprint)
    stat, data = path.stat(), path.read_bytes()
    beside = tmp_path / "beside"
    beside.write_bytes(data[: len(data) // 4] + b"a" + data[len(data) // 4 + 1 :])
    os.utime(beside, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    beside.replace(path)
    with pytest.raises(ArtefactError, match=r"interrupted, and 4\.txt has changed since; remove"):
        count_to(tmp_path / "w", texts, base_file, fingerprint=fingerprint)


def test_files_that_were_only_linked_and_moved_go_on(
    texts: Path, stopped: Path, tmp_path: Path, base_file: Path, whole: Path
) -> None:
    for path in texts.iterdir():
        path.chmod(0o600)
        (tmp_path / f"link {path.name}").hardlink_to(path)
    texts.rename(tmp_path / "elsewhere")
    goes_on(tmp_path / "elsewhere", tmp_path / "w", base_file, whole)


def test_the_folder_of_somebody_else(texts: Path, tmp_path: Path, base_file: Path) -> None:
    folder = tmp_path / ".w.counting"
    folder.mkdir()
    for name, text in [("000.words", "mine"), ("lock", "mine"), ("notes.md", "mine")]:
        (folder / name).write_text(text)
        with pytest.raises(ArtefactError, match=rf"\.w\.counting/{name} is not kovocab's and is in the way; move it"):
            count_to(tmp_path / "w", texts, base_file)
        assert {path.name: path.read_text() for path in folder.iterdir()} == {name: text}
        (folder / name).unlink()
    count_to(tmp_path / "w", texts, base_file)
    assert not folder.exists()


def test_what_was_put_beside_what_was_kept_stays(
    texts: Path, stopped: Path, tmp_path: Path, base_file: Path, whole: Path
) -> None:
    theirs = {"2024-notes.txt": "mine", "x.words": "mine", "0.sorted": "mine"}
    for name, text in theirs.items():
        (stopped / name).write_text(text)
    count_to(tmp_path / "w", texts, base_file)
    assert load_counted(tmp_path / "w").words.equals(load_counted(whole).words)
    assert {path.name: path.read_text() for path in stopped.iterdir()} == theirs


@pytest.mark.parametrize("removed", range(6))
def test_what_is_killed_while_it_is_removed_is_still_ours(
    removed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(path: Path, **more: bool) -> None:
        if gone.append(path.name) or len(gone) > removed:
            raise KeyboardInterrupt
        os.unlink(path)  # noqa: PTH108 - which is replaced

    kept, gone = Kept(tmp_path / "w", {"files": []}), list[str]()
    for name in ("000.words", "001.words", "002.sorted"):
        (kept.folder / name).write_bytes(b"x")
    kept.keep(Done(), {"000.words": 1})
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with suppress(KeyboardInterrupt):
            kept.close(forget=True)
    del kept
    Kept(tmp_path / "w", {"files": []}).close(forget=True)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_at_once(
    texts: Path, whole: Path, tmp_path: Path, base_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = started("never", 0, texts, tmp_path / "w", base_file)
    assert first.stdout is not None
    first.stdout.readline()
    first.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(ArtefactError, match=f"{tmp_path}/w is being counted by another process"):
            count_to(tmp_path / "w", texts, base_file)
        line = f"count --corpus {texts} --tokenizer {base_file} --out {tmp_path}/w".split()
        assert main(line) == 1
        assert capfd.readouterr().err == f"kovocab count: {tmp_path}/w is being counted by another process\n"
    finally:
        first.send_signal(signal.SIGCONT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 0, said
    assert (tmp_path / "w").read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("how", ["longer", "gone", "as long", "in secret"])
def test_a_file_that_changes_while_it_is_counted(
    how: str, texts: Path, tmp_path: Path, base_file: Path, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Kept.keep
    path = texts / "0.txt"

    def changes(self: Kept, done: Done, parts: Any) -> None:
        keep(self, done, parts)
        if done.of("0.txt").done:
            if how == "gone":
                path.unlink(missing_ok=True)
            else:
                data, stat = path.read_bytes(), path.stat()
                path.write_bytes(data + b"x" if how == "longer" else b"x" + data[1:])
                if how == "in secret":
                    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    monkeypatch.setattr(Kept, "keep", changes)
    changed = "was removed" if how == "gone" else "changed"
    with pytest.raises(CorpusError, match=rf"0\.txt {changed} while it was counted; wanted files that stand still"):
        count_to(tmp_path / "w", texts, base_file)
    assert not (tmp_path / "w").exists()


def test_files_that_share_a_name_are_told_apart(
    texts: Path, stopped: Path, tmp_path: Path, base_file: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of a bucket and one here may."""
    rows = contents.identities
    monkeypatch.setattr(contents, "identities", lambda *files: [row | {"name": "a.txt"} for row in rows(*files)])
    monkeypatch.setattr(one_pass, "READERS", 1)
    stopped.rename(tmp_path / "another")
    record, _ = count_to(tmp_path / "w", texts, base_file)
    assert load_counted(tmp_path / "w").words.equals(load_counted(whole).words)
    assert record["documents"] == load_counted(whole).record["documents"]


def test_a_count_that_fails_before_anything_is_kept_leaves_nothing(tmp_path: Path, base_file: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"fine\n\xff\n")
    with pytest.raises(CorpusError, match=r"a\.txt: line 2"):
        count_to(tmp_path / "new" / "deep" / "w", tmp_path / "a.txt", base_file)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_names_that_are_no_utf_8(tmp_path: Path, base_file: Path, often: None) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"\xff.txt")).write_bytes(b"the end\n\xff\n")
    except OSError as error:
        pytest.skip(f"such a name cannot be had here: {error}")
    line = f"count --corpus {folder} --tokenizer {base_file} --out {tmp_path}/w --on_error skip"
    assert main(line.split()) == 3
    assert load_counted(tmp_path / "w").record["corpus"]["files"][0]["name"] == "\udcff.txt"
    fault = json.loads((tmp_path / "w.skipped.jsonl").read_text())
    assert fault["file"] == f"{folder}/\udcff.txt"


def test_names_that_are_no_utf_8_of_tables(tmp_path: Path, base_file: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"such a name cannot be had here: {error}")
    (folder / "a.txt").write_text("the end\n")
    count_to(tmp_path / "w.parquet", folder, base_file)
    with pytest.raises(ArtefactError, match=r"\udcff/w\.parquet is a name in bytes that are no UTF-8; wanted another"):
        count_to(folder / "w.parquet", folder, base_file)
    shutil.copy(tmp_path / "w.parquet", folder / "w.parquet")
    with pytest.raises(
        CorpusError, match=r"w\.parquet: is a name in bytes that are no UTF-8, which tables are not read"
    ):
        count_to(tmp_path / "v", folder, base_file, column="word")
    record, skipped = count_to(tmp_path / "v", folder, base_file, column="word", on_error="skip")
    assert (record["documents"], [fault.file for fault in skipped]) == (1, [f"{folder}/w.parquet"])
    with pytest.raises(CorpusError, match=r"w\.parquet is a name in bytes"):
        load_counted(folder / "w.parquet")


def test_each_count_has_a_report_of_its_own(tmp_path: Path, base_file: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"the end\n\xff\n")
    (tmp_path / "good.txt").write_bytes(b"the end\n")
    for name, report in (("ko.v1", "ko.v1.skipped.jsonl"), ("ko.v2.parquet", "ko.v2.skipped.jsonl")):
        line = f"count --corpus {tmp_path}/bad.txt --tokenizer {base_file} --out {tmp_path}/{name} --on_error skip"
        assert main(line.split()) == 3
        assert (tmp_path / report).is_file()
    for name in ("ko.v3", "ko.pq"):
        assert main(f"count --corpus {tmp_path}/good.txt --tokenizer {base_file} --out {tmp_path}/{name}".split()) == 0
    assert {path.name for path in tmp_path.glob("*.jsonl")} == {"ko.v1.skipped.jsonl", "ko.v2.skipped.jsonl"}


def test_what_was_skipped_is_written_before_anything_else_may_fail(
    tmp_path: Path, base_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.txt").write_bytes(b"the end\n\xff\n")
    report = tmp_path / "report.jsonl"

    def full(*_: object, **__: object) -> None:
        raise ArtefactError("no space is left")

    settings: dict[str, Any] = {"on_error": "skip", "report": report, "tokens": tmp_path / "tokens"}
    for name in ("write_report", "count_tokens_to"):
        with monkeypatch.context() as patched:
            patched.setattr(f"kovocab.counting.count.{name}", full)
            with pytest.raises(ArtefactError, match="no space"):
                count_to(tmp_path / "w", tmp_path / "bad.txt", base_file, **settings)
        assert report.is_file() == (name == "count_tokens_to")
    assert json.loads(report.read_text())["place"] == "line 2"
    count_to(tmp_path / "w", tmp_path / "bad.txt", base_file, **settings)
    assert (tmp_path / "tokens").is_file()


def test_a_count_that_fails_as_it_goes_on_lets_go(
    tmp_path: Path, base_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_bytes(b"the end\n")

    def broken(*_: object) -> None:
        raise OSError("cannot be read")

    with monkeypatch.context() as patched:
        patched.setattr(one_pass.Pass, "goes_on", broken)
        with pytest.raises(OSError, match="cannot be read") as caught:
            count_to(tmp_path / "w", tmp_path / "a.txt", base_file)
    count_to(tmp_path / "w", tmp_path / "a.txt", base_file)
    assert caught.tb is not None  # as long as somebody looks at it, nothing of it is closed by chance


# ── a full disk ──


@pytest.fixture
def small(disk: Callable[[str], Path]) -> Path:
    return disk("3m")


def test_a_disk_that_fills_while_words_are_spilled(texts: Path, whole: Path, small: Path, base_file: Path) -> None:
    child = started("never", 0, texts, small / "w", base_file)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 1
    last = said.splitlines()[-1]
    assert last.startswith("kovocab count: ")
    assert f"{small}/.w.counting/" in last
    assert "No space left on device" in last
    assert "Traceback" not in said
    done = progress(small)
    assert sum(file["documents"] for file in done.values()) > 1000
    assert not (small / "w").exists()
    # On a larger disk it goes on.
    subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
    ends(texts, small, base_file)
    assert (small / "w").read_bytes() == whole.read_bytes()


def test_progress_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way = Kept(tmp_path / "w", {"files": []})
    under_way.keep(Done({"a": FileProgress(3, 4, 0)}), {})
    write_text = Path.write_text

    def full(path: Path, *what: Any, **how: Any) -> int:
        write_text(path, "{", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(ArtefactError, match=r"progress\.json cannot be written: No space left on device"):
            under_way.keep(Done(), {})
    under_way.close(forget=False)
    again = Kept(tmp_path / "w", {"files": []})
    assert again.done == Done({"a": FileProgress(3, 4, 0)})
    again.close(forget=True)
    assert list(tmp_path.iterdir()) == []


def test_faults_beyond_those_that_are_listed_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "LISTED", 2)
    done = Done()
    for number in range(5):
        done.skip(Fault("a", f"line {number}", "what", None if number == 1 else 2))
    assert [fault.place for fault in done.skipped] == ["line 0", "line 1"]
    assert (done.faults, done.lost) == (5, 8)
    under_way = Kept(tmp_path / "w", {"files": []})
    under_way.keep(done, {})
    under_way.close(forget=False)
    again = Kept(tmp_path / "w", {"files": []})
    assert again.done == done
    again.close(forget=True)
