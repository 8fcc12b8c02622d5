"""The front door as a user has it: a command's answer, and what lies in a folder before and after."""

from pathlib import Path

import pytest

from kovocab.cli.main import main


def tree(*folders: Path) -> dict[Path, bytes | None]:
    """All that lies in the folders, hidden files too."""
    found = [path for folder in folders for path in folder.rglob("*")]
    return {path: path.read_bytes() if path.is_file() else None for path in found}


def answer(capsys: pytest.CaptureFixture[str], args: list[str]) -> tuple[int, str]:
    """The exit code and what standard error holds."""
    capsys.readouterr()
    code = main(args)
    return code, capsys.readouterr().err
