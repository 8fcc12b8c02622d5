"""A refined example of 40,000 candidates, `kovocab curate` over it as a process of its own, and a browser."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from kovocab.cli.main import main
from support import browsers


@dataclass
class Served:
    """A running `kovocab curate`."""

    process: subprocess.Popen[str]
    decisions: Path
    address: str

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port is not None
        return port

    @property
    def token(self) -> str:
        return urlsplit(self.address).fragment

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, Any]:
        """Status and answer; headers are those of the page itself, or else as given, with _ for -."""
        own = {"Host": f"127.0.0.1:{self.port}", "x-kovocab-token": self.token}
        said = own | {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=300)
        connection.putrequest(method or ("GET" if body is None else "POST"), path, skip_host=True)
        data = b"" if body is None else msgspec.json.encode(body)
        for name, value in (said | {"Content-Length": str(len(data))}).items():
            connection.putheader(name, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        content, kind = answer.read(), answer.headers.get("content-type", "")
        connection.close()
        return answer.status, msgspec.json.decode(content) if kind == "application/json" else content

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session", autouse=True)
def page_packages() -> None:
    """What the page needs."""
    for package in ("starlette", "uvicorn"):
        pytest.importorskip(package, reason="pip install kovocab[curate]")


@pytest.fixture(scope="session")
def refined(tmp_path_factory: pytest.TempPathFactory, base_model_file: Path) -> Path:
    """The quickstart's example as far as refine: ko.txt, words.parquet, tokenizer; nothing in it may be changed."""
    place = tmp_path_factory.mktemp("refined")
    refine = ["refine", "--words", place / "words.parquet", "--base", base_model_file, "--out", place / "tokenizer"]
    walked = [
        ["sample", "--out", place / "ko.txt", "--megabytes", "2", "--language", "ko"],
        ["count", "--corpus", place / "ko.txt", "--tokenizer", base_model_file, "--out", place / "words.parquet"],
        [*refine, "--min_count", "20", "--min_syllable_count", "20", "--max_new_tokens", "8960"],
    ]
    for args in walked:
        assert main([str(arg) for arg in args]) == 0
    return place


@pytest.fixture
def serve(refined: Path, base_model_file: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """A function that starts `kovocab curate`, on a port if given; decisions are in the test's folder."""
    running: list[Served] = []

    def start(port: int = 0, decisions: str = "decisions.csv", *more: str) -> Served:
        path = tmp_path / decisions
        command = [
            sys.executable,
            "-m",
            "kovocab",
            "curate",
            refined / "tokenizer",
            "--words",
            refined / "words.parquet",
        ]
        command += ["--base", base_model_file, "--corpus", refined / "ko.txt", "--decisions", path, "--port", str(port)]
        process = subprocess.Popen([*map(str, command), *more], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(2)]
        assert lines[0] == str(path), lines
        running.append(Served(process, path, lines[1]))
        return running[-1]

    yield start
    for served in running:
        served.kill()
        assert served.process.stdout is not None
        served.process.stdout.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsers.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def browser(chromium: Any) -> Iterator[Any]:
    browser = chromium.launch(**browsers.LAUNCH)
    yield browser
    browser.close()
