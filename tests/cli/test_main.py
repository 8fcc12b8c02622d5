"""The front door: help that loads little, settings from files and flags, and an answer to every bad input."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from kovocab.cli.main import STREET, TRAINING, VERBS, main
from support.corpora import numbered, write
from support.front import answer, tree
from support.street import TRAINS, skip_training

TEXT_VERBS = ["count", "combine", "refine", "replace", "pack", "evaluate", "sample"]
EVERY_VERB = [*VERBS, *TRAINING]


# ── help ──


@pytest.mark.parametrize("verb", EVERY_VERB)
def test_help_tells_what_a_verb_does_and_takes(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    if verb in TRAINING:
        skip_training(verb)
    assert main([verb, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: kovocab {verb} ")
    assert "--config" in out
    assert "--print_config" in out
    settings = {"count": "--tokenizer", "refine": "--min_count", "export": "--stage", "fit": "--schedule"}
    assert settings.get(verb, "--help") in out


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize(("args", "code"), [("--version", 0), ("doctor", 0), ("nonsense", 2)])
def test_what_the_shell_closed_is_no_fault(args: str, code: int, closed: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"{sys.executable}" -m kovocab {args} {closed}'], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert (done.stdout == "") == (">&- 2>" in closed or closed == ">&-" or code == 2)


def test_help_lists_the_verbs_in_the_order_of_the_street(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert listed[: len(STREET)] == list(STREET)
    assert sorted(listed) == sorted(EVERY_VERB)
    assert main(["--version"]) == 0


def test_help_loads_neither_torch_nor_polars() -> None:
    code = (
        "import sys; from kovocab.cli.main import main\n"
        f"assert all(main([verb, '--help']) == 0 for verb in {EVERY_VERB})\n"
        "heavy = {'torch', 'lightning', 'transformers', 'polars', 'tokenizers', 'numpy'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=30)


def test_text_verbs_run_without_torch(street: Path, here: Path) -> None:
    words, base = street / "words.parquet", street / "base"
    runs = [
        f"count --corpus {street}/ko.txt --tokenizer {base} --out w.parquet --tokens t.parquet",
        "combine --words [w.parquet,w.parquet] --out two.parquet",
        f"refine --words {words} --base {base} --out tokenizer --min_count 50 --min_syllable_count 50",
        f"replace --tokenizer {street}/tokenizer --words {words} --base {base} --keep {street}/english.parquet --out o",
        f"pack --corpus {street}/ko.txt --tokenizer {base} --out tokens --length 64 --format megatron",
        f"evaluate --corpus {street}/ko.txt --tokenizers [{base},tokenizer]",
        "sample --out s.jsonl --megabytes 0.01",
    ]
    assert [run.split()[0] for run in runs] == TEXT_VERBS
    code = (
        f"import sys; from kovocab.cli.main import main\nfor run in {runs}: assert main(run.split()) == 0, run\n"
        "heavy = {'torch', 'lightning', 'transformers'} & sys.modules.keys()\nassert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
    assert pl.read_parquet("two.parquet")["count"].sum() == 2 * pl.read_parquet("w.parquet")["count"].sum()


WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("torch", "lightning", "transformers", "safetensors", "numpy")))
from kovocab.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""The command where kovocab[train] is not installed."""

NOT_INSTALLED = "is not installed; wanted what training needs: pip install 'kovocab[train]'"


@pytest.mark.parametrize(
    "line",
    [
        *(f"{verb}{more}" for verb in TRAINING for more in ("", " --help_all", " --config {street}/fit.yaml")),
        "expand --model {street}/base --tokenizer {street}/tokenizer --out grown",
        "export --stage {street} --out hub",
        "quickstart",
    ],
)
def test_a_verb_that_trains_says_in_a_line_what_to_install(line: str, street: Path, here: Path) -> None:
    command = [sys.executable, "-c", WITHOUT, *line.format(street=street).split()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    verb = line.split(maxsplit=1)[0]
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert ended.stderr.startswith(f"kovocab {verb}: ")
    assert ended.stderr.endswith(f" {NOT_INSTALLED}\n")
    assert ended.stderr.count("\n") == 1
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("verb", ["expand", "export", "quickstart", *TRAINING])
def test_help_needs_nothing_of_training(verb: str) -> None:
    command = [sys.executable, "-c", WITHOUT, verb, "--help"]
    assert subprocess.run(command, capture_output=True, timeout=30, check=True).stdout.startswith(b"usage: ")


def test_names_that_train_say_what_to_install() -> None:
    code = WITHOUT.partition("from kovocab")[0] + (
        "import kovocab\n"
        "from kovocab import *\n"
        "assert not {'expand', 'StageFreezing'} & {*dir(kovocab)}\n"
        "for name in ('expand', 'StageFreezing'):\n"
        "    try: getattr(kovocab, name)\n"
        "    except ImportError as error: print(error)\n"
        "print(kovocab.refine.__name__)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True).stdout
    lines = out.splitlines()
    assert [line.endswith(NOT_INSTALLED) for line in lines] == [True, True, False]
    assert lines[-1] == "refine"


# ── settings ──


def test_flags_win_over_files_and_later_files_over_earlier(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.yaml").write_text("corpus: [a.txt, b.txt]\ntokenizer: t\nout: a\nthreads: 3\n")
    Path("b.yaml").write_text("out: b\ncolumn: body\n")
    assert main(["count", "--config", "a.yaml", "--config", "b.yaml", "--threads", "5", "--print_config"]) == 0
    printed = capsys.readouterr().out
    expected = (
        "corpus:\n- a.txt\n- b.txt\ntokenizer: t\nout: b\ncolumn: body\nencoding: utf-8\n"
        "normalize: null\ndeduplicate: false\ntemplate: null\nthreads: 5\nmemory: null\non_error: fail\n"
        "add_to: null\ntokens: null\nreport: null\nlog: text\nengine: local\naddress: null\nfingerprint: quick\n"
        "overwrite: false\n"
    )
    assert printed == expected
    Path("c.yaml").write_text(printed)
    assert main(["count", "--config", "c.yaml", "--print_config"]) == 0
    assert capsys.readouterr().out == expected


def test_a_file_of_settings_runs_a_verb(street: Path, here: Path) -> None:
    settings = {"corpus": str(street / "ko.txt"), "tokenizer": str(street / "base"), "out": "a.parquet"}
    Path("count.yaml").write_text(json.dumps(settings))
    assert main(["count", "-c", "count.yaml", "--out", "b.parquet"]) == 0
    assert [path.name for path in sorted(here.iterdir())] == ["b.parquet", "count.yaml"]
    assert Path("b.parquet").read_bytes() == (street / "words.parquet").read_bytes()


FULL = "--corpus a.txt --tokenizer t --out w"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", "wanted a verb, one of count, combine, refine"),
        (
            "cuont --out x",
            "there is no such verb; wanted one of count, combine, refine, thresholds, curate, replace, expand, pack",
        ),
        ("--out x", "kovocab --out: there is no such verb"),
        ("count", "required: corpus, tokenizer, out"),
        ("count --corpus a.txt", "required: tokenizer, out"),
        (f"count {FULL} --colum body", "--colum"),
        (f"count {FULL} --threads many", "threads is many; wanted a whole number or null"),
        ("count --corpus a.txt --tokenizer {street}/base --out w --threads 0", "threads is 0; wanted 1 to 1,024"),
        (f"count {FULL} --tokens w", "out, tokens and report are w, w, w.skipped.jsonl; wanted different files"),
        (f"count {FULL} --report w", "out, tokens and report are w, w; wanted different files"),
        (f"count {FULL} --tokens t --report ./t", "out, tokens and report are w, t, ./t; wanted different files"),
        ("count {one} --memory 5XB", "memory is '5XB'; wanted bytes, or a size such as 4GB or 512MiB"),
        ("count {one} --memory=-5GB", "memory is '-5GB'"),
        ("count {one} --memory 1MB", "memory is 1MB; wanted at least 512MiB"),
        ("count --config memory.yaml {one}", "memory is 1000000; wanted at least 512MiB"),
        (f"count {FULL} --on_error maybe", "on_error is maybe; wanted fail or skip"),
        (f"count {FULL} --log yaml", "log is yaml; wanted text or json"),
        ("combine --words [{street}/words.parquet] --out w --memory 1MB", "memory is 1MB; wanted at least 512MiB"),
        ("count {one} --add_to {street}/words.parquet --tokenizer {other}", "counted for another tokenizer than"),
        (f"count {FULL} stray", "stray"),
        ("count --config key.yaml", "'corpsu'"),
        ("count --config nowhere.yaml", "nowhere.yaml"),
        ("count --config .", "Path is not a file"),
        ("count --config broken.yaml", "broken.yaml"),
        ("count --config list.yaml", "--config list.yaml: no settings by their names"),
        ("count --config latin.yaml", "--config latin.yaml: 'utf-8' codec can't decode"),
        ("count --config type.yaml", "--config type.yaml: threads is many; wanted a whole number or null"),
        ("combine --out w --words []", "no word counts to combine"),
        ("refine --words w --base b --out o --min_count 0", "min_count is 0; wanted 1 or more"),
        ("refine --words w --base b --out o --min_cuont 5", "--min_cuont"),
        ("refine --words w --base b --out o --prune branch", "prune is branch; wanted threshold or leaf"),
        ("expand --model m --tokenizer t", "required: out"),
        ("expand --model m --tokenizer t --out o --dtype int8", "dtype is int8; wanted auto or"),
        ("export --out o", "wanted --run RUN, or --stage with the folder of a stage"),
        ("export --stage s", "required: out"),
        ("evaluate --corpus a.txt --tokenizers []", "tokenizers is empty"),
        ("sample --out s.csv", "s.csv: wanted the suffix .txt, .jsonl or .parquet"),
        ("sample --out s.txt --megabytes -1", "megabytes is -1.0"),
        ("sample --out s.txt --megabytes nan", "megabytes is nan; wanted a number"),
        ("sample --out s.txt --language fr", "language is fr; wanted ko or en or mixed"),
        ("fit --rnu x", "--rnu"),
        ("fit --config {street}/fit.yaml --config key.yaml", "'corpsu'"),
        ("fit --config broken.yaml", "--config broken.yaml: Problems parsing"),
        ("fit --config latin.yaml", "--config latin.yaml: 'utf-8' codec can't decode"),
        ("plan --config deep.yaml", "--config deep.yaml: maximum recursion depth"),
        ("fit --model.model m", "sources"),
        ("validate --trainer.devces 2", "devces"),
    ],
)
def test_a_command_that_cannot_be_used_is_answered_with_2_and_a_line(
    line: str, wanted: str, street: Path, here: Path, base_model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if line.startswith(tuple(TRAINING)):
        skip_training(line.split(maxsplit=1)[0])
    Path("a.txt").write_text("가\n")
    for name, text in {
        "key": "corpsu: a.txt",
        "broken": "a: [",
        "list": "- 1",
        "type": "corpus: a.txt\ntokenizer: t\nout: w\nthreads: many",
        "memory": "memory: 1000000",
        "deep": "a: " + "[" * 990 + "]" * 990,
    }.items():
        Path(f"{name}.yaml").write_text(text + "\n")
    Path("latin.yaml").write_bytes(b"corpus: \xff\n")
    before = tree(here)
    one = f"--corpus a.txt --tokenizer {street}/base --out w"
    code, said = answer(capsys, line.format(street=street, one=one, other=base_model_file).split())
    assert code == 2, said
    assert wanted in said
    assert said.count("\n") == 1, said
    assert tree(here) == before


# ── runs that fail ──


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ("--tokenizer loop", "loop does not exist"),
        ("--tokenizer {street}/base --add_to loop", "loop is a link to nothing"),
    ],
)
def test_a_link_in_a_circle_is_told_in_a_line(
    more: str, wanted: str, street: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "a.txt").write_text("가\n")
    (here / "loop").symlink_to("loop")
    code, said = answer(capsys, ["count", "--corpus", "a.txt", "--out", "w", *more.format(street=street).split()])
    assert (code, said.count("\n")) == (1, 1), said
    assert wanted in said


def test_where_there_are_no_more_threads_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def started() -> None:
        """Start a thread."""
        raise RuntimeError(why)

    monkeypatch.setitem(VERBS, "doctor", started)
    why = "can't start new thread"
    code, said = answer(capsys, ["doctor"])
    assert (code, said) == (
        1, "kovocab doctor: the system gives no more threads, or no memory for one; fewer --threads may do\n"
    )  # fmt: skip
    why = "something else"
    with pytest.raises(RuntimeError, match=why):
        main(["doctor"])


@pytest.fixture
def bad(street: Path, here: Path) -> Path:
    """What a user may have on disk that is not what was wanted."""
    Path("empty.txt").touch()
    Path("blank.txt").write_text("\n")
    Path("ko.jsonl").write_text('{"text": "가"}\n{"text": 5}\n')
    pl.DataFrame({"body": ["가"]}).write_parquet("body.parquet")
    data = write(here, ".jsonl.zst", numbered(20_000)).rename("whole.jsonl.zst").read_bytes()
    Path("cut.jsonl.zst").write_bytes(data[: len(data) // 2])
    Path("other.json").write_text('{"version": "1.0"}')
    Path("tokenizer.json").write_text('{"model": {"type": "BPE"}}')
    Path("english.txt").write_text("no such text\n" * 100)
    Path("file").write_text("a file")
    Path("mine").mkdir()
    Path("mine/notes.md").write_text("precious")
    for name in ("base", "tokenizer"):
        shutil.copytree(street / name, f"other_{name}")
    if TRAINS:
        config = json.loads(Path("other_base/config.json").read_text())
        Path("other_base/config.json").write_text(json.dumps(config | {"vocab_size": 7}))
    shutil.copytree(street / "base", "small_base")
    Path("small_base/model.safetensors").write_bytes(b"\0" * 100)
    Path("other_tokenizer/kovocab.json").unlink()
    return here


COUNT = "--tokenizer {street}/base --out w.parquet"
REFINE = "--base {street}/base --out tok"
EXPAND = "--tokenizer {street}/tokenizer --out grown"
FIT = "--config {street}/fit.yaml --run new"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (f"count --corpus nowhere.txt {COUNT}", "nowhere.txt: no such file"),
        (f"count --corpus empty.txt {COUNT}", "empty.txt holds no documents"),
        (f"count --corpus *.csv {COUNT}", "*.csv: the glob matches no file"),
        (
            f"count --corpus . {COUNT}",
            ".: the folder holds file, and ",
        ),
        (f"count --corpus mine {COUNT}", "no file to read; wanted one of .txt"),
        (f"count --corpus cut.jsonl.zst {COUNT}", "cut.jsonl.zst: after line"),
        (f"count --corpus body.parquet {COUNT}", "body.parquet: no column 'text'; it has body"),
        (f"count --corpus ko.jsonl {COUNT}", "ko.jsonl: line 2: found 5"),
        (f"count --corpus ftp://b/a.txt {COUNT}", "ftp://b/a.txt: cannot be read; wanted a URL"),
        (f"count --corpus https://me:secret@h/a.txt {COUNT}", "password"),
        (f"count --corpus ko.jsonl {COUNT} --out new/deep/w", "ko.jsonl: line 2: found 5"),
        (f"count --corpus blank.txt {COUNT} --add_to nowhere.parquet", "nowhere.parquet cannot be read"),
        (f"count --corpus blank.txt {COUNT} --add_to body.parquet", "body.parquet holds"),
        (f"count --corpus blank.txt {COUNT} --report mine", "mine is a folder"),
        (f"count --corpus blank.txt {COUNT} --out .", ". is a folder"),
        (f"count --corpus blank.txt {COUNT} --out file/w", "file/w cannot be written"),
        ("count --corpus blank.txt --tokenizer other.json --out w", "other.json is not a tokenizer.json"),
        ("count --corpus blank.txt --tokenizer mine --out w", "mine"),
        ("count --corpus blank.txt --tokenizer nowhere --out w", "nowhere"),
        ("count --corpus blank.txt --tokenizer {street}/base --out mine", "mine is a folder"),
        ("count --corpus blank.txt --tokenizer {street}/base --out file/w", "file/w cannot be written"),
        ("combine --words [body.parquet] --out w", "body.parquet holds"),
        ("combine --words [nowhere.parquet] --out w", "nowhere.parquet"),
        ("combine --words [{street}/words.parquet] --out mine", "mine is a folder"),
        (f"refine --words body.parquet {REFINE}", "body.parquet holds"),
        (f"refine --words file {REFINE}", "file cannot be read"),
        (f"refine --words nowhere {REFINE}", "nowhere cannot be read"),
        (f"refine --words whole.jsonl.zst {REFINE}", "wanted word counts as `kovocab count` leaves them"),
        ("refine --words {street}/words.parquet --base tokenizer.json --out t", "tokenizer.json"),
        ("refine --words {street}/words.parquet --base {street}/base --out mine", "mine holds files"),
        ("refine --words {street}/words.parquet --base {street}/base --out file", "file is a file"),
        (f"expand --model ./nowhere {EXPAND}", "no model at ./nowhere"),
        (f"expand --model mine {EXPAND}", "mine is not a model: it has no config.json"),
        (f"expand --model other_base {EXPAND}", "other_base has 2 mismatched keys, the first lm_head.weight; wanted"),
        (f"expand --model small_base {EXPAND}", "small_base cannot be loaded"),
        ("expand --model {street}/base --tokenizer {street}/base --out grown", "`kovocab refine or replace`"),
        ("expand --model {street}/base --tokenizer other_tokenizer --out grown", "other_tokenizer"),
        ("expand --model {street}/base --tokenizer {street}/tokenizer --out mine", "mine holds files"),
        ("export --stage mine --out hub", "mine is no run with a finished stage"),
        ("export --stage {street}/expanded --out hub", "was made by `kovocab expand`"),
        ("export --stage {street}/run --out mine", "mine holds files"),
        ("evaluate --corpus nowhere.txt --tokenizers [{street}/base]", "nowhere.txt: no such file"),
        ("evaluate --corpus blank.txt --tokenizers [other.json]", "other.json is not a tokenizer.json"),
        ("sample --out mine/../file/s.txt", "cannot be written"),
        (f"fit {FIT} --model.model nowhere", "nowhere"),
        (f"fit {FIT} --model.model {{street}}/base", "kovocab.json"),
        (f"fit {FIT} --data.sources.corpus nowhere.txt", "nowhere.txt"),
        ("predict --config {street}/fit.yaml --predictions mine", "mine is a folder"),
    ],
)
def test_a_run_that_fails_says_where_and_leaves_nothing(
    line: str, wanted: str, street: Path, bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_training(line.split(maxsplit=1)[0])
    before = tree(bad, street)
    code, said = answer(capsys, line.format(street=street).split())
    assert code == 1, said
    assert wanted in said
    assert said.count("\n") == 1, said
    left = tree(bad, street)
    assert left == before, left.keys() ^ before.keys()


def test_blank_lines_have_no_ratio(street: Path, bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--corpus", "blank.txt", "--tokenizers", f"[{street}/base]"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[:3] == ["0", "-", "-"]


def test_an_artefact_is_replaced_whole_and_kept_where_the_run_fails(street: Path, here: Path) -> None:
    shutil.copytree(street / "tokenizer", "tok")
    Path("tok/left").touch()
    before = tree(here)
    words = ["--words", str(street / "words.parquet"), "--base", str(street / "base"), "--out", "tok"]
    assert main(["refine", *words, "--max_new_tokens", "1", "--decisions", "nowhere.csv"]) == 2
    assert tree(here) == before
    assert main(["refine", *words, "--min_count", "30", "--min_syllable_count", "30"]) == 1
    assert tree(here) == before
    assert main(["refine", *words, "--min_count", "30", "--min_syllable_count", "30", "--overwrite"]) == 0
    assert Path("tok/left").exists()  # which kovocab did not write
    assert json.loads(Path("tok/kovocab.json").read_text())["settings"]["min_count"] == 30


# ── faults that are skipped ──


def test_what_is_skipped_is_listed_and_ends_with_3(
    street: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("b.jsonl").write_text('{"text": "가"}\nno\n{"text": 5}\n{"text": "나"}\n')
    Path("a.txt").write_bytes(b"fine\n\xff\n")
    pl.DataFrame({"body": ["가"]}).write_parquet("c.parquet")
    line = f"count --corpus . --tokenizer {street}/base --out w.parquet".split()
    code, said = answer(capsys, line)
    assert code == 1
    assert sorted(path.name for path in here.iterdir()) == ["a.txt", "b.jsonl", "c.parquet"]
    assert main([*line, "--on_error", "skip"]) == 3
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("3 documents, 10 bytes: ")
    assert out[-2:] == ["skipped: 4 faults, 3 documents known to be lost", "w.skipped.jsonl"]
    report = [json.loads(line) for line in Path("w.skipped.jsonl").read_text().splitlines()]
    assert [(fault["file"], fault["place"], fault["documents"]) for fault in report] == [
        ("a.txt", "line 2", 1), ("b.jsonl", "line 2", 1), ("b.jsonl", "line 3", 1), ("c.parquet", "", None)
    ]  # fmt: skip
    assert all("wanted" in fault["what"] or "no column" in fault["what"] for fault in report)
    metadata = json.loads(pl.read_parquet_metadata("w.parquet")["kovocab"])
    assert metadata["skipped"] == {"faults": 4, "documents": 3}
    # Another name for the report; and of a corpus without faults no report is left.
    words = Path("w.parquet").rename(here / "words")
    assert main([*line[:1], "--corpus", "[a.txt,b.jsonl]", *line[3:], "--on_error", "skip", "--report", "r"]) == 3
    assert len(Path("r").read_text().splitlines()) == 3
    words.unlink()
    Path("a.txt").write_bytes(b"fine\n")
    assert main([*line[:1], "--corpus", "a.txt", *line[3:], "--on_error", "skip", "--overwrite"]) == 0
    assert sorted(path.name for path in here.iterdir()) == ["a.txt", "b.jsonl", "c.parquet", "r", "w.parquet"]
    # Nothing but faults is no corpus.
    Path("a.txt").write_bytes(b"\xff\n")
    code, said = answer(capsys, [*line[:1], "--corpus", "a.txt", *line[3:], "--on_error", "skip"])
    assert code == 1
    assert "a.txt holds no documents" in said
