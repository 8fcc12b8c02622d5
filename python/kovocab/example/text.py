"""Sample text: Korean and English sentences that nobody wrote, as many as wanted, the same on every machine.

For the quickstart and for benchmarks. The text means nothing, but it is built as text is: particles and
endings agree with the stem before them, and stems follow Zipf's law without end, so that distinct words grow
with the text as they do in a real corpus (Heaps' law with exponent 3/4).

Only `random.Random(int).random()` and arithmetic that IEEE 754 settles are used: the other methods of
`random` may change between versions of Python, and `pow` between machines.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from itertools import count
from pathlib import Path
from random import Random
from typing import Literal, TypeVar

import polars as pl

from kovocab.artefact import new_file
from kovocab.errors import UsageError
from kovocab.example import words

Language = Literal["ko", "en", "mixed"]
T = TypeVar("T")

KOREAN_SPREAD = 64.0  # ranks among which nouns are about equally common: fitted to 0.6 M words in 56 MB
BATCH = 256  # documents that one seed makes
KOREAN_SHARE = 0.8  # of the documents of a mixed sample


def sample_documents(
    bytes_: int | None = None, documents: int | None = None, *, seed: int = 0, language: Language = "mixed"
) -> Iterator[str]:
    """Make documents of sample text, some words to some pages long: the same arguments, the same text.

    Args:
        bytes_: stop after the document that reaches so many bytes of UTF-8.
        documents: stop after so many documents. Without either limit there is no end.
        seed: another seed, another text.
        language: `"ko"`, `"en"`, or `"mixed"` for four Korean documents to an English one.

    Yields:
        Documents, in NFC, with a newline between paragraphs.

    Raises:
        UsageError: `language` is none of the three, or a limit is negative.
    """
    if min(bytes_ or 0, documents or 0) < 0:
        raise UsageError(f"bytes_ is {bytes_} and documents is {documents}; wanted limits of 0 or more")
    made = size = 0
    for index in count():
        for document in sample_batch(index, seed=seed, language=language):
            if (documents is not None and made >= documents) or (bytes_ is not None and size >= bytes_):
                return
            yield document
            made += 1
            size += len(document.encode())


def sample_batch(index: int, *, seed: int = 0, language: Language = "mixed") -> list[str]:
    """Make the documents from `BATCH * index` on, `BATCH` of them; batches can be made in parallel.

    Raises:
        UsageError: `language` is not `"ko"`, `"en"` or `"mixed"`.
    """
    if language not in ("ko", "en", "mixed"):
        raise UsageError(f"language is {language!r}; wanted 'ko', 'en' or 'mixed'")
    digest = blake2b(f"{seed} {language} {index}".encode(), digest_size=8).digest()
    draw = Random(int.from_bytes(digest, "big")).random
    korean, english = _korean_sentences(draw), _english_sentences(draw)
    share = {"ko": 1.0, "en": 0.0, "mixed": KOREAN_SHARE}[language]
    return [_document(korean if draw() < share else english, draw) for _ in range(BATCH)]


def write_sample(
    path: str | Path,
    bytes_: int | None = None,
    documents: int | None = None,
    *,
    seed: int = 0,
    language: Language = "mixed",
) -> None:
    """Write the documents of `sample_documents` as a corpus file; the suffix of `path` says which kind.

    In `.txt` a document is a line, so its newlines become spaces; `.jsonl` and `.parquet` hold it in `text`.

    Raises:
        UsageError: there is no limit, or the suffix is not `.txt`, `.jsonl` or `.parquet`.
        ArtefactError: `path` cannot be written.
    """
    if bytes_ is None and documents is None:
        raise UsageError("a sample without an end cannot be written; wanted bytes_ or documents")
    made = sample_documents(bytes_, documents, seed=seed, language=language)
    suffix = Path(path).suffix
    if suffix not in (".txt", ".jsonl", ".parquet"):
        raise UsageError(f"{path}: wanted the suffix .txt, .jsonl or .parquet")
    with new_file(path) as beside:
        if suffix == ".parquet":
            pl.Series("text", list(made), dtype=pl.String).to_frame().write_parquet(beside)
            return
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            for text in made:
                one_line = suffix == ".txt"
                line = text.replace("\n", " ") if one_line else json.dumps({"text": text}, ensure_ascii=False)
                file.write(line + "\n")


def conjugate(stem: str, ending: str) -> str:
    """Join a regular Korean stem and an ending: `conjugate("만들", "ㅂ니다") == "만듭니다"`.

    Args:
        stem: of a verb or adjective, without 다; 하, ㄹ and 으 stems as they conjugate, others regular.
        ending: ㅂ... (습 after a consonant), ㄴ다 (는다), ㄴ... (은), ㄹ... (을), 으... (only after a
            consonant), 아... and 았... (by vowel harmony, contracted); others join as they are.
    """
    final = _final(stem)
    head, rest = ending[0], ending[1:]
    if head in "아았":
        return _infinitive(stem, 20 if head == "았" else 0) + rest
    if head in "ㅂㄴㄹ":
        if final and final != 8:
            return stem + ("는" if ending == "ㄴ다" else {"ㅂ": "습", "ㄴ": "은", "ㄹ": "을"}[head]) + rest
        return stem[:-1] + chr(ord(stem[-1]) - final + {"ㄴ": 4, "ㄹ": 8, "ㅂ": 17}[head]) + rest
    if head == "으" and final in (0, 8):
        head, rest, ending = rest[0], rest[1:], rest
    if final == 8 and words.INITIALS[(ord(head) - 0xAC00) // 588] in "ㄴㅅ":
        stem = stem[:-1] + chr(ord(stem[-1]) - 8)
    return stem + ending


def _final(text: str) -> int:
    """The final consonant of the last syllable, as a number: 0 none, 4 ㄴ, 8 ㄹ, 17 ㅂ, 20 ㅆ."""
    return (ord(text[-1]) - 0xAC00) % 28


def _infinitive(stem: str, final: int) -> str:
    """The stem with 아 or 어 joined and `final` below: 가다 → 가, 배우다 → 배워, 하다 → 해, 먹다 → 먹어."""
    before, last = stem[:-1], stem[-1]
    if last == "하":
        return before + chr(ord("해") + final)
    initial, medial = divmod((ord(last) - 0xAC00) // 28, 21)
    if _final(stem):
        return stem + chr(ord("아" if medial in (0, 2, 8) else "어") + final)
    if medial == 18:  # ㅡ gives way
        bright = bool(before) and (ord(before[-1]) - 0xAC00) // 28 % 21 in (0, 8)
        medial = 0 if bright else 4
    elif medial in (16, 19):
        return stem + chr(ord("어") + final)
    else:
        medial = {8: 9, 13: 14, 20: 6, 11: 10}.get(medial, medial)  # ㅗ→ㅘ ㅜ→ㅝ ㅣ→ㅕ ㅚ→ㅙ
    return before + chr(0xAC00 + (initial * 21 + medial) * 28 + final)


def _table(items: Sequence[T], weights: Sequence[int] | None = None, size: int = 1 << 14) -> list[T]:
    """Each item as often as its weight asks (by default Zipf's, by place): drawing is then one look-up."""
    weights = weights or [10**6 // (rank + 3) for rank in range(len(items))]
    total = sum(weights)
    shares = [(weight * size + total // 2) // total for weight in weights]
    return [item for item, share in zip(items, shares, strict=True) for _ in range(share)]


@cache
def _syllables() -> list[str]:
    weighted = [
        (chr(0xAC00 + (i * 21 + m) * 28 + f), a * b * c)
        for i, a in enumerate(words.INITIAL_WEIGHTS)
        for m, b in enumerate(words.MEDIAL_WEIGHTS)
        for f, c in enumerate(words.FINAL_WEIGHTS)
    ]
    return _table([x for x, _ in weighted], [weight for _, weight in weighted], 1 << 15)


def _noun(rank: int) -> str:
    """The noun of this rank, of endlessly many: the list, then names, places, invented words, compounds."""
    if rank < len(words.NOUNS):
        return words.NOUNS[rank]
    mixed = (rank * 0x9E3779B97F4A7C15) & ((1 << 64) - 1)  # scatters neighbours
    kind, a, b, c = rank & 3, (mixed >> 8) & 0x7FFF, (mixed >> 24) & 0x7FFF, (mixed >> 40) & 0x7FFF
    syllables = _syllables()
    if kind == 0:
        return words.SURNAMES[a * a * len(words.SURNAMES) >> 30] + syllables[b] + syllables[c]
    if kind == 1:
        return syllables[a] + syllables[b] + words.TAILS[c % len(words.TAILS)]
    if kind == 2:
        tail = syllables[c] + syllables[mixed >> 49] if mixed & 1 else syllables[c]
        return syllables[a] + syllables[b] + tail
    pair = words.NOUNS[a % len(words.NOUNS)] + words.NOUNS[b % len(words.NOUNS)]
    return pair if rank < 1 << 15 else pair + words.NOUNS[c % len(words.NOUNS)]


@cache
def _nouns() -> list[tuple[str, int]]:
    """The first nouns, with the place of the form that their particle takes."""
    return [(noun, _particle(noun)) for noun in map(_noun, range(1 << 13))]


def _particle(noun: str) -> int:
    final = _final(noun)
    return 0 if final == 0 else 2 if final == 8 else 1


def _forms(forms: str) -> tuple[str, ...]:
    """`"로/으로/로"` as a triple, `"도"` too."""
    split = tuple(forms.replace("_", " ").split("/"))
    return split if len(split) == 3 else split * 3


@cache
def _verb_forms() -> dict[str, list[str]]:
    """Conjugated verbs and adjectives, by their place in a sentence, common ones many times."""
    verbs = words.VERBS[:8] + [noun + light for noun in words.ACTIONS for light in ("하", "되")] + words.VERBS[8:]
    forms = {}
    for place, verb_endings, adjective_endings in (
        ("F", words.FINAL + words.VERB_FINAL, words.FINAL),
        ("J", words.JOINING + words.VERB_JOINING, words.JOINING),
        ("v", words.VERB_BEFORE_NOUN, words.ADJECTIVE_BEFORE_NOUN),
    ):
        pairs = []
        for stems, endings in ((verbs, verb_endings), (words.ADJECTIVES, adjective_endings)):
            for i, stem in enumerate(stems):
                for j, ending in enumerate(endings):
                    joined = "는" if ending == "ㄴ" and stem[-1] in "있없" else ending.replace("_", " ")
                    pairs.append((conjugate(stem, joined), 10**6 // ((i + 8) * (j + 2))))
        forms[place] = _table([form for form, _ in pairs], [weight for _, weight in pairs], 1 << 16)
    return forms


def _korean_sentences(draw: Callable[[], float]) -> Callable[[], str]:
    """A function that makes a Korean sentence at each call, from the numbers of `draw`."""
    nouns, known, verbs = _nouns(), len(_nouns()), _verb_forms()
    finals, joined = verbs["F"], verbs["J"]
    topic, subject, object_, quoted = map(_forms, ("는/은/은", "가/이/이", "를/을/을", "예요/이에요/이에요"))
    genitives, copulas = [*map(_forms, words.GENITIVES)], [*map(_forms, words.COPULAS)]
    particles = _table([*map(_forms, words.PARTICLES)], size=1 << 8)
    english, templates = _table(words.ENGLISH, size=1 << 10), words.KOREAN_TEMPLATES

    def noun(forms: tuple[str, ...]) -> str:
        u = 1.0 - draw()
        rank = int(KOREAN_SPREAD / (u * u * u) - KOREAN_SPREAD)  # P(rank > r) falls as r ** (-1/3)
        if rank < known:
            word, place = nouns[rank]
        else:
            word = _noun(rank)
            place = _particle(word)
        return word + forms[place]

    def one_of(table: Sequence[str]) -> Callable[[], str]:
        size = len(table)
        return lambda: table[int(draw() * size)]

    def final() -> str:
        form = finals[int(draw() * len(finals))]
        return form if form[-1] == "?" else form + words.MARKS[int(draw() * len(words.MARKS))]

    def number() -> str:
        u = 1.0 - draw()
        return f"{int(3 / (u * u)) % 100_000:,}{words.COUNTERS[int(draw() * len(words.COUNTERS))]}"

    def english_word() -> str:
        word = english[int(draw() * len(english))]
        word = word.upper()[:3] if draw() < 0.3 else word.title() if draw() < 0.5 else word
        return word + topic[word.lower().rstrip("e")[-1:] in ("l", "m", "n")]

    slots = {
        "t": lambda: noun(topic),
        "s": lambda: noun(subject),
        "o": lambda: noun(object_),
        "g": lambda: noun(genitives[int(draw() * len(genitives))]),
        "p": lambda: noun(particles[int(draw() * len(particles))]),
        "C": lambda: noun(copulas[int(draw() * len(copulas))]) + ".",
        "Q": lambda: "“" + noun(quoted) + "”라고",
        "J": lambda: joined[int(draw() * len(joined))] + ("," if draw() < 0.4 else ""),
        "F": final,
        "a": one_of(_table(words.ADVERBS)),
        "d": one_of(_table(words.DETERMINERS)),
        "v": one_of(verbs["v"]),
        "n": number,
        "e": english_word,
    }
    return lambda: " ".join([slots[code]() for code in templates[int(draw() * len(templates))]])


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


def _english_sentences(draw: Callable[[], float]) -> Callable[[], str]:
    """A function that makes an English sentence at each call, from the numbers of `draw`."""

    def one_of(items: Sequence[str]) -> Callable[[], str]:
        table = _table(items, size=1 << 12)
        size = len(table)
        return lambda: table[int(draw() * size)]

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


def _document(sentence: Callable[[], str], draw: Callable[[], float]) -> str:
    """Mostly a sentence or two, sometimes pages, as documents of the web are."""
    parts = [sentence()]
    for _ in range(min(int(0.7 / (1.0 - draw()) - 0.7), 150)):
        parts.append("\n" if draw() < 0.12 else " ")
        parts.append(sentence())
    return "".join(parts)
