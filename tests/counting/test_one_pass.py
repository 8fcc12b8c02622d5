"""The pass: what it says of the corpus that it read."""

import json
import os
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from kovocab.counting.count import count_to
from kovocab.counting.tally import Tally
from kovocab.counting.word_counts import load_counted
from kovocab.errors import CorpusError, UsageError


def test_a_full_fingerprint_is_of_all_that_the_corpus_holds(
    ko_small: pl.Series, base_model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n" for text in ko_small.head(1_000)]
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jsonl").write_bytes(b"".join(lines))
        (tmp_path / name / "b.jsonl").write_bytes(lines[0])
    files = {}
    for name, fingerprint in [("here", "full"), ("there", "full"), ("here", "quick")]:
        out = tmp_path / f"{name}.{fingerprint}"
        count_to(out, tmp_path / name, base_model_file, fingerprint=fingerprint)
        files[out.name] = load_counted(out).record["corpus"]["files"]
    assert (tmp_path / "here.full").read_bytes() == (tmp_path / "there.full").read_bytes()
    for row in files["here.full"]:
        content = (tmp_path / "here" / row["name"]).read_bytes()
        assert row["contents"] == blake2b(content, digest_size=16).hexdigest()
        assert row.keys() == {"name", "bytes", "contents"}
    assert all(row.keys() == {"name", "bytes", "blake2b"} for row in files["here.quick"])
    path = tmp_path / "here" / "a.jsonl"
    place = path.read_bytes().index("다".encode(), path.stat().st_size // 4)  # which no sample holds

    def edited(data: bytes) -> None:
        stat = path.stat()
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    before = path.read_bytes()
    edited(before[:place] + "라".encode() + before[place + 3 :])
    count_to(tmp_path / "edited", tmp_path / "here", base_model_file, fingerprint="full")
    rows = load_counted(tmp_path / "edited").record["corpus"]["files"]
    changes = [row["contents"] != old["contents"] for row, old in zip(rows, files["here.full"], strict=True)]
    assert changes == [True, False]

    update = Tally.update

    def meanwhile(self: Tally, *what: Any) -> int:
        edited(before)
        return update(self, *what)

    monkeypatch.setattr(Tally, "update", meanwhile)
    with pytest.raises(CorpusError, match=r"a\.jsonl changed while it was counted"):
        count_to(tmp_path / "n", tmp_path / "here", base_model_file, fingerprint="full")
    assert not (tmp_path / "n").exists()
    with pytest.raises(UsageError, match="fingerprint is 'some'; wanted quick or full"):
        count_to(tmp_path / "n", path, base_model_file, fingerprint="some")  # type: ignore[arg-type]
