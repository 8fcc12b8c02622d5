"""Extras: which packages each brings, by the metadata of what is installed, and which of them are there."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

USES = {
    "train": "expand, plan, coverage, fit, validate, test, predict, export, transfer, evaluate of models",
    "quickstart": "quickstart",
    "remote": "corpora at s3://, gs://, hf:// and https://",
    "ray": "count --engine ray",
    "qlora": "fit --model.qlora: layers in 4 bits",
    "tasks": "evaluate --tasks",
    "report": "report, thresholds --out",
    "curate": "curate",
    "kinds": "curate: nouns, particles, endings",
    "tensorboard": "fit: logs in RUN/tensorboard",
    "wandb": "fit: logs for Weights & Biases",
}
"""What each extra is for; those for the project's own tests are left out."""

_PACKAGE = "kovocab"


@dataclass(frozen=True)
class Package:
    """A package that something needs.

    Attributes:
        name: As pip has it.
        wanted: Which versions.
        found: The version that is installed; None if none is.
    """

    name: str
    wanted: str
    found: str | None

    @property
    def fits(self) -> bool:
        """Whether it is there, in a version that is wanted."""
        return self.found is not None and Requirement(f"x{self.wanted}").specifier.contains(
            self.found, prereleases=True
        )

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.name} is not installed"
        return f"{self.name} {self.found}" + ("" if self.fits else f", and {self.wanted} is wanted")


def packages(extra: str | None = None) -> list[Package]:
    """What an extra brings, by name; what kovocab itself needs, where none is named."""
    found = {each.name: each for each in _needed(extra)}
    return [Package(name, str(found[name].specifier), _version(name)) for name in sorted(found)]


def known() -> list[str]:
    """The extras of `USES` that the installed kovocab has; one of before may have fewer."""
    named = {extra for extra in USES if any(True for _ in _needed(extra))}
    return [extra for extra in USES if extra in named]


def _needed(extra: str | None) -> Iterator[Requirement]:
    """Requirements of an extra, and of the extras that it names."""
    for line in requires(_PACKAGE) or []:
        requirement = Requirement(line)
        plain = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        wanted = plain if extra is None else not plain and requirement.marker.evaluate({"extra": extra})  # type: ignore[union-attr]
        if wanted and requirement.name == _PACKAGE:
            for inner in sorted(requirement.extras):
                yield from _needed(inner)
        elif wanted:
            yield requirement


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
