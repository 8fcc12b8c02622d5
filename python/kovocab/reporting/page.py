"""The page: its head, its sections in order. One file that asks for nothing else, and has no script."""

from pathlib import Path

from kovocab.reporting import outcome, training, vocabulary
from kovocab.reporting.charts import separate
from kovocab.reporting.gathered import Gathered
from kovocab.reporting.markup import escaped, tiles
from kovocab.reporting.words import Language, Words

STYLE = Path(__file__).with_name("style.css")

_SECTIONS = (
    ("sentence", vocabulary.sentences),
    ("text", vocabulary.text),
    ("vocabulary", vocabulary.new_tokens),
    ("training", training.training),
    ("learned", outcome.learned),
    ("promises", outcome.promises),
    ("cost", outcome.cost),
)
_CHARTS = {"text"}
"""Sections that are charts alone."""


def page(found: Gathered, language: Language, of: str) -> str:
    """A report, as HTML; `of` is what it says for machines that it is of."""
    say = Words(language)
    title = f"{say('title')}: {found.name}"
    body = []
    for name, section in _SECTIONS:
        parts = "".join(section(found, say))
        parts = f'<div class="charts">{parts}</div>\n' if name in _CHARTS else parts
        body.append(f'<section id="{name}"><h2>{escaped(say(name))}</h2>\n{parts}</section>\n')
    drawn = separate("".join(body))
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="generator" content="kovocab report">\n'
        f'<meta name="kovocab" content="{escaped(of)}">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f"<header><h1>{escaped(title)}</h1>\n{tiles(_facts(found, say))}</header>\n{drawn}</body>\n</html>\n"
    )


def _facts(found: Gathered, say: Words) -> list[tuple[str, str]]:
    """The figures at the top: what came of it."""
    facts = []
    if found.refined is not None:
        facts.append((say("new_tokens"), f"{found.refined['new_tokens']:,}"))
    pairs = vocabulary.before_and_after(found)
    for key, name, form in (
        ("tokens_per_word", "per_word", "{:.2f} → {:.2f}"),
        ("bits_per_byte", "bits", "{:.3f} → {:.3f}"),
    ):
        for source, both in pairs.items():
            values = [row[key] for row in both]
            if None not in values and (name == "bits" or values[0] != values[1]):
                facts.append((f"{say(name)}, {source}", form.format(*values)))
    done = len(found.stages)
    facts.append((say("stages"), say("stages_of", done=done, of=found.of) if found.of else str(done)))
    return facts
