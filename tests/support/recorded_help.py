"""What `help.txt` is to say, from the live help of all verbs: `make help-text` writes it, a test compares it."""

from difflib import SequenceMatcher
from importlib.metadata import version

from kovocab.run.help import RECORDED
from kovocab.run.stage_plan import TRAINING


def live() -> str:
    """What the file is to say, by all that training loads."""
    from kovocab.fitting import fit  # noqa: F401, since what it loads is in the help
    from kovocab.run.configuration import Configuration

    given = ["--model.model", "model", "--data.sources", '[{"name": "a", "corpus": "a"}]']
    union: list[tuple[str, list[str]]] = []
    for verb in TRAINING:
        union = merged(union, verb, Configuration(verb, given).parser.unwrapped().splitlines())
    made_with = " ".join(
        f"{name}=={version(name).partition('+')[0]}" for name in ("jsonargparse", "lightning", "torch")
    )
    lines = (f"{'' if len(verbs) == len(TRAINING) else ' '.join(verbs)}|{line}" for line, verbs in union)
    return "".join(f"{line}\n" for line in (made_with, *lines))


def merged(union: list[tuple[str, list[str]]], verb: str, lines: list[str]) -> list[tuple[str, list[str]]]:
    """Lines and the verbs that have them, with one verb more."""
    matcher = SequenceMatcher(None, [line for line, _ in union], lines, autojunk=False)
    found: list[tuple[str, list[str]]] = []
    for what, begin, end, start, stop in matcher.get_opcodes():
        if what == "equal":
            found += [(line, [*verbs, verb]) for line, verbs in union[begin:end]]
        else:
            found += [*union[begin:end], *((line, [verb]) for line in lines[start:stop])]
    return found


if __name__ == "__main__":
    RECORDED.write_text(live(), encoding="utf-8")
