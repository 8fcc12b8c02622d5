"""A push to a stand-in for the hub: what arrives, what is private, what goes on, and a line for whatever goes wrong."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kovocab.cli.main import main
from kovocab.pushing.contents import look_over
from support.exported import save_export
from support.front import answer, tree
from support.hub import READER, WRITER, Hub, hub
from support.street import skip_training

Push = Callable[..., tuple[int, str, str]]


@pytest.fixture
def server() -> Iterator[Hub]:
    with hub() as found:
        yield found


@pytest.fixture
def folder(here: Path) -> Path:
    return save_export(here / "x")


@pytest.fixture
def push(server: Hub, folder: Path, here: Path) -> Push:
    """The command, with a home of its own; the hub's client reads where the hub is once."""

    def run(*args: str, token: str | None = WRITER, repo: str = "me/m", **more: str) -> tuple[int, str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment = kept | {"HF_ENDPOINT": server.url, "HF_HOME": str(here / "home"), "HF_HUB_DISABLE_XET": "1"}
        environment |= more if token is None else {"HF_TOKEN": token, **more}
        command = [sys.executable, "-m", "kovocab", "push", "x", "--repo", repo, *args]
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100, check=False)
        for secret in (WRITER, READER):
            assert secret not in ended.stdout + ended.stderr
        return ended.returncode, ended.stdout, ended.stderr

    return run


def test_a_dry_run_lists_what_would_go_and_asks_nobody(server: Hub, push: Push, folder: Path) -> None:
    before = tree(folder)
    code, said, errors = push("--dry_run", token=None)
    assert (code, errors) == (0, "")
    lines = said.splitlines()
    assert lines[0] == "to me/m, private:"
    for name, size in look_over(folder).sizes.items():
        assert f"{name} {size:,}" in [" ".join(line.split()) for line in lines]
    assert lines[-6:] == [
        "licence: apache-2.0", "base_model: some/base", "relation: finetune", "datasets: some/text", "languages: ko",
        "nothing was sent",
    ]  # fmt: skip
    assert push("--dry_run", "--public")[1].startswith("to me/m, public:")
    assert server.asked == []
    assert tree(folder) == before


def test_it_arrives_whole_and_private(server: Hub, push: Push, folder: Path) -> None:
    (folder / "figures").mkdir()
    (folder / "figures/a[1]*.txt").write_text("beside it")
    code, said, errors = push()
    assert code == 0, errors
    arrived = server.repos["me/m"]
    assert arrived["private"] is True
    wanted = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert arrived["files"] == wanted | {".gitattributes": b""}
    assert said.splitlines()[-1] == f"{server.url}/me/m/commit/1"
    assert "figures/a[1]*.txt" in said
    assert said.count("not written by kovocab") == 1
    assert server.commits == ["Upload m with kovocab"]
    assert push("--message", "again")[0] == 0
    assert server.commits[1:] == ["again"]


def test_public_is_asked_for_and_never_changed(server: Hub, push: Push) -> None:
    assert push("--public")[0] == 0
    assert server.repos["me/m"]["private"] is False
    assert push("--public")[0] == 0
    code, _, said = push()
    assert (code, said.count("\n")) == (1, 1)
    assert "me/m is there, and public; wanted --public, or another name" in said
    server.repos["me/m"]["private"] = True
    code, _, said = push("--public")
    assert (code, said.count("\n")) == (1, 1)
    assert "me/m is there, and private; " in said


def test_a_push_that_failed_goes_on(server: Hub, push: Push) -> None:
    server.answers["/commit/"] = (400, "not now")
    code, _, said = push()
    assert (code, said.count("\n")) == (1, 1), said
    assert "refused it (400: not now" in said
    sent = [asked for asked in server.asked if asked.startswith("PUT /lfs/")]
    assert len(sent) == 1
    server.answers.clear()
    assert push()[0] == 0
    assert [asked for asked in server.asked if asked.startswith("PUT /lfs/")] == sent  # not sent again
    assert "model.safetensors" in server.repos["me/m"]["files"]


def test_what_somebody_else_put_there_stays(server: Hub, push: Push) -> None:
    server.repos["me/m"] = {"private": True, "files": {".gitattributes": b"", "model.bin": b"theirs", "README.md": b""}}
    code, _, said = push()
    assert (code, said.count("\n")) == (1, 1)
    assert "me/m holds files that kovocab did not push there (model.bin among them); --overwrite" in said
    assert server.repos["me/m"]["files"]["model.bin"] == b"theirs"
    assert push("--overwrite")[0] == 0
    assert server.repos["me/m"]["files"]["model.bin"] == b"theirs"
    assert "kovocab.json" in server.repos["me/m"]["files"]


def test_weights_that_no_push_left_stay(server: Hub, push: Push) -> None:
    theirs = dict.fromkeys(("model-00001-of-00002.safetensors", "adapter/adapter_model.safetensors"), b"theirs")
    server.repos["me/m"] = {"private": True, "files": {"README.md": b"", **theirs}}
    files = server.repos["me/m"]["files"]
    assert push("--overwrite")[0] == 0
    assert theirs.items() <= files.items()
    files["reward_head.safetensors"] = b"theirs"
    assert push()[0] == 0
    assert {name for name, data in files.items() if data == b"theirs"} == {
        "adapter/adapter_model.safetensors", "reward_head.safetensors"
    }  # fmt: skip


def test_weights_of_an_earlier_push_go(server: Hub, push: Push) -> None:
    assert push()[0] == 0
    files = server.repos["me/m"]["files"]
    files |= {"model-00001-of-00002.safetensors": b"", "model.safetensors.index.json": b"{}", "notes.md": b"mine"}
    assert push()[0] == 0
    assert sorted(files) == [
        ".gitattributes", "README.md", "config.json", "kovocab.json", "model.safetensors", "notes.md", "tokenizer.json"
    ]  # fmt: skip


WRONG = "hf_" + "x" * 34


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"token": None}, "wants to know who you are; sign in with `hf auth login`, or set HF_TOKEN"),
        ({"token": WRONG}, "does not know the token that is set; sign in"),
        ({"token": READER}, "the token that is set may not write to me/m; wanted one of a member"),
        ({"repo": "you/m"}, "the token that is set may not write to you/m"),
        ({"HF_HUB_OFFLINE": "1"}, "is not asked, as HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_what_the_hub_refuses_is_a_line(settings: dict[str, str], wanted: str, server: Hub, push: Push) -> None:
    code, printed, said = push(**settings)
    assert (code, printed, said.count("\n")) == (1, "", 1), said
    assert said.startswith("kovocab push: ")
    assert wanted in said
    assert WRONG not in said
    assert server.repos == {}


@pytest.mark.parametrize(
    ("status", "wanted"),
    [(404, "there is no me/m for this token"), (413, "refused it (413"), (403, "may not write to me/m")],
)
def test_other_answers_are_a_line(status: int, wanted: str, server: Hub, push: Push) -> None:
    server.answers["/preupload/"] = (status, f"said\nin lines, to {WRITER}".replace("\n", " "))
    code, _, said = push()
    assert (code, said.count("\n")) == (1, 1), said
    assert wanted in said


@pytest.mark.parametrize(
    ("line", "code", "wanted"),
    [
        ("push", 2, "required: folder, repo"),
        ("push x", 2, "required: repo"),
        ("push x --repo m", 2, "repo is 'm'; wanted user/name"),
        ("push x --repo me/m/n", 2, "repo is 'me/m/n'"),
        ("push x --repo https://huggingface.co/me/m", 2, "wanted user/name"),
        ("push x --repo ../m", 2, "wanted user/name"),
        ("push x --repo me/m.git", 2, "wanted user/name"),
        ("push x --repo me/m --private false", 2, "--private"),
        (f"push x --repo me/m --token {WRITER}", 2, "--token"),
        ("push x y --repo me/m", 2, "y stands behind no flag"),
        ("push nowhere --repo me/m --dry_run", 1, "nowhere is no folder"),
        ("push here --repo me/m --dry_run", 1, "here is not an artefact"),
    ],
)
def test_a_user_s_mistakes_are_a_line(
    line: str, code: int, wanted: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("here").mkdir()
    before = tree(folder)
    given, said = answer(capsys, line.split())
    assert (given, said.count("\n")) == (code, 1), said
    assert wanted in said
    assert tree(folder) == before


def test_a_real_export_goes_as_export_left_it(street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skip_training("export")
    assert main(["push", str(street / "export"), "--repo", "me/m", "--dry_run"]) == 0
    said = capsys.readouterr().out
    assert "licence: none; --license of export sets one" in said
    assert "base_model: none; --base_model of export sets one" in said
    assert "nothing was sent" in said
