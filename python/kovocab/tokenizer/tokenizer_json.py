"""`tokenizer.json` as the typed document it is: looked up, changed and written. Nothing here encodes text.

What decides ids is typed: the model, and the added tokens that are found in raw text before it. The steps round the
model are kept as the file has them. `kovocab.tokenizer.parsing` reads one.
"""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import msgspec

from kovocab.tokenizer.spelling import ByteSpelling, Spelling

Step = dict[str, Any]
"""A normalizer, pre-tokenizer, post-processor or decoder as the file has it: its `type` and its settings."""

Merge = tuple[str, str]
"""Two tokens that merge to one: the left and the right part."""

STEPS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")


def _on_one_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class AddedToken:
    """A token that is found in raw text, before the model sees it; the fields are the file's."""

    id: int
    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    special: bool = True

    @property
    def word(self) -> str:
        """Itself, as word counts have it: a space is written `▁` there, and `▁` as a space."""
        return self.content.translate({0x20: "▁", 0x2581: " "})


@dataclass(frozen=True)
class BpeModel:
    """A BPE model; the fields are the file's.

    Attributes:
        vocab: Token to id, by id.
        merges: In order of rank: the first merges first.
    """

    vocab: Mapping[str, int] = field(repr=False)
    merges: Sequence[Merge] = field(repr=False)
    dropout: float | None = None
    unk_token: str | None = None
    continuing_subword_prefix: str | None = None
    end_of_word_suffix: str | None = None
    fuse_unk: bool = False
    byte_fallback: bool = False
    ignore_merges: bool = False
    type: str = "BPE"

    def to_json(self) -> dict[str, Any]:
        """The model in the order of the file's keys."""
        settings = {name: value for name, value in vars(self).items() if name not in ("type", "vocab", "merges")}
        return {"type": self.type, **settings, "vocab": self.vocab, "merges": self.merges}


@dataclass(frozen=True)
class OtherModel:
    """A model of another type (Unigram, WordPiece, WordLevel): its vocabulary, and the rest as the file has it."""

    vocab: Mapping[str, int] = field(repr=False)
    type: str
    config: Mapping[str, Any] = field(repr=False)

    def to_json(self) -> Mapping[str, Any]:
        """The model as the file has it."""
        return self.config


@dataclass(frozen=True)
class TokenizerJson:
    """A tokenizer. Truncation and padding are left out: they are settings of one use of it.

    Attributes:
        model: What turns a piece of text into tokens.
        added_tokens: By id.
        normalizer: What happens to text before it is cut; and so on.
        encode_special_tokens: Special tokens in a text are read as text. A switch that the file lacks, and that
            somebody's `tokenizers.Tokenizer` can have set.
        name: What to call it in an error: its path.
    """

    model: BpeModel | OtherModel
    added_tokens: tuple[AddedToken, ...] = ()
    normalizer: Step | None = None
    pre_tokenizer: Step | None = None
    post_processor: Step | None = None
    decoder: Step | None = None
    encode_special_tokens: bool = False
    name: str = field(default="the tokenizer", compare=False, repr=False)

    @cached_property
    def text(self) -> str:
        """The file, on one line; the same tokenizer gives the same text."""
        config = self._to_json()
        if not isinstance(self.model, BpeModel):
            return _on_one_line(config)
        large = {name: config["model"].pop(name) for name in ("vocab", "merges")}
        # Nearly all of it, and without numbers that have more than one form: msgspec writes it in a fifth of the time.
        return f"{_on_one_line(config)[:-2]},{msgspec.json.encode(large).decode()[1:]}}}"

    def pretty(self) -> str:
        """The file, as it is written to disk."""
        return msgspec.json.format(self.text, indent=2) + "\n"

    def _to_json(self) -> dict[str, Any]:
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [vars(token) for token in self.added_tokens],
            **{step: getattr(self, step) for step in STEPS},
            "model": self.model.to_json(),
        }

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all that decides the ids: the same on every machine."""
        config = self._to_json()
        decides = [config[part] for part in ("added_tokens", "normalizer", "pre_tokenizer", "model")]
        return sha256(json.dumps(decides).encode()).hexdigest()

    @cached_property
    def ids(self) -> dict[str, int]:
        """Every token's id, added tokens included."""
        return {**self.model.vocab, **self._added_ids}

    @cached_property
    def _added_ids(self) -> dict[str, int]:
        return {token.content: token.id for token in self.added_tokens}

    @cached_property
    def tokens(self) -> dict[int, str]:
        """The token of every id that has one, also where an added token of another id has its text."""
        return {i: token for token, i in (*self.model.vocab.items(), *self._added_ids.items())}

    @cached_property
    def spelling(self) -> Spelling:
        """How the file writes its tokens."""
        byte_level = any("ByteLevel" in json.dumps(step) for step in (self.pre_tokenizer, self.decoder))
        return ByteSpelling() if byte_level else Spelling()

    @cached_property
    def texts(self) -> dict[str, int]:
        """Every token's id, each token as word counts write it, not as the file spells it; added ones as they are."""
        read = dict(zip(self._read, self.model.vocab.values(), strict=True))
        for text, i in self._added_ids.items():
            spelled = self.spelling.spell(text)
            # In a byte-level file an added `▁` is that character, and the space is another token.
            read[text] = i if spelled == text else self.model.vocab.get(spelled, i)
        return read

    @cached_property
    def merged(self) -> Set[str]:
        """The tokens that text is merged to, as in `texts`: added ones are found before, and merge with nothing."""
        read = zip(self._read, self.model.vocab, strict=True)
        return {text for text, token in read if text not in self._added_ids or text != token}

    @cached_property
    def taken(self) -> Set[str]:
        """Texts, as in `texts`, that the file would spell as an added token, of which it has one already."""
        read = [(self.spelling.read(token), token) for token in self._added_ids]
        return {text for text, token in read if self.spelling.spell(text) == token}

    @cached_property
    def text_of(self) -> dict[int, str]:
        """The token of every id that has one, as in `texts`; also where an added token of another id has its text."""
        read = dict(zip(self.model.vocab.values(), self._read, strict=True))
        return read | {token.id: token.content for token in self.added_tokens}

    @cached_property
    def _read(self) -> list[str]:
        return self.spelling.read_all(self.model.vocab)

    @property
    def size(self) -> int:
        """One more than the highest id: the rows that a model needs, and the id of the first new token."""
        return max(self.tokens, default=-1) + 1

    def model_alone(self) -> "TokenizerJson":
        """The model by itself: text is taken as it stands, and merges have to reach each token."""
        model = self.model
        if isinstance(model, BpeModel) and model.ignore_merges:
            model = replace(model, ignore_merges=False)
        return TokenizerJson(model, name=self.name)
