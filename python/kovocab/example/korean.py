"""Korean sentences: nouns without end with the particles that agree with them, stems conjugated."""

from collections.abc import Callable, Sequence
from functools import cache

from kovocab.example import words
from kovocab.example.words import table

KOREAN_SPREAD = 64.0  # ranks among which nouns are about equally common: fitted to 0.6 M words in 56 MB


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


@cache
def _syllables() -> list[str]:
    weighted = [
        (chr(0xAC00 + (i * 21 + m) * 28 + f), a * b * c)
        for i, a in enumerate(words.INITIAL_WEIGHTS)
        for m, b in enumerate(words.MEDIAL_WEIGHTS)
        for f, c in enumerate(words.FINAL_WEIGHTS)
    ]
    return table([x for x, _ in weighted], [weight for _, weight in weighted], 1 << 15)


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
        forms[place] = table([form for form, _ in pairs], [weight for _, weight in pairs], 1 << 16)
    return forms


def korean_sentences(draw: Callable[[], float]) -> Callable[[], str]:
    """A function that makes a Korean sentence at each call, from the numbers of `draw`."""
    nouns, known, verbs = _nouns(), len(_nouns()), _verb_forms()
    finals, joined = verbs["F"], verbs["J"]
    topic, subject, object_, quoted = map(_forms, ("는/은/은", "가/이/이", "를/을/을", "예요/이에요/이에요"))
    genitives, copulas = [*map(_forms, words.GENITIVES)], [*map(_forms, words.COPULAS)]
    particles = table([*map(_forms, words.PARTICLES)], size=1 << 8)
    english, templates = table(words.ENGLISH, size=1 << 10), words.KOREAN_TEMPLATES

    def noun(forms: tuple[str, ...]) -> str:
        u = 1.0 - draw()
        rank = int(KOREAN_SPREAD / (u * u * u) - KOREAN_SPREAD)  # P(rank > r) falls as r ** (-1/3)
        if rank < known:
            word, place = nouns[rank]
        else:
            word = _noun(rank)
            place = _particle(word)
        return word + forms[place]

    def one_of(often: Sequence[str]) -> Callable[[], str]:
        size = len(often)
        return lambda: often[int(draw() * size)]

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
        "a": one_of(table(words.ADVERBS)),
        "d": one_of(table(words.DETERMINERS)),
        "v": one_of(verbs["v"]),
        "n": number,
        "e": english_word,
    }
    return lambda: " ".join([slots[code]() for code in templates[int(draw() * len(templates))]])
