"""The verb, through the front door: real text, promises that can fail, and an answer to every wrong input."""

import shutil
from importlib import import_module
from pathlib import Path

import polars as pl
import pytest

import kovocab
from kovocab.cli.main import main
from kovocab.counting.count import count
from kovocab.counting.word_counts import load_counted
from kovocab.errors import UsageError
from kovocab.evaluating.fertility import fertility
from kovocab.record import Record, read_record
from kovocab.refining.candidates import Vocabulary
from kovocab.tokenizer.tokenizer import base_pieces, load_tokenizer
from kovocab.tokenizer.tokenizer_json import TokenizerJson
from support.front import answer, tree
from support.vocabularies import ids

ROOM = import_module("kovocab.replacing.replace")
LINE = "replace --tokenizer {street}/tokenizer --words {street}/words.parquet --base {street}/base"
FULL = LINE + " --keep {street}/english.parquet"


@pytest.fixture(scope="module")
def replaced(street: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("replaced") / "tokenizer"
    assert main(f"{FULL} --out {out} --max_english_loss 0.05".format(street=street).split()) == 0
    return out


def held(folder: Path, street: Path) -> tuple[TokenizerJson, TokenizerJson, Record, list[int]]:
    gone = pl.read_parquet(folder / "replaced.parquet")["id"].to_list()
    return load_tokenizer(street / "base"), load_tokenizer(folder), read_record(folder, "replace"), gone


def test_it_is_of_the_bases_size_and_what_went_is_said(replaced: Path, street: Path) -> None:
    base, target, record, gone = held(replaced, street)
    assert target.size == base.size == record["size"] == len(target.ids)
    table, vocabulary = (pl.read_parquet(replaced / f"{name}.parquet") for name in ("replaced", "vocabulary"))
    assert record["new_tokens"] == len(gone) == len(set(gone)) == vocabulary["new"].sum() > 10
    assert table["old"].to_list() == [base.text_of[i] for i in gone]
    assert table["new"].to_list() == [target.text_of[i] for i in gone]
    assert vocabulary.filter("new").sort("id").select("id", new="token").equals(table.select("id", "new"))
    assert {i: t for i, t in base.text_of.items() if i not in gone} == {
        i: t for i, t in target.text_of.items() if i not in gone
    }
    # Special, bytes, ASCII: never.
    assert not [t for t in table["old"] if t.startswith("<") or (t.isascii() and len(t) == 1)]


def test_every_number_is_that_of_the_tokenizers_themselves(replaced: Path, street: Path) -> None:
    base, target, record, gone = held(replaced, street)
    refined = load_tokenizer(street / "tokenizer")
    table = pl.read_parquet(replaced / "replaced.parquet")
    assert [text["name"] for text in record["texts"]] == ["words", "english"]
    old = pl.Series([0] * len(gone), dtype=pl.UInt64)
    for text, file in zip(record["texts"], ("ko.txt", "en.txt"), strict=True):
        lines = (street / file).read_text().splitlines()
        before, after = ids(base, lines), ids(target, lines)
        for key, found in (("base_", before), ("", after)):
            assert text[f"{key}tokens"] == sum(map(len, found))
            counted = fertility(pl.Series(lines), base if key else target)
            assert text[f"{key}tokens_per_word"] == pytest.approx(counted["tokens_per_word"])
        if record["new_tokens"] == read_record(street / "tokenizer")["new_tokens"]:
            assert text["appended_tokens"] == sum(map(len, ids(refined, lines)))
        old += pl.Series([sum(found.count(i) for found in before) for i in gone], dtype=pl.UInt64)
        assert text["base_tokens_gone"] == sum(i in gone for found in before for i in found)
    assert table["old_count"].to_list() == old.to_list()
    korean = kovocab.count_tokens(str(street / "ko.txt"), target)["count"]
    assert table["new_count"].to_list() == korean.gather(gone).to_list()
    assert record["texts"][0]["loss"] is None
    assert 0 <= record["texts"][1]["loss"] <= 0.05
    english = load_counted(street / "english.parquet").words
    english = english.filter(~pl.col("word").str.contains("[가-힣]"))
    sums = [int(kovocab.count_tokens(english, tokenizer)["count"].sum()) for tokenizer in (base, target)]
    assert record["texts"][1]["loss"] == pytest.approx(sums[1] / sums[0] - 1)


def test_all_tokens_are_reachable_by_merges(replaced: Path, street: Path) -> None:
    _, target, record, _ = held(replaced, street)
    texts = [t for t in target.texts if not t.startswith("<")]
    assert base_pieces(target, texts) == [[target.texts[t]] for t in texts]
    assert record["promises"]["base_tokens_unreachable"] == 0


def test_the_same_again_is_the_same_bytes_and_other_settings_are_not_replaced(
    replaced: Path, street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    line = f"{FULL} --out {again} --max_english_loss 0.05".format(street=street).split()
    assert main(line) == 0
    assert main(line) == 0
    found = {path.name: path.read_bytes() for path in again.iterdir()}
    assert found == {path.name: path.read_bytes() for path in replaced.iterdir()}
    code, said = answer(capsys, [*line[:-1], "0.04"])
    assert (code, said.count("\n")) == (1, 1)
    assert "settings.max_english_loss was 0.05 and is 0.04; --overwrite replaces it" in said
    assert main([*line[:-1], "0.04", "--overwrite", "true"]) == 0


def test_less_loss_is_fewer_tokens_and_the_most_frequent_ones_stay(street: Path, tmp_path: Path) -> None:
    sizes = []
    for bound in ("0", "0.02", "0.3"):
        out = tmp_path / bound
        assert main(f"{FULL} --out {out} --max_english_loss {bound}".format(street=street).split()) == 0
        record = read_record(out, "replace")
        sizes.append(record["new_tokens"])
        assert record["texts"][1]["loss"] <= float(bound)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] < 334
    words, base = str(street / "words.parquet"), str(street / "base")
    settings = kovocab.RefineSettings(20, 20, 800, max_new_tokens=sizes[0])
    refined = kovocab.refine(load_counted(words), base, settings)
    wanted = refined.vocabulary.select("token", "left", "right", "count")
    fewer = pl.read_parquet(tmp_path / "0" / "vocabulary.parquet")
    assert fewer.select("token", "left", "right").equals(wanted.drop("count"))


def test_max_new_tokens_is_the_most(street: Path, tmp_path: Path) -> None:
    out = tmp_path / "o"
    assert main(f"{FULL} --out {out} --max_new_tokens 5".format(street=street).split()) == 0
    record = read_record(out, "replace")
    assert (record["new_tokens"], record["wanted"]) == (5, 5)


WRONG = [
    (2, LINE + " --out o", "required: keep"),
    (2, LINE + " --keep [] --out o", "wanted --keep with the word counts of a text that must not suffer"),
    (2, FULL + " --out o --max_english_loss=-0.1", "max_english_loss is -0.1; wanted a share from 0 on"),
    (2, FULL + " --out o --max_english_loss nan", "max_english_loss is nan"),
    (2, FULL + " --out o --max_new_tokens 0", "max_new_tokens is 0; wanted 1 or more"),
    (2, LINE + " --keep {street}/words.parquet --out o", "have one name, and numbers are told by it"),
    (2, LINE.replace("words.parquet", "english.parquet") + " --keep {street}/words.parquet --out o",
     "english.parquet is not what {street}/tokenizer was refined from"),
    (2, LINE + " --keep [{street}/english.parquet,{street}/english.parquet] --out o", "have one name"),
    (2, FULL + " --out o --base {other}", "was refined for another base than"),
    (2, LINE + " --keep other.parquet --out o", "other.parquet was counted for another tokenizer than"),
    (1, LINE + " --keep nowhere.parquet --out o", "nowhere.parquet cannot be read"),
    (1, LINE + " --keep mine/notes.md --out o", "mine/notes.md cannot be read"),
    (1, FULL + " --out mine", "mine holds files that are not kovocab's"),
    (1, FULL + " --out mine/notes.md", "mine/notes.md is a file"),
    (1, FULL + " --out {street}/tokenizer", "{street}/tokenizer is what replace reads; choose another folder"),
    (1, FULL.replace("{street}/tokenizer", "{street}/base") + " --out o", "is not an artefact of `kovocab refine`"),
    (1, FULL.replace("{street}/tokenizer", "damaged") + " --out o", "damaged/candidates.parquet is not as"),
    (1, FULL.replace("{street}/tokenizer", "half") + " --out o", "half/vocabulary.parquet cannot be read"),
    (2, FULL + " --out o --max_english_loss=", "max_english_loss is ''; wanted a number"),
    (2, FULL + " --out o --max_new_tokens=", "max_new_tokens is ''; wanted a whole number or null"),
    (2, FULL + " --out=", "out is empty"),
    (1, FULL.replace("{street}/tokenizer", "changed") + " --out o", "changed/tokenizer.json is not what"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "line", "wanted"), WRONG, ids=[wanted[:40] for _, _, wanted in WRONG])
def test_wrong_input_is_answered_with_a_line_and_leaves_nothing(
    code: int,
    line: str,
    wanted: str,
    street: Path,
    here: Path,
    base_model_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine").mkdir()
    Path("mine/notes.md").write_text("precious")
    count(pl.Series(["some text"]), base_model_file).save("other.parquet")
    for name in ("damaged", "changed", "half"):
        shutil.copytree(street / "tokenizer", name)
    Path("half/vocabulary.parquet").unlink()
    Path("damaged/candidates.parquet").write_bytes(b"PAR1")
    text = Path("changed/tokenizer.json").read_text()
    Path("changed/tokenizer.json").write_text(text + " ")
    before = tree(here, street)
    got, said = answer(capsys, line.format(street=street, other=base_model_file).split())
    assert got == code, said
    assert wanted.format(street=street) in said
    assert said.count("\n") == 1, said
    assert tree(here, street) == before


def test_nothing_can_go_is_said(street: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(ROOM, "choose", lambda *_: [])
    code, said = answer(capsys, f"{FULL} --out o".format(street=street).split())
    assert code == 2
    assert "max_english_loss 0.01 leaves room for no new token: no old one can go; wanted more" in said
    assert list(here.iterdir()) == []


def test_a_character_that_needs_a_scaffold_does_not_fit_one_id() -> None:
    schema = {"token": pl.String, "left": pl.String, "right": pl.String}
    vocabulary = Vocabulary.of(pl.DataFrame([("늘", None, None)], schema, orient="row"), [], {"늘": "<0xEB><0x8A>"})
    counts, none = pl.Series([5], dtype=pl.UInt64), vocabulary.rows([])
    assert ROOM._fewer(vocabulary, counts, 2, none, "it") is vocabulary
    with pytest.raises(UsageError, match="it leaves room for 1 id, which no new token fits; wanted more"):
        ROOM._fewer(vocabulary, counts, 1, none, "it")


def test_a_choice_that_is_not_closed_breaks_a_promise_by_name(
    street: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The promise of reach can fail: the lowest ids that are no bytes are taken, whatever is made of them."""

    def careless(making, staying, costs, most):
        gone = sorted({part for parts in making.parts.values() for part in parts} - {*staying})[:most]
        for looked in costs:
            looked.drop(gone)
        return gone

    monkeypatch.setattr(ROOM, "choose", careless)
    monkeypatch.setattr(ROOM, "_check_counts", lambda *_: None)
    code, said = answer(capsys, f"{FULL} --out o --max_new_tokens 3".format(street=street).split())
    assert code == 1
    assert "promise 3, reachable tokens: the text of the kept " in said
    assert list(here.iterdir()) == []


def test_counts_that_are_not_the_targets_are_a_fault(
    street: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kovocab.replacing.cost.Cost.tokens", 7)
    code, said = answer(capsys, f"{FULL} --out o".format(street=street).split())
    assert code == 1
    assert "tokens, and 7 were counted while old ones went: a fault of kovocab" in said


# ── real text ──


@pytest.fixture(scope="module")
def english(data: Path) -> pl.Series:
    return pl.read_ndjson(data / "en.jsonl.zst")["text"].head(400)


@pytest.mark.parametrize("name", ["mistral_v1", "gpt2"])
def test_real_bases_and_real_text(name: str, data: Path, ko_small: pl.Series, english: pl.Series, here: Path) -> None:
    base = data / "tokenizers" / name
    count(ko_small.head(3_000), base).save("ko.parquet")
    count(english, base).save("en.parquet")
    how = "--min_count 20 --min_syllable_count 20 --intermediate_vocab_size 4000 --max_new_tokens 400"
    assert main(f"refine --words ko.parquet --base {base} --out refined {how}".split()) == 0
    line = f"replace --tokenizer refined --words ko.parquet --base {base} --keep en.parquet --out out"
    assert main(line.split()) == 0
    old, target, record, gone = load_tokenizer(base), load_tokenizer("out"), read_record("out", "replace"), held_ids()
    assert (record["new_tokens"], target.size) == (400, old.size)
    assert record["promises"]["base_tokens_unreachable"] == 0
    assert abs(record["texts"][1]["loss"]) < 0.0005
    assert record["texts"][0]["tokens_per_word"] == pytest.approx(record["texts"][0]["appended_tokens_per_word"], 0.01)
    lines = english.head(200).to_list()
    same = other = 0
    for before, after in zip(ids(old, lines), ids(target, lines), strict=True):
        if gone.isdisjoint(before):
            assert after == before
            same += 1
        else:
            other += 1
    assert same > 180
    assert (Path("out") / "tokenizer.model").is_file() == (name == "mistral_v1")


def held_ids() -> set[int]:
    return set(pl.read_parquet("out/replaced.parquet")["id"].to_list())
