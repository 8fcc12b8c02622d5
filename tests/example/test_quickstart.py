"""The quickstart goes into a folder of its own: what another one trained there stays unless it is told otherwise."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest

from kovocab.artefact import new_folder
from kovocab.cli.main import main
from kovocab.errors import KovocabError
from kovocab.example import quickstart
from kovocab.record import read_record, write_record


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Bases of one small file, and a street whose first verb fails; which verbs were run."""

    def base(called):
        def save(folder):
            (folder / "config.json").write_text(called)
            return f"a {called} with random weights"

        return lambda: save

    run = []

    def stop(verb, **settings):
        run.append(verb)
        raise KovocabError("stop")

    monkeypatch.setattr(quickstart, "BASES", {"llama": base("Llama"), "phi-2": base("phi-2")})
    monkeypatch.setattr(quickstart, "_run", stop)
    return run


def tree(folder):
    """Every file with its content and its time."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in files]


@pytest.fixture
def walked(tmp_path, quick):
    """What a walk left: its base, and a finished stage."""
    out = tmp_path / "q"
    assert main(["quickstart", "--out", str(out), "--base", "phi-2", "--min_count", "20"]) == 1
    with new_folder(out / "stages/1") as folder:
        (folder / "model.safetensors").write_bytes(b"weights")
        write_record(folder, {"verb": "fit"})
    quick.clear()
    return out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "--base phi-2, and this one has --base llama"),
        (["--base", "phi-2"], "--min_count 20, and this one has no --min_count"),
        (["--base", "phi-2", "--min_count", "20", "--corpus", "a.txt"], "no --corpus, and this one has --corpus a.txt"),
    ],
)
def test_another_walk_is_not_replaced_in_silence(walked, capsys, quick, args, said, monkeypatch):
    monkeypatch.chdir(walked.parent)
    (walked.parent / "a.txt").write_text("text")
    before = tree(walked)
    assert main(["quickstart", "--out", str(walked), *args]) == 1
    told = capsys.readouterr().err
    assert f"{walked} is of an earlier quickstart with {said}; wanted another --out, or --overwrite" in told
    assert told.count("\n") == 1
    assert (tree(walked), quick) == (before, [])
    assert main(["quickstart", "--out", str(walked), *args, "--overwrite"]) == 1
    assert quick == ["sample"]
    assert read_record(walked / "base")["settings"]["base"] == ("phi-2" if args else "llama")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--corpus", "gone.jsonl"], 1, "gone.jsonl: no such file or folder"),
        (["--min_count", "0"], 2, "min_count is 0; wanted 1 or more"),
    ],
)
def test_what_is_asked_for_is_looked_at_first(here, capsys, quick, args, code, said):
    assert main(["quickstart", *args]) == code
    assert said in capsys.readouterr().err
    assert (list(here.iterdir()), quick) == ([], [])


def test_the_same_walk_goes_again(walked, quick):
    assert main(["quickstart", "--out", str(walked), "--base", "phi-2", "--min_count", "20"]) == 1
    assert quick == ["sample"]


def test_a_record_of_an_earlier_kovocab_says_its_base_in_words(walked, capsys, quick):
    record = read_record(walked / "base")
    del record["settings"]
    write_record(walked / "base", record)
    assert main(["quickstart", "--out", str(walked)]) == 1
    assert "with --base phi-2, and this one has --base llama" in capsys.readouterr().err
    assert main(["quickstart", "--out", str(walked), "--base", "phi-2"]) == 1
    assert quick == ["sample"]
    shutil.rmtree(walked / "base")
    assert main(["quickstart", "--out", str(walked)]) == 2
    assert "holds stages that are not the quickstart's" in capsys.readouterr().err


def test_bits_per_byte_are_told_before_and_after():
    def row(model, source, script, bits):
        return {"model": model, "source": source, "script": script, "bits_per_byte": bits}

    figures = [
        row(model, source, script, bits)
        for model, bits in (("base", 3.0), ("stage 1", 2.0), ("export", 1.5))
        for source in ("korean", "english", "all")
        for script in ("all", "Latin")
    ]
    assert quickstart._bits({"figures": figures}) == [
        "bits per byte of held-out korean: 3.000 before, 1.500 after",
        "bits per byte of held-out english: 3.000 before, 1.500 after",
    ]


def test_a_verb_ends_with_the_walk(tmp_path):
    """A walk that is killed leaves no verb behind that goes on."""
    pipe = tmp_path / "settings.yaml"
    os.mkfifo(pipe)  # what reads it waits for ever
    walk = "import sys; from kovocab.example.quickstart import _run; _run('count', config=sys.argv[1])"
    try:
        with subprocess.Popen([sys.executable, "-c", walk, pipe], stdout=subprocess.PIPE) as parent:
            assert [parent.stdout.readline() for _ in range(2)][1].startswith(b"$ kovocab count --config ")
            parent.kill()
            parent.communicate(timeout=60)  # to the end of its output, when the verb has let go of it, too
    finally:
        with suppress(OSError):  # nobody reads it any more
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
