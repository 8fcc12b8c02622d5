"""What the fuzzing targets share: how inputs are tried, and what texts and mutations are made of.

A target is a module with `BATCH`, how many inputs are tried together, `make(random)`, an input, and
`check(inputs, random, folder)`, which raises AssertionError where what came out is not what it has to be. Anything
else that it raises is a crash.
"""

import sys
import unicodedata
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

TARGETS = ("readers", "cut", "encoder", "tokenizer_files", "records", "decisions")


class Found(NamedTuple):
    """How many inputs were tried, and how many of them failed, in either way."""

    inputs: int
    crashes: int
    differences: int


def tried(name: str, first: int, inputs: int, folder: Path) -> Found:
    """Try inputs by their numbers; each that fails is told on standard error."""
    target: Any = import_module(f"fuzz.{name}")
    crashes = differences = 0
    for at in range(first, first + inputs, target.BATCH):
        numbers = range(at, min(at + target.BATCH, first + inputs))
        if failed(target, numbers, folder) is None:
            continue
        # All together fail: which of them do alone?
        alone = [(number, error) for number in numbers if (error := failed(target, range(number, number + 1), folder))]
        for number, error in alone or [(at, failed(target, numbers, folder))]:
            said = " ".join(str(error).split())[:600]
            shown = repr(target.make(Random(number)))[:300] if alone else f"with the {len(numbers) - 1} behind it"
            print(f"{name} {number}: {type(error).__name__}: {said}: {shown}", file=sys.stderr, flush=True)
            differences += isinstance(error, AssertionError)
            crashes += not isinstance(error, AssertionError)
    return Found(inputs, crashes, differences)


def failed(target: Any, numbers: range, folder: Path) -> BaseException | None:
    """What trying these inputs together raised."""
    inputs = [target.make(Random(number)) for number in numbers]
    try:
        target.check(inputs, Random(-1 - numbers[0] // target.BATCH), folder)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # Polars and tokenizers panic with what is no Exception
        return error
    return None


def seen(function: Callable[[], Any], *errors: type[Exception]) -> Any:
    """What a function gives, or the error, of one of the kinds that it may raise, on one line."""
    try:
        return function()
    except errors as error:
        found = error
    assert str(found), repr(found)
    assert "\n" not in str(found), str(found)
    return found


PIECES = [
    *"abcXYZ019 .,:;!?'\"\\/(){}[]<>#$%&*+-=@^_`|~", *"     ▁▁\n\n\t\r",
    *"가각간나다라한글을를이가은는의에서하고ㅋㅠㅏㄱ",
    "안녕하세요", "대한민국", " 그리고", "입니다.", "the", " and", "ing ", "  ", "    ", "▁▁", "\r\n",
    "</s>", "<s>", "<unk>",
    "<0x41>", "<|endoftext|>", "\x00", "\x01", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u1680", "\u2003",
    "\u2028",
    "\u2029",
    "\u202f", "\u205f", "\u3000", "\u200b", "\u200d", "\ufeff", "\ufffd", "\ufffe", "👩‍👩‍👧", "😀", "🇰🇷",
    "e\u0301",
    "é", "ß", "İ",
    "漢字", "かな", "ｶﾅ", "ﾡﾢ", "㉠", "ᄒᆞᆫ", "\u1100", "\u11a8", "\ua960", "\ud7b0", "\ud7a3", "\ud7a4", "\uabff",
    "\u3130", "\u3131",
    "\u3163", "\u3164", "\u318e", "ꯂ", "퟿", "\U00010000", "\U0010ffff", "العربية", "עברית", "हिन्दी", "ไทย",
    "Ж",
    "\\u0041",
    unicodedata.normalize("NFD", "한국어"), unicodedata.normalize("NFD", "각"),
]  # fmt: skip


def text(random: Random, most: int = 12) -> str:
    """A text of some pieces; now and then one long word, or characters from anywhere."""
    draw = random.random()
    pieces = random.choices(PIECES, k=int(random.random() * most))
    if draw < 0.1:
        pieces = [*pieces, *pieces[:1] * random.randrange(1, 100)]
    elif draw < 0.2:
        high = random.choice((0x80, 0x800, 0x3200, 0xD7FF))
        pieces += [chr(random.randrange(high)) for _ in range(random.randrange(1, 12))]
    elif draw < 0.25:
        pieces.append(chr(random.randrange(0xE000, 0x110000)))
    return "".join(pieces)


ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2, 255, 2**31, 2**32, 2**63, 2**64, 10**30, -(10**30), 1.5, -0.0, 1e300,
    float("nan"), float("inf"),
    "", " ", "a", "▁", "가", "\x00", "\ud800", "x" * 300, "BPE", "1.0", [], [None], [[]], ["a"], ["a", "b"], {},
    {"a": 1}, {"": None},
    {"type": "Sequence"}, {"type": "BPE"}, {"id": 5, "content": "a"},
]  # fmt: skip


def mutated(value: Any, random: Random) -> Any:
    """A copy of nested lists and dicts with one thing in it changed: replaced, removed, doubled, renamed,
    moved."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice([*value])
        draw = random.random()
        if draw < 0.7:
            return value | {key: mutated(value[key], random)}
        if draw < 0.85:
            return {name: inner for name, inner in value.items() if name != key}
        if draw < 0.92:
            return value | {random.choice(["", "type", "id", "files", "verb", key + "x"]): random.choice(ODD)}
        return {(key + random.choice(("", " ", "é")) if name == key else name): inner for name, inner in value.items()}
    if isinstance(value, list) and value and random.random() < 0.85:
        at, draw = random.randrange(len(value)), random.random()
        if draw < 0.7:
            return [*value[:at], mutated(value[at], random), *value[at + 1 :]]
        if draw < 0.8:
            return [*value[:at], *value[at + 1 :]]
        if draw < 0.9:
            return [*value[:at], value[at], *value[at:]]
        return [*value[at:], *value[:at]]
    if isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.5:
        return value + random.choice((-1, 1, 2**16, 2**32, -value * 2))
    if isinstance(value, str) and value and random.random() < 0.5:
        at = random.randrange(len(value))
        return value[:at] + random.choice(("", *PIECES)) + value[at + random.randrange(2) :]
    return random.choice(ODD)


def damaged(data: bytes, random: Random) -> bytes:
    """Bytes with some changed: flipped, cut short, left out, doubled or put in."""
    at = random.randrange(len(data) + 1)
    match random.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + random.randrange(1, 9) :]
        case 2:
            return data[:at] + data[max(0, at - random.randrange(1, 9)) :]
        case 3:
            return data[:at] + random.randbytes(random.randrange(1, 5)) + data[at:]
        case 4:
            return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
        case _:
            return data[:at] + bytes(byte ^ (1 << random.randrange(8)) for byte in data[at : at + 1]) + data[at + 1 :]
