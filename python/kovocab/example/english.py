"""English sentences, with names without end."""

from collections.abc import Callable, Sequence

from kovocab.example import words
from kovocab.example.words import table


def _english_noun(rank: int) -> str:
    """A name for this rank, of endlessly many."""
    mixed = ((rank + 1) * 0x9E3779B97F4A7C15) & ((1 << 64) - 1)
    name = ""
    for shift in (8, 20, 32)[: 2 + (mixed & 1)]:
        bits = mixed >> shift
        name += words.ONSETS[bits % 31] + "aeiouaeioey"[(bits >> 5) % 11] + words.CODAS[(bits >> 9) % 17]
    return name


def _with_s(word: str) -> str:
    if word[-1] == "y" and word[-2] not in "aeo":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "sh", "ch", "x", "go")) else "s")


def english_sentences(draw: Callable[[], float]) -> Callable[[], str]:
    """A function that makes an English sentence at each call, from the numbers of `draw`."""

    def one_of(items: Sequence[str]) -> Callable[[], str]:
        often = table(items, size=1 << 12)
        size = len(often)
        return lambda: often[int(draw() * size)]

    def name() -> str:
        u = 1.0 - draw()
        return _english_noun(int(20 / (u * u * u))).title()

    slots = {
        "d": one_of(words.DETERMINERS_EN),
        "n": one_of([form for word in words.ENGLISH for form in (word, _with_s(word))]),
        "a": one_of(words.ENGLISH_ADJECTIVES),
        "v": one_of([form for word in words.ENGLISH_VERBS for form in (_with_s(word), word)]),
        "p": one_of(words.PREPOSITIONS),
        "r": one_of(words.ENGLISH_ADVERBS),
        "s": one_of(("who", "that", "and")),
        "x": name,
    }

    def sentence() -> str:
        codes = words.ENGLISH_TEMPLATES[int(draw() * len(words.ENGLISH_TEMPLATES))]
        text = " ".join([slots[code]() for code in codes]) + ".......!?"[int(draw() * 9)]
        return text[0].upper() + text[1:]

    return sentence
