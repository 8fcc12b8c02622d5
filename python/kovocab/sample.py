"""Sample text: Korean and English sentences that nobody wrote, as many as wanted, the same on every machine.

For the quickstart and for benchmarks. The text means nothing, but it is built as text is: particles and
endings agree with the stem before them, and stems follow Zipf's law without end, so that distinct words grow
with the text as they do in a real corpus (Heaps' law with exponent 3/4).

Only `random.Random(int).random()` and arithmetic that IEEE 754 settles are used: the other methods of
`random` may change between versions of Python, and `pow` between machines.
"""

# ruff: noqa: SIM905 - lists of words are read and edited as text

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

Language = Literal["ko", "en", "mixed"]
T = TypeVar("T")

KOREAN_SPREAD = 64.0  # ranks among which nouns are about equally common: fitted to 0.6 M words in 56 MB
CHUNK = 256  # documents that one seed makes
KOREAN_SHARE = 0.8  # of the documents of a mixed sample

# fmt: off
NOUNS = """사람 문제 시간 사회 정부 경우 생각 세계 나라 학교 교육 기술 경제 정책 회사 시장 연구 결과 방법
자료 정보 문화 역사 도시 지역 환경 가족 아이 친구 학생 선생님 부모 여자 남자 마음 이야기 노래 영화 음악 책
글 말 소리 물 불 바람 하늘 바다 산 강 길 집 방 문 창문 의자 책상 자동차 기차 비행기 버스 지하철 병원 의사
환자 건강 운동 음식 밥 국 빵 커피 과일 사과 고기 가게 값 돈 은행 투자 수출 수입 기업 산업 공장 노동 임금
세금 법 법률 헌법 법원 판결 규정 조항 계약 권리 의무 책임 국민 국회 의원 선거 대통령 장관 위원회 행정 기관
단체 조직 제도 개혁 변화 발전 성장 위기 원인 이유 목적 목표 계획 과정 단계 수준 기준 조건 상황 상태 현상
사실 진실 의미 가치 관계 차이 영향 효과 능력 경험 지식 학문 과학 수학 물리 화학 생물 컴퓨터 프로그램 함수
변수 파일 서버 화면 버튼 메뉴 사용자 데이터 모델 언어 단어 문장 번역 사전 신문 방송 기자 기사 뉴스 광고
인터넷 전화 편지 사진 그림 색깔 모양 크기 높이 무게 온도 날씨 비 눈 구름 봄 여름 가을 겨울 아침 점심 저녁 밤
오늘 내일 어제 주말 여행 호텔 공항 지도 경찰 군대 전쟁 평화 통일 외교 협력 갈등 대화 토론 회의 발표 보고서
논문 작품 소설 시인 작가 배우 감독 관객 팬 경기 선수 팀 승리 기록 꿈 희망 사랑 행복 슬픔 걱정 기쁨 눈물 웃음
얼굴 손 발 머리 가슴 몸 목소리 이름 나이 생일 고향 마을 농촌 나무 꽃 풀 동물 고양이 강아지""".split()
ACTIONS = """연구 발표 설명 개발 사용 시작 결정 준비 공부 생각 주장 요구 제공 지원 확인 변경 설정 실행
설치 삭제 저장 선택 입력 출력 분석 평가 비교 검토 수정 작성 제출 신청 허가 금지 보호 관리 운영 참여 경험
이해 노력 성공 실패 감소 증가 확대 축소 강조 비판 반대 찬성""".split()
VERBS = """하 되 가 오 보 먹 마시 읽 쓰 알 살 만들 받 주 배우 가르치 만나 기다리 찾 얻 잃 믿 열 닫 놓 넣 잡
앉 서 자 일어나 나오 들어가 돌아오 떠나 보내 바꾸 고치 끝내 지내 느끼 생기 나타나 이루 남 웃 입 벗 씻 팔 사
타 내리 올리 움직이 지키 싸우 이기 지""".split()
ADJECTIVES = """좋 크 작 많 적 높 낮 길 짧 깊 넓 좁 밝 늦 싫 괜찮 필요하 중요하 다양하 가능하 복잡하 간단하
깨끗하 조용하 유명하 친절하 강하 약하 편하 심하 나쁘 바쁘 기쁘 슬프 아프 예쁘 있 없 재미있
맛있 멋있""".split()
ADVERBS = """매우 아주 다시 이미 아직 함께 모두 특히 가장 더 또 먼저 바로 결국 항상 자주 가끔 거의 조금 너무
정말 물론 오히려 여전히 실제로 따라서 그러나 하지만 그리고 또한 그래서 즉 만약 비록 점점 서로 직접 스스로
갑자기 천천히 빨리 열심히 제대로 별로 그냥 진짜""".split()
DETERMINERS = "이 그 저 한 두 세 어떤 모든 다른 새 여러 각 첫 이런 그런 어느 우리 내 같은".split()
SURNAMES = "김 이 박 최 정 강 조 윤 장 임 한 오 서 신 권 황 안 송 류 홍 전 고 문 손 배".split()
TAILS = "시 군 구 동 역 산 호 대학교 연구소 전자 은행 공원 마을 교 성 당".split()
# After a vowel / after a consonant / after ㄹ, where they differ.
PARTICLES = """에 에서 로/으로/로 도 와/과/과 에게 까지 부터 만 보다 에는 나/이나/이나 에서는 처럼
로서/으로서/로서 에도 라는/이라는/이라는 들이 들은 마다 조차 랑/이랑/이랑 로부터/으로부터/로부터 뿐만
든지/이든지/이든지""".split()
GENITIVES = "의 의 들의 와의/과의/과의 에서의".split()
COPULAS = """입니다 다/이다/이다 였습니다/이었습니다/이었습니다 예요/이에요/이에요 였다/이었다/이었다
라고_합니다/이라고_합니다/이라고_합니다 네요/이네요/이네요 죠/이죠/이죠""".split()
# How an ending joins its stem: see `conjugate`. `_` is a space.
FINAL = """ㅂ니다 았습니다 았다 아요 았어요 겠습니다 네요 지요 ㄹ까요? 지_않습니다 ㄹ_것입니다
았네요 지_않았다 던데요 ㄹ_수도_있습니다 거든요""".split()
VERB_FINAL = """ㄴ다 고_있다 고_있습니다 아야_합니다 ㄹ_수_있습니다 기로_했다
으려고_합니다 아_주세요""".split()
JOINING = """고 지만 으면 아서 았지만 으며 기_때문에 아도 았는데 으므로 으니까 거나 든지 아야 기보다 았고
았으며 았기_때문에""".split()
VERB_JOINING = "는데 도록 으면서 다가 으려면 자마자 느라 고_나서 기_위해 는_동안".split()
VERB_BEFORE_NOUN, ADJECTIVE_BEFORE_NOUN = "는 ㄴ ㄹ 던 았던".split(), "ㄴ 던 ㄹ 았던".split()
# A letter is a word: topic, subject, object, genitive, noun with particle, adverb, determiner, number,
# English word, verb before a noun, Joined clause, Final verb, Copula, Quotation.
KOREAN_TEMPLATES = """tgoF taoF vtpF spJtaF tgvoF dtpaF tgC vtC tpoJgoF aJtsF gvsF npsF etpoF teoF goF sF
aF F tC tQF tnoF pgovoF JtpsF vsvoJF sJF poJgC""".split()
# In English: determiner, noun, adjective, verb, preposition, adverb, name, conjunction.
ENGLISH_TEMPLATES = """dnvdn danvpdn xvdnpx dnpdnvan pdnxvdan xvadnr dansvpdn xandxvdn rdnvdn anvn dnvpanpdn
pnxvdn xv""".split()
ENGLISH = """time year way day thing world hand part eye place work week case point company number group
problem fact water room mother area money story month book job word issue side kind head house service
friend father power hour game line end member law car city name president team minute idea body information
back parent face level office door health person art war history party result change morning reason research
girl guy moment air teacher force education boy age policy music market sense nation plan college interest
death experience effect language model server file user data""".split()
ENGLISH_VERBS = """make take see come want look use find give tell work call try ask need feel become leave
put mean keep let begin help talk turn start show hear play run move like live believe hold bring happen
write provide sit stand lose pay meet include continue set learn change lead understand watch follow stop
create speak read allow add spend grow open walk win offer remember""".split()
ENGLISH_ADJECTIVES = """good new first last long great little own other old right big high different small
large next early young important few public bad same able late hard major better economic strong possible
whole free military true federal international full special""".split()
DETERMINERS_EN = "the the the a this that his her their our my its some every no each".split()
PREPOSITIONS = "of in to for with on at by from about into over after under between through without".split()
ENGLISH_ADVERBS = """often never always slowly quickly again only really perhaps still already soon clearly
mostly""".split()
COUNTERS = "년 월 일 명 개 % 원 시간 번 번째 분 년에 명이 개의 %가 원을".split()
MARKS = (".", ".", ".", ".", ".", ".", ".", "!", "~", "")
# fmt: on

ONSETS = "b br c ch cl d dr f fl g gr h j k l m n p pr qu r s sh sp st t th tr v w z".split()
CODAS = ("", "", "", "", "", "n", "r", "l", "s", "t", "m", "nd", "ck", "rd", "st", "ll", "ng")
INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
# How often each initial, medial and final (first: none) is in an invented syllable, in the order of Unicode.
INITIAL_WEIGHTS = (13, 1, 7, 8, 1, 7, 7, 7, 1, 12, 1, 18, 11, 1, 5, 3, 4, 4, 9)
MEDIAL_WEIGHTS = (20, 6, 1, 0, 11, 5, 6, 1, 12, 2, 0, 2, 2, 9, 1, 0, 2, 2, 7, 2, 14)
FINAL_WEIGHTS = (55, 6, 0, 0, 15, 0, 0, 1, 8, 0, 0, 0, 0, 0, 0, 0, 5, 3, 0, 3, 0, 11, 0, 0, 0, 1, 0, 0)


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
        for document in sample_chunk(index, seed=seed, language=language):
            if (documents is not None and made >= documents) or (bytes_ is not None and size >= bytes_):
                return
            yield document
            made += 1
            size += len(document.encode())


def sample_chunk(index: int, *, seed: int = 0, language: Language = "mixed") -> list[str]:
    """Make the documents from `CHUNK * index` on, `CHUNK` of them; chunks can be made in parallel.

    Raises:
        UsageError: `language` is not `"ko"`, `"en"` or `"mixed"`.
    """
    if language not in ("ko", "en", "mixed"):
        raise UsageError(f"language is {language!r}; wanted 'ko', 'en' or 'mixed'")
    digest = blake2b(f"{seed} {language} {index}".encode(), digest_size=8).digest()
    draw = Random(int.from_bytes(digest, "big")).random
    korean, english = _korean_sentences(draw), _english_sentences(draw)
    share = {"ko": 1.0, "en": 0.0, "mixed": KOREAN_SHARE}[language]
    return [_document(korean if draw() < share else english, draw) for _ in range(CHUNK)]


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
                if suffix == ".txt":
                    line = text.replace("\n", " ")
                else:
                    line = json.dumps({"text": text}, ensure_ascii=False)
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
    if final == 8 and INITIALS[(ord(head) - 0xAC00) // 588] in "ㄴㅅ":
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
        for i, a in enumerate(INITIAL_WEIGHTS)
        for m, b in enumerate(MEDIAL_WEIGHTS)
        for f, c in enumerate(FINAL_WEIGHTS)
    ]
    return _table([x for x, _ in weighted], [weight for _, weight in weighted], 1 << 15)


def _noun(rank: int) -> str:
    """The noun of this rank, of endlessly many: the list, then names, places, invented words, compounds."""
    if rank < len(NOUNS):
        return NOUNS[rank]
    mixed = (rank * 0x9E3779B97F4A7C15) & ((1 << 64) - 1)  # scatters neighbours
    kind, a, b, c = rank & 3, (mixed >> 8) & 0x7FFF, (mixed >> 24) & 0x7FFF, (mixed >> 40) & 0x7FFF
    syllables = _syllables()
    if kind == 0:
        return SURNAMES[a * a * len(SURNAMES) >> 30] + syllables[b] + syllables[c]
    if kind == 1:
        return syllables[a] + syllables[b] + TAILS[c % len(TAILS)]
    if kind == 2:
        tail = syllables[c] + syllables[mixed >> 49] if mixed & 1 else syllables[c]
        return syllables[a] + syllables[b] + tail
    pair = NOUNS[a % len(NOUNS)] + NOUNS[b % len(NOUNS)]
    return pair if rank < 1 << 15 else pair + NOUNS[c % len(NOUNS)]


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
    verbs = VERBS[:8] + [noun + light for noun in ACTIONS for light in ("하", "되")] + VERBS[8:]
    forms = {}
    for place, verb_endings, adjective_endings in (
        ("F", FINAL + VERB_FINAL, FINAL),
        ("J", JOINING + VERB_JOINING, JOINING),
        ("v", VERB_BEFORE_NOUN, ADJECTIVE_BEFORE_NOUN),
    ):
        pairs = []
        for stems, endings in ((verbs, verb_endings), (ADJECTIVES, adjective_endings)):
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
    genitives, copulas = [*map(_forms, GENITIVES)], [*map(_forms, COPULAS)]
    particles = _table([*map(_forms, PARTICLES)], size=1 << 8)
    english, templates = _table(ENGLISH, size=1 << 10), KOREAN_TEMPLATES

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
        return form if form[-1] == "?" else form + MARKS[int(draw() * len(MARKS))]

    def number() -> str:
        u = 1.0 - draw()
        return f"{int(3 / (u * u)) % 100_000:,}{COUNTERS[int(draw() * len(COUNTERS))]}"

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
        "a": one_of(_table(ADVERBS)),
        "d": one_of(_table(DETERMINERS)),
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
        name += ONSETS[bits % 31] + "aeiouaeioey"[(bits >> 5) % 11] + CODAS[(bits >> 9) % 17]
    return name


def _with_s(word: str) -> str:
    if word[-1] == "y" and word[-2] not in "aeo":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "sh", "ch", "x", "go")) else "s")


def _english_sentences(draw: Callable[[], float]) -> Callable[[], str]:
    """A function that makes an English sentence at each call, from the numbers of `draw`."""

    def one_of(words: Sequence[str]) -> Callable[[], str]:
        table = _table(words, size=1 << 12)
        size = len(table)
        return lambda: table[int(draw() * size)]

    def name() -> str:
        u = 1.0 - draw()
        return _english_noun(int(20 / (u * u * u))).title()

    slots = {
        "d": one_of(DETERMINERS_EN),
        "n": one_of([form for word in ENGLISH for form in (word, _with_s(word))]),
        "a": one_of(ENGLISH_ADJECTIVES),
        "v": one_of([form for word in ENGLISH_VERBS for form in (_with_s(word), word)]),
        "p": one_of(PREPOSITIONS),
        "r": one_of(ENGLISH_ADVERBS),
        "s": one_of(("who", "that", "and")),
        "x": name,
    }

    def sentence() -> str:
        codes = ENGLISH_TEMPLATES[int(draw() * len(ENGLISH_TEMPLATES))]
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
