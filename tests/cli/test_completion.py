"""What shells complete: typed into real ones, where they are installed."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kovocab.cli.main import TRAINING, VERBS, main
from support.front import answer

ZSH = "autoload -U compinit; compinit -u -D; unsetopt beep; eval \"$(cat {script})\"; PS1='>'"
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "eval \"$(cat {script})\"; bind 'set bell-style none'; PS1='>'"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "autoload -U compinit; compinit -u -D; unsetopt beep; eval \"$(cat {script})\"; PS1='>'",
    ),
    "fish": (["fish", "--no-config", "-i"], "source {script}; function fish_prompt; echo '>'; end"),
}
"""How each is started without anybody's settings, and what it is told first."""

TYPED = [
    ("kovocab ref", "kovocab refine"),
    ("kovocab comp", "kovocab completion"),
    ("kovocab refine --min_c", "kovocab refine --min_count"),
    ("kovocab refine --words wo", "kovocab refine --words words.parquet"),
    ("kovocab refine --prune th", "kovocab refine --prune threshold"),
    ("kovocab count --encoding cp", "kovocab count --encoding cp949"),
    ("kovocab count --corpus ko.txt wo", "kovocab count --corpus ko.txt words.parquet"),
    ("kovocab count --corpus ko.txt --tokeniz", "kovocab count --corpus ko.txt --tokenizer"),
    ("kovocab fit --config words.parquet ko", "kovocab fit --config words.parquet ko.txt"),
    ("kovocab evaluate --models run wo", "kovocab evaluate --models run words.parquet"),
    ("kovocab evaluate ru", "kovocab evaluate run/"),
    ("kovocab completion fi", "kovocab completion fish"),
    ("kovocab fit --model.mo", "kovocab fit --model.model"),
    ("kovocab fit --schedule koso", "kovocab fit --schedule kosolar"),
    ("kovocab fit --config wo", "kovocab fit --config words.parquet"),
    ("kovocab push ru", "kovocab push run/"),
    ("kovocab push run --rep", "kovocab push run --repo"),
    ("kovocab plan --gp", "kovocab plan --gpu"),
]


class Typing:
    """A shell in a terminal, and what it shows."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            kept = {
                "PATH": os.environ["PATH"],
                "HOME": str(folder),
                "TERM": "dumb",
                "LANG": "C.UTF-8",
                "COLUMNS": "200",
            }
            os.execvpe(command[0], command, kept)

    def send(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def until(self, wanted: str, seconds: float = 60) -> str:
        """What is shown until `wanted` is."""
        shown, end = "", time.monotonic() + seconds
        while not re.search(wanted, shown):
            ready, _, _ = select.select([self._terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"the shell shows {shown!r}; wanted {wanted!r}"
            shown += os.read(self._terminal, 1 << 16).decode(errors="replace")
        return shown

    def close(self) -> None:
        os.close(self._terminal)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Typing]:
    command, first = SHELLS[request.param]
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp("place")
    for name in ("ko.txt", "words.parquet"):
        (folder / name).touch()
    (folder / "run").mkdir()
    written = subprocess.run(
        [sys.executable, "-m", "kovocab", "completion", request.param], capture_output=True, text=True, check=True
    )
    script = tmp_path_factory.mktemp("script") / "script"
    script.write_text(written.stdout)
    typing = Typing(command, folder)
    typing.send(f"{first.format(script=script)}\r echo rea''dy\r")
    typing.until("ready")
    yield typing
    typing.close()


@pytest.mark.parametrize(("typed", "completed"), TYPED)
def test_the_tab_key_completes(typed: str, completed: str, shell: Typing) -> None:
    """The line is then made one that prints itself: Home, and a printf before it."""
    line = ""
    for seconds in (0.3, 1, 4):  # a machine that is busy takes longer, and a shell may drop what is typed meanwhile
        shell.send(f"{typed}\t")
        time.sleep(seconds)
        shell.send("\x01printf '<%s>' don''e \x05\r")
        shown = shell.until(r"<done>(<[^<>]+>)+")
        line = " ".join(re.findall(r"<([^<>]*)>", shown[shown.rindex("<done>") :])[1:])
        if line.removesuffix("/") == completed.removesuffix("/"):  # zsh takes it away again
            return
    assert line == completed


def test_every_verb_has_its_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    said = capsys.readouterr().out
    flags = dict(re.findall(r"^_shtab_kovocab_(\w+)_option_strings=\((.*)\)$", said, re.MULTILINE))
    assert flags.keys() == {*VERBS, *TRAINING}
    for verb in VERBS:
        assert main([verb, "--help"]) == 0
        wanted = set(re.findall(r"^  (?:-\w, )?(--[\w.]+)", capsys.readouterr().out, re.MULTILINE))
        assert {flag for flag in flags[verb].split() if flag.startswith("--")} >= wanted - {"--print_config"}, verb


def test_writing_it_loads_nothing_that_takes_time() -> None:
    code = (
        "import sys; from kovocab.cli.main import main\n"
        "assert main(['completion', 'bash']) == 0\n"
        "heavy = {'torch', 'lightning', 'transformers', 'polars', 'tokenizers', 'numpy'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, timeout=60)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("completion", "required: shell"),
        ("completion ksh", "shell is ksh; wanted bash or zsh or fish"),
        ("completion bash zsh", "zsh stands behind no flag"),
    ],
)
def test_another_shell_is_a_line(line: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, line.split())
    assert (code, said.count("\n")) == (2, 1), said
    assert wanted in said
