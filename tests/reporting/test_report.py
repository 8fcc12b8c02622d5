"""`kovocab report`: what the page says, of a run that is measured, half done, moved; and what is refused."""

import html
import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from kovocab.cli.main import main
from kovocab.evaluating.texts import Budget, held_out
from kovocab.record import read_record
from kovocab.reporting.charts import SERIES
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer
from support.measured import HOSTILE

PLACES = {"base": "base", "tokenizer": "tokenizer", "words": "words.parquet"}


def report(capsys: pytest.CaptureFixture[str], run: Path, *args: object) -> str:
    """The page, and that its path is what was printed."""
    assert main(["report", str(run), *map(str, args)]) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert said.err == ""
    return Path(said.out.strip()).read_text(encoding="utf-8")


def refused(capsys: pytest.CaptureFixture[str], code: int, *args: object) -> str:
    assert main(["report", *map(str, args)]) == code
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1, said
    return said[0]


def text_of(page: str, section: str) -> str:
    """What a section says, without markup."""
    inside = page.split(f'<section id="{section}">')[1].split("</section>", 1)[0]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", inside)))


def test_a_measured_run_is_shown_as_it_was_measured(measured, street, capsys):
    page = report(capsys, measured / "run")
    run, refined = read_record(measured / "run/stages/1", "fit"), read_record(measured / "tokenizer", "refine")
    head = html.unescape(page.split("<header>")[1].split("</header>", 1)[0])
    for fact in (f"{refined['new_tokens']:,}", "8.12 → 4.25", "7.375 → 3.625", "1 of 1"):
        assert f"<b>{fact}</b>" in head
    text = text_of(page, "text")
    packed = json.loads((measured / "run/places.json").read_text())["tokens"]["ko"]
    characters = sum(map(len, held_out(Path(packed), "ko", Budget(5, None)).documents))
    for figure in (
        "8.13",
        "4.25",
        f"{4096 * characters / 800:,.0f}",
        f"{4096 * characters / 400:,.0f}",
        "ko · adapted",
    ):
        assert figure in text
    tokens = text_of(page, "vocabulary")
    for row in refined["rounds"]:
        assert f"{row['size']:,}" in tokens
    base, target = load_tokenizer(street / "base"), load_tokenizer(measured / "tokenizer")
    assert f"{sum('가' <= token <= '힣' for token in target.texts if len(token) == 1) / 11_172:.1%}" in tokens
    training = text_of(page, "training")
    assert f"{run['loss']['val_before']:.3f} {run['loss']['val']:.3f}" in training
    assert f"{run['steps']} {run['tokens']:,}" in training
    learned = text_of(page, "learned")
    for figure in ("37.5%", "17", "6.2%", "0.875", "12", "14.5"):
        assert figure in learned
    promises = text_of(page, "promises")
    assert f"every new token is reachable {refined['promises']['new_tokens']:,}" in promises
    assert f"{run['freezing']['verified_parameters']:,}, of which 0 moved" in promises
    assert f"tokens trained on {run['tokens']:,}" in text_of(page, "cost")
    assert 'class="missing"' not in page
    assert str(measured) not in page
    for prompt in ("old trees",):
        for tokenizer in (base, target):
            assert f"{len(Reference(tokenizer).encode([prompt])[0])} tokens" in text_of(page, "sentence")
    assert "the same tokens before and after" in text_of(page, "sentence")


def test_korean(measured, capsys):
    page = report(capsys, measured / "run", "--language", "ko")
    assert '<html lang="ko">' in page
    for said in ("어휘 확장 보고서", "단어당 토큰", "바이트당 비트", "가장 덜 배운 서른 개", "약속", "1단계 중 1단계"):
        assert said in page
    english = {"tokens per word", "held out", "checked on", "The new tokens", "learning rate"}
    assert not [said for said in english if said in page.split("</style>")[1]]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_word_is_there_in_both(language):
    from kovocab.reporting.words import _SAID, Words

    say = Words(language)
    said = {key: say(key, n=1, done=1, of=1, moved=0, measured=1) for key in _SAID}
    foreign = {"ko": "^[^가-힣]+$", "en": "[가-힣]"}[language]
    assert [key for key, text in said.items() if re.search(foreign, text)] == []


def test_what_a_token_holds_is_text(measured, capsys):
    page = report(capsys, measured / "run")
    body = page.split("</style>")[1]
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in body
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", body)
    assert "[U+202E]" in body
    assert "[U+0000][U+001B]" in body
    assert HOSTILE not in html.unescape(body)


def test_a_section_s_name_is_not_its_table_s_too(measured, capsys):
    page = report(capsys, measured / "run")
    assert page.count(">Cost<") == 1
    assert '<tr><th></th><th class="n">amount</th></tr>' in page


def test_it_asks_for_nothing(measured, capsys):
    """No address but those of namespaces, which are names; no script; every id once."""
    page = report(capsys, measured / "run")
    addresses = set(re.findall(r"(?:https?:)?//[\w.]+[^\"' )]*", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<(script|iframe|object|embed|img)\b|@import|url\((?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_every_colour_of_a_chart_has_a_rule_for_the_dark(measured, capsys):
    page = report(capsys, measured / "run")
    style, body = page.split("</style>")
    used = set(re.findall(r'(fill|stroke)="(#\w+)"', body))
    assert {("fill", SERIES[0]), ("stroke", SERIES[0])} <= used
    assert [f'[{kind}="{colour}"]' for kind, colour in used if f'[{kind}="{colour}"]' not in style] == []


def test_the_same_run_gives_the_same_bytes(measured, capsys, tmp_path):
    assert report(capsys, measured / "run") == report(capsys, measured / "run", "--out", tmp_path / "other.html")


def test_a_run_that_is_not_measured(walked, capsys):
    page = report(capsys, walked / "run")
    for section in ("text", "learned"):
        assert "kovocab evaluate RUN" in text_of(page, section)
    assert "1 of 1" in page
    assert "Loss" in text_of(page, "training")
    stage = read_record(walked / "run/stages/1", "fit")
    held = stage["data"]["sources"][0]["validation"]
    assert f"{held['text_tokens'] / held['words']:.2f}" in text_of(page, "text")  # as packing counted
    assert "Bits per byte" in text_of(page, "training")  # as fit measured
    assert page.count("<svg") == page.count("<figure>") >= 5


def test_a_run_half_done(walked, capsys):
    """No stage is finished: what fit noted and logged is there."""
    shutil.rmtree(walked / "run/stages")
    page = report(capsys, walked / "run")
    assert "No stage is finished yet." in text_of(page, "training")
    assert "Refined until nothing changes" in text_of(page, "vocabulary")
    assert "Loss" in text_of(page, "training")
    shutil.rmtree(walked / "run/logs")
    shutil.rmtree(walked / "expanded")
    page = report(capsys, walked / "run")
    assert "There are no logs" in text_of(page, "training")
    assert "give --expanded" in text_of(page, "sentence")
    assert "<svg" not in page


@pytest.mark.parametrize("gone", ["base", "tokenizer", "words"])
def test_what_was_moved_is_told_and_can_be_given(measured, street, capsys, gone, tmp_path):
    flag, option = f"give --{gone}", {"base": street / "base"}.get(gone, measured / PLACES[gone])
    if gone == "base":
        record = measured / "run/stages/1/kovocab.json"
        record.write_text(
            record.read_text(encoding="utf-8").replace(str(street / "base"), "elsewhere"), encoding="utf-8"
        )
    else:
        option = Path(shutil.move(option, tmp_path / "moved"))
    page = report(capsys, measured / "run")
    assert flag in page
    assert flag not in report(capsys, measured / "run", f"--{gone}", option)


def test_an_evaluation_of_another_tokenizer_or_an_earlier_stage_is_told(measured, capsys):
    path = measured / "run/evaluation.json"
    evaluation = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(evaluation | {"run": {"stages": 1, "finished": 0}}))
    assert "Measured when 0 of the stages were finished; now 1 are." in report(capsys, measured / "run")
    evaluation["models"][1]["tokenizer"] = "f" * 64
    path.write_text(json.dumps(evaluation))
    page = report(capsys, measured / "run")
    assert "of another tokenizer" in page
    assert "4.25" not in page
    path.write_text("{")
    assert "evaluation.json is damaged" in report(capsys, measured / "run")


def test_tables_of_another_vocabulary_are_not_shown(measured, capsys):
    path = measured / "tokenizer/kovocab.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | {"target_tokenizer": "0" * 64}))
    page = report(capsys, measured / "run", "--base", measured / "tokenizer")  # which is not the base's either
    assert "give --base" in page
    assert "give --tokenizer" in page
    assert "hundred most frequent" not in page


def test_a_folder_that_is_no_run(walked, capsys):
    assert "no run: it has no stages" in refused(capsys, 1, walked / "tokenizer")
    assert "does not exist" in refused(capsys, 1, walked / "nowhere")
    assert "language is fr; wanted en or ko" in refused(capsys, 2, walked / "run", "--language", "fr")
    assert not list(walked.rglob("*.html"))


def test_a_file_that_is_not_ours_stays(measured, capsys):
    out = measured / "mine.html"
    out.write_text("<!doctype html><p>mine")
    for flags in ([], ["--overwrite"]):
        said = refused(capsys, 1, measured / "run", "--out", out, *flags)
        assert "no report that kovocab wrote" in said
    assert out.read_text() == "<!doctype html><p>mine"
    first = report(capsys, measured / "run")
    path = measured / "run/report.html"
    path.write_text(first.replace("Vocabulary expansion", "My title"))
    assert "was changed since it was written" in refused(capsys, 1, measured / "run")
    assert "My title" in path.read_text()
    assert report(capsys, measured / "run", "--overwrite") == first == report(capsys, measured / "run")


def test_a_report_of_another_run_or_language_stays_until_told(measured, capsys, tmp_path):
    out = tmp_path / "page.html"
    first = report(capsys, measured / "run", "--out", out)
    assert report(capsys, measured / "run", "--out", out) == first
    said = refused(capsys, 1, measured / "run", "--out", out, "--language", "ko")
    assert 'page.html is of other settings: language was "en" and is "ko"; --overwrite replaces it' in said
    shutil.copytree(measured / "run", measured / "other")
    said = refused(capsys, 1, measured / "other", "--out", out)
    assert 'page.html is of other settings: run was "run" and is "other"' in said
    assert out.read_text() == first
    assert report(capsys, measured / "run", "--out", out, "--language", "ko", "--overwrite") != first


@pytest.mark.parametrize("package", ["altair", "vl_convert"])
def test_without_its_packages_it_says_what_to_install(measured, capsys, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    said = refused(capsys, 2, measured / "run")
    assert (
        said == f"kovocab report: {package} is not installed; wanted what a report needs: pip install 'kovocab[report]'"
    )
