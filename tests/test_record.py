"""Records: whatever is damaged in one is a line that names the file, and never a traceback."""

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kovocab.cli.main import main
from kovocab.counting.word_counts import load_counted, read_counted
from kovocab.errors import ArtefactError, CorpusError
from kovocab.forms import FORMS, fault
from kovocab.ownership import MARK
from kovocab.record import DEEPEST, read_record, write_record
from support.records import REFINED, expanded, trained
from support.street import TRAINS, skip_training, walk

VALUES = (None, -1, 0, 10**30, "x", [], {}, float("nan"), True, 1.5, "\ud800", "../x")


def keys(record: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value in a record; of a list's rows the first alone."""
    rows = record.items() if isinstance(record, dict) else enumerate(record[:1]) if isinstance(record, list) else ()
    for key, value in rows:
        yield (*path, key)
        yield from keys(value, (*path, key))


def damaged(record: dict[str, Any], path: tuple[Any, ...], value: object = KeyError) -> dict[str, Any]:
    """A copy with another value at a place, or without it."""
    whole = inner = copy.deepcopy(record)
    for key in path[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return whole


def damages(record: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Every damage to a record: its name, and the text with it."""
    for path in keys(record):
        for value in (KeyError, *VALUES):
            said = "gone" if value is KeyError else repr(value)
            yield f"{path} {said}", json.dumps(damaged(record, path, value)).encode()
    text = json.dumps(record, ensure_ascii=False).encode()
    for at in range(0, len(text), max(1, len(text) // 20)):
        yield f"cut at {at}", text[:at]
        yield f"a byte at {at}", text[:at] + b"\xff" + text[at + 1 :]
    yield from TEXTS.items()


TEXTS = {
    "empty": b"",
    "no UTF-8": b'{"verb": "\xff"}',
    "a list": b"[]",
    "a number": b"7",
    "no object": b"null",
    "no verb": b"{}",
    "another verb": b'{"verb": "dance"}',
    "a verb and a line break": b'{"verb": "refine\\n"}',
    "a list of verbs": b'{"verb": ["fit"]}',
    "deep": b"[" * 100_000,
    "deep enough to parse": b'{"verb": "fit", "x": ' + b"[" * 900 + b"]" * 900 + b"}",
    "a long number": b'{"verb": ' + b"9" * 5_000 + b"}",
    "half a character": b'{"verb": "\\ud800", "\\udc00": "\\udfff"}',
    "NUL": b"\0" * 100,
    "UTF-16": '{"verb": "fit"}'.encode("utf-16"),
}

READERS = {
    "combine": ("words.parquet", "--words {street}/words.parquet --out {out}/words", None),
    "count": (
        "words.parquet",
        "--corpus {street}/ko.txt --tokenizer {street}/base --add_to {street}/words.parquet --out {out}/words",
        None,
    ),
    "refine": (
        "words.parquet",
        "--words {street}/words.parquet --base {street}/base --out {out}/tokenizer --min_count 50",
        None,
    ),
    "expand": ("tokenizer", "--model {street}/base --tokenizer {street}/tokenizer --out {out}/expanded", None),
    "plan": ("expanded", "--config {street}/fit.yaml", None),
    "fit": ("expanded", "--config {street}/fit.yaml --run {out}/run", "kovocab.fitting.fit.Fit.__call__"),
    "validate": ("expanded", "--config {street}/fit.yaml", None),
    "predict": ("expanded", "--config {street}/fit.yaml --predictions {out}/predictions", None),
    "fit again": ("run/stages/1", "--config {street}/fit.yaml", None),
    "fit further": (
        "run/stages/1",
        "--config {street}/fit.yaml --model.model {street}/run/stages/1 --run {out}/run",
        "kovocab.fitting.fit.Fit.__call__",
    ),
    "test": ("run/stages/1", "--config {street}/fit.yaml --model.model {street}/run/stages/1", None),
    "export": ("run/stages/1", "--stage {street}/run --out {out}/export", None),
    "export over": ("export", "--stage {street}/run --out {street}/export --overwrite true", None),
    "validate packed": ("tokens/[!.]*", "--config {street}/fit.yaml", None),
}
"""Of each verb: the artefact whose record is damaged, the settings, and what stands for its work if that is long."""

MOST = int(os.environ.get("KOVOCAB_DAMAGES", "6"))
"""How many damages a verb meets: some of all kinds, others in each run of a larger number."""


@pytest.fixture(scope="module")
def own_street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("street")
    walk(folder)
    return folder


@pytest.mark.parametrize("called", READERS)
def test_a_damaged_record_is_one_line_of_every_verb_that_reads_it(
    called: str,
    own_street: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    verb = called.partition(" ")[0]
    skip_training(verb)
    artefact, settings, work = READERS[called]
    if work is not None:
        monkeypatch.setattr(work, lambda *_: None)
    place = next(own_street.glob(artefact))
    write, before = _written(place)
    every = list(damages(json.loads(before)))
    try:
        for name, text in every[len(called) % 7 :: max(1, len(every) // MOST)]:
            write(text)
            shutil.rmtree(tmp_path)
            tmp_path.mkdir()
            capsys.readouterr()
            code = main([verb, *settings.format(street=own_street, out=tmp_path).split()])
            said = capsys.readouterr().err.splitlines()
            if code:
                assert code in (1, 2), name
                assert said[-1].startswith(f"kovocab {verb}: "), (name, said)
                assert [line for line in said if str(place) in line] == said[-1:], (name, said)
    finally:
        write(before)


def _written(place: Path) -> tuple[Callable[[bytes], object], bytes]:
    """How the record of an artefact is written, and what it is."""
    if place.is_dir():
        record = place / "kovocab.json"
        return record.write_bytes, record.read_bytes()
    words = pl.read_parquet(place)

    def write(text: bytes) -> None:  # Polars takes text alone
        words.write_parquet(place, metadata={MARK: text.decode("utf-8", errors="ignore")})

    return write, pl.read_parquet_metadata(place)[MARK].encode()


@pytest.mark.parametrize("place", ["tokenizer", "expanded", "run/stages/1", "export", "tokens/[!.]*", "words.parquet"])
def test_every_damage_is_found_or_breaks_no_look_up(place: str, own_street: Path, tmp_path: Path) -> None:
    """The reader alone, on all of them; and the card, which looks up more than any other room."""
    if not TRAINS and place not in ("tokenizer", "words.parquet"):
        pytest.skip("pip install kovocab[train]")
    _, text = _written(next(own_street.glob(place)))
    verb, found = json.loads(text)["verb"], 0
    for name, damage in damages(json.loads(text)):
        (tmp_path / "kovocab.json").write_bytes(damage)
        try:
            record = read_record(tmp_path, verb)
        except ArtefactError as error:
            line = str(error)
        else:
            line = ""
        if line:
            found += 1
            assert str(tmp_path) in line, name
            assert "\n" not in line, name
            continue
        if verb == "fit":
            from kovocab.exporting.card import model_card

            assert model_card(record, "name").startswith("---"), name
    assert found > 100


def test_what_is_no_file_and_no_record(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="is not an artefact of `kovocab expand or fit`: it has no"):
        read_record(tmp_path, "expand", "fit")
    (tmp_path / "kovocab.json").mkdir()
    with pytest.raises(ArtefactError, match=r"kovocab.json cannot be read: Is a directory"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("first_new_id",), "x", 'first_new_id is "x"; wanted a whole number; remove '),
        (("first_new_id",), -1, "first_new_id is -1; wanted a whole number >= 0; remove "),
        (("vocab_size",), True, "vocab_size is true; wanted a whole number"),
        (("vocab_size",), 10**30, f"vocab_size is {10**30}; wanted a whole number <= 4294967296"),
        (("loss", "val"), float("nan"), "loss.val is NaN; wanted a number"),
        (("data", "sources", 0, "train"), KeyError, "there is no data.sources[0].train; "),
        (("base", "tokenizer", "rounds"), [], "base.tokenizer.rounds is []; wanted a list of length >= 1"),
        (("base", "tokenizer", "words", "corpus"), None, "base.tokenizer.words.corpus is null; wanted an object"),
        (("base", "verb"), "count", 'base.verb is "count"; wanted another value than'),
        (("settings", "stage", "input_rows"), "some", 'settings.stage.input_rows is "some"; wanted another value than'),
        (("files",), {"../x": "1 " + "0" * 32}, "files is {"),
    ],
)
def test_it_says_which_key_and_what_was_wanted(path: tuple[Any, ...], value: object, says: str, tmp_path: Path) -> None:
    record = trained(90, 100) | {"files": {}}
    write_record(tmp_path, record)
    assert read_record(tmp_path, "fit") == record
    (tmp_path / "kovocab.json").write_text(json.dumps(damaged(record, path, value)))
    with pytest.raises(ArtefactError) as caught:
        read_record(tmp_path, "fit")
    assert f"{tmp_path}/kovocab.json is not what `kovocab fit` wrote: {says}" in str(caught.value)


def test_keys_of_other_versions_are_nobody_s(tmp_path: Path) -> None:
    for record in (REFINED, expanded(90, 100), trained(90, 100)):
        write_record(tmp_path, record | {"of_tomorrow": {"deep": [1, None]}})
        assert read_record(tmp_path, record["verb"])["of_tomorrow"] == {"deep": [1, None]}


def test_a_run_on_a_run_is_looked_at_to_its_first(tmp_path: Path) -> None:
    record = trained(90, 100)
    for _ in range(20):
        record = trained(90, 100) | {"base": record}
    assert fault(record, "fit") is None
    inner = record
    for _ in range(20):
        inner = inner["base"]
    del inner["base"]["tokenizer"]["first_new_id"]
    assert fault(record, "fit") == "there is no " + "base." * 21 + "tokenizer.first_new_id"
    for _ in range(DEEPEST):
        record = trained(90, 100) | {"base": record}
    write_record(tmp_path, record)
    with pytest.raises(ArtefactError, match=f"nested more than {DEEPEST} deep"):
        read_record(tmp_path, "fit")


def test_names_of_files_that_are_no_text_are_kept(tmp_path: Path) -> None:
    record = {"verb": "refine", "words": {"corpus": {"files": [{"name": "\udcff.txt"}]}}}
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert fault({"verb": "refine", "files": {"a/b.c": "1 " + "0" * 32}}, "sample") is None
    for name in ("/etc/passwd", "../x", "a/../b", "a//b", ".", "..", "a/", "", "a\0b", "\ud800"):
        assert fault({"verb": "refine", "files": {name: "1 " + "0" * 32}}, "sample"), name


def test_every_verb_that_leaves_a_record_has_a_form() -> None:
    assert FORMS.keys() == {"count", "refine", "replace", "expand", "fit", "export", "pack", "bias", "contexts"}


def test_the_record_of_a_file_of_words_is_looked_at(tmp_path: Path) -> None:
    frame = pl.DataFrame({"word": ["a"], "count": [1]}, schema={"word": pl.String, "count": pl.UInt64})
    frame.write_parquet(tmp_path / "w", metadata={MARK: '{"verb": "count tokens"}'})
    with pytest.raises(CorpusError, match=r"the record in .*/w is not a record of kovocab: verb is"):
        read_counted(tmp_path / "w")


def test_a_file_of_words_with_a_null_is_named(tmp_path: Path) -> None:
    sums = {"documents": 1, "bytes": 1, "words": 1, "distinct_words": 2}
    record = {"verb": "count", "corpus": {"kind": "memory"}, "tokenizer": "t", "cut": [True] * 3} | sums
    schema = {"word": pl.String, "count": pl.UInt64}
    frame = pl.DataFrame({"word": ["a", None], "count": [1, None]}, schema=schema)
    frame.write_parquet(tmp_path / "w", metadata={MARK: json.dumps(record)})
    with pytest.raises(CorpusError, match="/w cannot be read: row 1 of the word counts is null"):
        load_counted(tmp_path / "w")
