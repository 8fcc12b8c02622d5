"""An evaluation's file: one that is damaged is named with the key, and nothing else is written over."""

import copy
import json
from contextlib import suppress

import pytest

from kovocab.errors import ArtefactError
from kovocab.evaluating.evaluation import check_out, check_replaced, figures, read_evaluation, table, write_evaluation

FIGURE = {
    "model": "base", "source": "ko", "script": "all", "documents": 2, "bytes": 40, "words": 8, "tokens": 20,
    "nats": 10.0, "bits_per_byte": 0.5, "tokens_per_word": 2.5, "bytes_per_token": 2.0, "one_token": 0.25,
    "two_tokens": None, "new_token_share": 0.0, "used": None,
}  # fmt: skip
MODEL = {
    "name": "base", "kind": "base", "stage": None, "dtype": "float32", "parameters": 5, "rows": 4, "tokens": 4,
    "first_new_id": None, "new_tokens": 0, "tokenizer": "0", "start": "<s>", "context": 64, "stride": 32,
    "seconds": 1.0, "used": None, "produced": None,
}  # fmt: skip
EVALUATION = {
    "verb": "evaluate",
    "run": None,
    "settings": {"documents": None, "bytes": 1, "context": None, "stride": None, "new_tokens": 0, "prompts": []},
    "versions": {},
    "device": "cpu",
    "texts": [{"source": "ko", "documents": 2, "of": 3, "bytes": 40, "words": 8, "sha256": "0"}],
    "models": [MODEL],
    "figures": [FIGURE],
    "samples": [],
    "left_out": [{"model": "export", "why": "it is not there"}],
    "unlearned": None,
    "tasks": [],
}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "evaluation.json"
    write_evaluation(path, EVALUATION)
    assert read_evaluation(path) == EVALUATION
    check_out(path)  # which may be written again


def test_figures_are_not_lost_in_silence(tmp_path):
    path = tmp_path / "evaluation.json"
    check_replaced(path, {}, [], tasks=False)  # nothing is there
    path.touch()
    check_replaced(path, {}, [], tasks=False)
    name = MODEL["name"]
    write_evaluation(path, EVALUATION)
    check_replaced(path, {"ko": "0", "more": "1"}, [name, "stage 9"], tasks=True)
    for texts, models, said in (
        ({"ko": "1"}, [name], "its text of ko is another"),
        ({"en": "0"}, [name], "its text of ko is another"),
        ({"ko": "0"}, ["other"], f"it has measured {name}"),
    ):
        with pytest.raises(ArtefactError, match=f"is of other settings: {said}; --overwrite replaces it"):
            check_replaced(path, texts, models, tasks=False)
    check_replaced(path, {"ko": "0"}, [name], tasks=False, settings={"context": None, "stride": None})
    with pytest.raises(ArtefactError, match=r"settings.context was not given and is 512; --overwrite"):
        check_replaced(path, {"ko": "0"}, [name], tasks=False, settings={"context": 512, "stride": None})
    score = {"model": name, "task": "kobest", "metric": "acc", "value": 0.5, "stderr": None, "samples": None}
    write_evaluation(path, EVALUATION | {"tasks": [score]})
    check_replaced(path, {"ko": "0"}, [name], tasks=True)
    with pytest.raises(ArtefactError, match="it holds tasks, and now none are run"):
        check_replaced(path, {"ko": "0"}, [name], tasks=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"figures": [FIGURE | {"nats": None}]}, r"figures\[0\].nats is null"),
        ({"models": []}, "models"),
        ({"verb": "refine"}, "verb"),
    ],
)
def test_what_is_damaged_is_named(tmp_path, change, said):
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(EVALUATION | change))
    with pytest.raises(ArtefactError, match=said):
        read_evaluation(path)
    with pytest.raises(ArtefactError, match="is there and is no evaluation that kovocab wrote"):
        check_out(path)
    with pytest.raises(ArtefactError, match="cannot be read: No such file"):
        read_evaluation(tmp_path / "gone")


def test_tables():
    lines = table(EVALUATION).splitlines()
    assert lines[0] == "ko: 2 of 3 documents, 40 bytes, 8 words"
    assert " ".join(lines[1].split()) == "model bits/byte tokens tokens/word bytes/token 1 token 1 or 2 new used"
    assert lines[2].split() == ["base", "0.5000", "20", "2.500", "2.000", "25.0%", "-", "-"]
    assert lines[-2:] == ["context 64 tokens, stride 32", "left out: export: it is not there"]
    assert figures([FIGURE], "model", ["tokens"])[1].split() == ["base", "20"]


@pytest.mark.parametrize("value", [KeyError, None, -1, 10**30, "x", [], {}, float("nan")])
def test_no_damage_is_a_traceback(tmp_path, value):
    """At every place of the file: it is refused by name, or what it says is told."""
    path = tmp_path / "evaluation.json"
    places = [(key,) for key in EVALUATION]
    places += [(key, 0, inner) for key in ("texts", "models", "figures", "left_out") for inner in EVALUATION[key][0]]
    for place in places:
        whole = copy.deepcopy(EVALUATION)
        inner = whole
        for key in place[:-1]:
            inner = inner[key]
        if value is KeyError:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value
        path.write_text(json.dumps(whole))
        with suppress(ArtefactError):
            assert table(read_evaluation(path))
