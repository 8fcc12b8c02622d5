"""`kovocab curate` as a process, asked as a page would, and as others would."""

import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import polars as pl
import pytest

from curating.conftest import Served
from kovocab.cli.main import main
from kovocab.errors import CorpusError
from kovocab.machine.stopping import Stopped
from kovocab.refining.candidates import Decisions


def test_what_a_page_is_given(serve, refined: Path) -> None:
    served = serve()
    status, said = served.ask("/api/rows")
    assert status == 200
    rows = pl.DataFrame({name: said["rows"][name] for name in ("token", "count", "kept")})
    assert rows.height > 35_000
    assert rows["count"].is_sorted(descending=True)
    vocabulary = pl.read_parquet(refined / "tokenizer/vocabulary.parquet").filter(pl.col("id") >= 32_000)
    assert set(rows.filter("kept")["token"]) == set(vocabulary["token"])
    assert (said["decided"], said["version"], said["settings"]["min_count"]) == ({}, 0, 20)


def test_batches_count_once_and_in_order(serve) -> None:
    served = serve()
    tokens = served.ask("/api/rows")[1]["rows"]["token"][:3]
    first = {"number": 1, "decisions": [[tokens[0], "keep"], [tokens[1], "drop"]]}
    second = {"number": 2, "decisions": [[tokens[0], None], [tokens[2], "keep"]]}
    assert served.ask("/api/decide", {"client": "a", "batches": [first]})[1] == {"version": 2, "number": 1}
    assert served.ask("/api/decide", {"client": "a", "batches": [first, second]})[1] == {"version": 4, "number": 2}
    assert served.ask("/api/decide", {"client": "a", "batches": [first]})[1] == {"version": 4, "number": 2}
    assert served.ask("/api/decisions")[1]["decided"] == {tokens[1]: "drop", tokens[2]: "keep"}
    assert Decisions.load(served.decisions) == Decisions(frozenset([tokens[2]]), frozenset([tokens[1]]))
    changes = served.ask("/api/changes?since=2")[1]
    assert changes == {"changes": [[tokens[0], None], [tokens[2], "keep"]], "version": 4, "done": []}


def test_a_server_hears_of_what_another_writes(serve) -> None:
    one, other = serve(), serve()
    other.ask("/api/decide", {"client": "b", "batches": [{"number": 1, "decisions": [["가나", "keep"]]}]})
    assert one.ask("/api/changes?since=0")[1] == {"changes": [["가나", "keep"]], "version": 1, "done": []}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Host": "evil.example"}, "host"),
        ({"Host": "evil.example:80", "Origin": "http://evil.example"}, "host"),
        ({"Origin": "http://evil.example"}, "another page"),
        ({"Origin": "null"}, "another page"),
        ({"x_kovocab_token": "guessed"}, "token"),
    ],
)
def test_others_neither_read_nor_write(serve, headers: dict[str, str], why: str) -> None:
    served = serve()
    for path in ("/api/rows", "/api/sentences?row=0", "/api/changes?since=0"):
        status, said = served.ask(path, **headers)
        assert status == 403
        assert why in said["error"]
    body = {"client": "a", "batches": [{"number": 1, "decisions": [["가", "drop"]]}]}
    assert served.ask("/api/decide", body, **headers)[0] == 403
    assert not served.decisions.exists()


def test_what_nobody_understands_is_a_line(serve) -> None:
    served = serve()
    for body in (
        {},
        [],
        {"client": "a", "batches": 3},
        {"client": "a", "batches": [{"number": 1, "decisions": [["", "keep"]]}]},  # no reader takes such a row
        {"client": "a", "batches": [{"number": 1, "decisions": [["가"]]}]},
    ):
        status, said = served.ask("/api/decide", body)
        assert status == 400
        assert "\n" not in said["error"]
    assert served.ask("/api/accept", {"number": 0, "folder": "x", "overwrite": False})[0] == 400
    for folder in ("", "a\0b", "~nobody-of-that-name/x"):
        assert served.ask("/api/accept", {"number": 0, "folder": folder, "overwrite": False})[0] == 400
    wrong: list[Any] = [{"min_count": value} for value in ("x", 0, 10**30, None, 0.5)]
    for settings in (*wrong, {"prune": 3}, []):
        status, said = served.ask("/api/refine", {"settings": settings})
        assert (status, "\n" in said["error"]) == (400, False), settings
    for path in ("/api/sentences", "/api/sentences?row=x", "/api/changes?since=x", "/api/changes"):
        assert served.ask(path)[0] == 400, path
    assert not served.decisions.exists()
    served.decisions.write_text("token,decision\n가,perhaps\n")
    status, said = served.ask("/api/decisions")
    assert status == 400
    assert "row 1: '가', 'perhaps'; wanted keep or drop" in said["error"]


class Slow:
    """A curation whose work with the word counts and the corpus is done when it is told."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.rows = pl.DataFrame({"row": [0], "token": ["가"]})
        self.choices = self

    def curve(self) -> pl.DataFrame:
        assert self.told.wait(60)
        return pl.DataFrame({"min_count": [5]})

    def sources_and_flags(self) -> pl.DataFrame:
        assert self.told.wait(60)
        raise CorpusError("a.txt is gone")

    def kinds(self) -> None:
        return None

    def close(self) -> None:
        self.told.set()


def test_what_waits_keeps_nobody_from_deciding(tmp_path: Path) -> None:
    """Forty pages wait for the curve, and the corpus is being read: what is decided is saved meanwhile."""
    import uvicorn

    from kovocab.curating.decided import Decided
    from kovocab.curating.server import application
    from kovocab.curating.session import Session

    decided, slow = Decided(tmp_path / "d.csv"), Slow()
    session = Session(slow, decided, None, tmp_path)  # type: ignore[arg-type]
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        app = application(session, port, "token")
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        running = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        running.start()
        served = Served(None, decided.path, f"http://127.0.0.1:{port}/#token")  # type: ignore[arg-type]
        try:
            with ThreadPoolExecutor(40) as pages:
                waiting = [pages.submit(served.ask, "/api/curve") for _ in range(40)]
                for _ in range(20):
                    assert served.ask("/api/sources_and_flags") == (200, {"waits": True})
                body = {"client": "a", "batches": [{"number": 1, "decisions": [["가", "drop"]]}]}
                assert served.ask("/api/decide", body) == (200, {"version": 1, "number": 1})
                assert served.ask("/api/changes?since=0&known=0")[1]["changes"] == [["가", "drop"]]
                assert not any(one.done() for one in waiting)
                slow.told.set()
                assert {str(one.result()) for one in waiting} == {"(200, {'min_count': [5]})"}
            known: list[str] = []
            while "sources_and_flags" not in known:
                known = served.ask(f"/api/changes?since=1&known={len(known)}")[1]["done"]
            assert served.ask("/api/sources_and_flags") == (400, {"error": "a.txt is gone"})
            assert served.ask("/api/kinds")[1] in ({"waits": True}, None)
        finally:
            slow.told.set()
            server.should_exit = True
            running.join()
            session.close()


def test_it_ends_at_once_when_asked(serve) -> None:
    served = serve()
    os.kill(served.process.pid, signal.SIGTERM)
    assert served.process.wait(timeout=60) == 143


def test_a_signal_that_the_server_drops_ends_it_as_others_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import uvicorn

    from kovocab.curating import server

    def ended(self: uvicorn.Server, sockets: object) -> None:
        self.handle_exit(signal.SIGTERM, None)

    monkeypatch.setattr(uvicorn.Server, "run", ended)
    session = MagicMock()
    session.work.goes_on = False
    with pytest.raises(Stopped) as stopped:
        server.serve(session, 0, open_=False)
    assert stopped.value.number == signal.SIGTERM


def test_ctrl_c_ends_it_while_it_refines(serve, capfd) -> None:
    served = serve()
    with ThreadPoolExecutor(1) as page:
        asked = page.submit(served.ask, "/api/refine", {"settings": {"min_count": 25}})
        decide = {"client": "a", "batches": [{"number": 1, "decisions": [["가나", "drop"]]}]}
        assert served.ask("/api/decide", decide)[0] == 200
        os.kill(served.process.pid, signal.SIGINT)
        assert served.process.wait(timeout=120) == 130
        assert asked.exception() is not None or asked.result()[0] in (200, 503)
    error = capfd.readouterr().err
    assert "Traceback" not in error
    assert "kovocab curate: stopped" in error
    assert Decisions.load(served.decisions).drop == {"가나"}


def test_refine_again_and_accept(serve, refined: Path, tmp_path: Path, base_model_file: Path) -> None:
    """What the page writes is what `refine --decisions` gives."""
    served = serve()
    rows = pl.DataFrame(served.ask("/api/rows")[1]["rows"], infer_schema_length=None)
    kept = rows.filter("kept")
    dropped = kept.filter(pl.col("children").list.len() > 3)[0]
    token, children = dropped["token"].item(), dropped["children"].item().to_list()
    served.ask("/api/decide", {"client": "a", "batches": [{"number": 1, "decisions": [[token, "drop"]]}]})
    status, said = served.ask("/api/refine", {"settings": {"min_count": 25, "min_syllable_count": 20}})
    assert status == 200, said
    assert token in said["went"]
    assert said["after"]["tokens"] < said["before"]["tokens"]
    assert set(said["went"]) >= {rows["token"][child] for child in children} & set(kept["token"])
    accepting = {"number": said["number"], "overwrite": False}
    other = served.ask("/api/accept", accepting | {"number": said["number"] - 1, "folder": str(tmp_path / "other")})
    assert other[0] == 400
    assert "another page refined since" in other[1]["error"]
    assert not (tmp_path / "other").exists()
    status, refusal = served.ask("/api/accept", accepting | {"folder": str(refined / "tokenizer")})
    assert status == 400
    assert "overwrite" in refusal["error"]
    status, written = served.ask("/api/accept", accepting | {"folder": str(tmp_path / "again")})
    assert (status, written["tokens"]) == (200, said["after"]["tokens"])
    args = ["--words", refined / "words.parquet", "--base", base_model_file, "--decisions", served.decisions]
    args += [
        "--out",
        tmp_path / "by hand",
        "--min_count",
        "25",
        "--min_syllable_count",
        "20",
        "--max_new_tokens",
        "8960",
    ]
    assert main(["refine", *map(str, args)]) == 0
    for name in ("tokenizer.json", "tokenizer.model", "vocabulary.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "by hand" / name).read_bytes()


@pytest.mark.parametrize("package", ["uvicorn", "js_lib_tabulator"])
def test_without_the_extra_it_says_what_to_install(package: str, monkeypatch, capsys) -> None:
    monkeypatch.delitem(sys.modules, "kovocab.curating.server", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["curate", "tokenizer", "--words", "words.parquet", "--base", "base"]) == 2
    wanted = f"kovocab curate: {package} is not installed; wanted what the page needs: pip install 'kovocab[curate]'"
    assert capsys.readouterr().err.strip() == wanted


def test_a_user_s_mistakes_are_a_line(refined: Path, base_model_file: Path, tmp_path: Path, capsys) -> None:
    good = {"words": refined / "words.parquet", "base": base_model_file, "decisions": tmp_path / "d.csv"}
    (tmp_path / "words.csv").write_text("word\n가\n")
    for code, wrong, why in [
        (2, {"decisions": tmp_path / "words.csv"}, "has no column 'decision'"),
        (2, {"decisions": tmp_path / "d.parquet"}, "wanted a CSV"),
        (2, {"decisions": tmp_path}, "is a folder; wanted a CSV"),
        (2, {"decisions": tmp_path / "no/d.csv"}, "there is no folder"),
        (2, {"port": "99999"}, "port is 99999"),
        (2, {"port": "x"}, "port"),
        (1, {"words": tmp_path / "none.parquet"}, "none.parquet"),
        (1, {"tokenizer": tmp_path}, str(tmp_path)),
    ]:
        given = {"tokenizer": refined / "tokenizer"} | good | wrong
        assert main(["curate", *(str(part) for key, value in given.items() for part in (f"--{key}", value))]) == code
        said = capsys.readouterr().err.strip()
        assert why in said
        assert "\n" not in said
        assert not (tmp_path / "d.csv").exists()
