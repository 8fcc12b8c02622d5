"""Every way kovocab can fail, once.

Each error says what was wrong, where, and what was wanted; the command line prints it without a traceback. `quantity`
puts a noun to a number, for errors and whatever else people are told.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from numbers import Integral
from typing import Any


def quantity(count: int, noun: str, nouns: str | None = None) -> str:
    """A number with its noun, as people are told: "1 fault", "2,000 faults"; `nouns` is the plural that has no s."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def whole(name: str, value: object, least: int = 1, most: int | None = (1 << 64) - 1) -> int:
    """A setting that is a whole number, numpy's too, of a range.

    That is of 64 bits, as counts are, where nothing else is said, and has no end where `most` is None.

    Raises:
        UsageError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(f"{name} is {value!r}; wanted a whole number")
    number = int(value)
    if number >= least and (most is None or number <= most):
        return number
    if most is not None and most < (1 << 64) - 1:
        raise UsageError(f"{name} is {number}; wanted {least:,} to {most:,}")
    raise UsageError(f"{name} is {number}; wanted {f'{least:,} or more' if number < least else 'less than 2^64'}")


class KovocabError(Exception):
    """The root: catch it to catch everything that kovocab raises on purpose."""


class UsageError(KovocabError, ValueError):
    """An argument, flag or setting that cannot be used. The command line ends with exit code 2."""


class NotInstalled(UsageError, ImportError):
    """A package that an extra brings, and that is not there."""


class CorpusError(KovocabError, OSError):
    """A corpus that cannot be read: names the file, the place in it and what was wanted."""


class ClusterError(KovocabError, RuntimeError):
    """A cluster that cannot be reached, or that lost a task more often than it is tried again."""


class HubError(KovocabError, RuntimeError):
    """The hub refused something, or cannot be reached."""


class TokenizerError(KovocabError, ValueError):
    """A tokenizer that cannot be read, used or built, or that breaks one of its promises."""


class CycleError(KovocabError, RuntimeError):
    """Refine came back to an earlier vocabulary; names the rounds."""


class ModelError(KovocabError, ValueError):
    """A model that does not fit its tokenizer, its stage or its artefact."""


class FreezingError(KovocabError, RuntimeError):
    """A stage that names nothing, a parameter without optimizer, or a frozen parameter that moved."""


class ArtefactError(KovocabError, OSError):
    """An artefact that is missing, not one of kovocab's, or in the way."""


TRAINING_PACKAGES = ("torch", "lightning", "transformers", "safetensors", "numpy")
"""What training needs and `pip install kovocab` alone does not bring."""


@contextmanager
def training_installed() -> Iterator[None]:
    """Round all that trains, and loads what training needs.

    Raises:
        NotInstalled: one of its packages is not there; says how to get it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in TRAINING_PACKAGES or find_spec(package):  # which is there may be broken
            raise
        raise NotInstalled(
            f"{package} is not installed; wanted what training needs: pip install 'kovocab[train]'"
        ) from error


@contextmanager
def model_errors(what: str) -> Iterator[None]:
    """Round all that reads somebody's model: a config.json can be wrong in as many ways as transformers has errors.

    Raises:
        ModelError: `what`, and the reason in one line.
    """
    try:
        yield
    except KovocabError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).strip().splitlines()] or [""]
        said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
        if "contains custom code" in said:
            said = "it is code of its own (auto_map in its config.json), and kovocab runs none; wanted a model that "
            said += "transformers has"
        if not said or not isinstance(error, OSError | ValueError | RuntimeError):
            said = f"{type(error).__name__}: {said}"
        raise ModelError(f"{what}: {said}") from error


def unused(why: str, **settings: Any) -> None:
    """Refuse settings that would change nothing.

    Raises:
        UsageError: one of them was given.
    """
    for name, value in settings.items():
        if value is not None:
            raise UsageError(f"{name} {why}")
