"""How merges make each token, what each cannot be made without, and so which tokens may go next.

A token is made by the same merges wherever it stands (`rust/bpe/segments.rs` says why). So what merges do to its own
text is all that it needs: take away tokens that are none of its parts, with all merges of theirs, and at each step of
it the lowest rank is there still. A set of tokens may go if no other is made of one of them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from kovocab.tokenizer.tokenizer_json import BpeModel, Merge, TokenizerJson


@dataclass(frozen=True)
class Making:
    """How the merges of a tokenizer make its tokens.

    Attributes:
        parts: The two that each token is merged from, of those that merges reach.
        atoms: Single characters, which nothing makes.
        unreachable: Tokens that merges do not make of their own text, and so nowhere; but for added ones, which are
            found before.
    """

    parts: Mapping[int, tuple[int, int]] = field(repr=False)
    atoms: frozenset[int] = field(repr=False)
    unreachable: frozenset[int]

    @classmethod
    def of(cls, tokenizer: TokenizerJson) -> "Making":
        """Merge the text of each token, and see what is merged last."""
        model = tokenizer.model
        assert isinstance(model, BpeModel)
        # Of a merge listed twice the later rank holds.
        ranks = {merge: rank for rank, merge in enumerate(model.merges)}
        added = {token.content for token in tokenizer.added_tokens}
        parts: dict[int, tuple[int, int]] = {}
        atoms, unreachable = set(), set()
        for token, i in model.vocab.items():
            if len(token) == 1:
                atoms.add(i)
            elif (last := last_merge(token, ranks)) is not None:
                parts[i] = (model.vocab[last[0]], model.vocab[last[1]])
            elif token not in added:
                unreachable.add(i)
        return cls(parts, frozenset(atoms), frozenset(unreachable))

    def needed(self, tokens: Iterable[int]) -> set[int]:
        """`tokens`, what they are made of, and so on down to characters."""
        found: set[int] = set()
        rest = list(tokens)
        while rest:
            if (token := rest.pop()) not in found:
                found.add(token)
                rest += self.parts.get(token, ())
        return found


class Leaves:
    """The tokens that may go, one after another: no token that is there is made of one.

    Args:
        making: How tokens are made.
        staying: Those that never go; what they are made of stays with them.
    """

    def __init__(self, making: Making, staying: Collection[int]) -> None:
        self._making = making
        self._kept = making.needed(staying)
        self._users: dict[int, set[int]] = defaultdict(set)
        for token, parts in making.parts.items():
            for part in parts:
                self._users[part].add(token)
        every = (*making.parts, *making.atoms, *making.unreachable)
        self._now = {token for token in every if token not in self._kept and not self._users[token]}

    @property
    def now(self) -> list[int]:
        """Those that may go next, by id."""
        return sorted(self._now)

    def take(self, tokens: Iterable[int]) -> None:
        """Let some of `now` go."""
        for token in tokens:
            self._now.remove(token)
            for part in self._making.parts.get(token, ()):
                self._users[part].discard(token)
                if not self._users[part] and part not in self._kept:
                    self._now.add(part)


def last_merge(token: str, ranks: Mapping[Merge, int]) -> Merge | None:
    """The merge that makes a token of its own text; None where merges do not come that far."""
    pieces = list(token)
    while len(pieces) > 1:
        pairs = [ranks.get(pair, len(ranks)) for pair in pairwise(pieces)]
        at = min(range(len(pairs)), key=pairs.__getitem__)  # the leftmost of the lowest
        if pairs[at] == len(ranks):
            return None
        if len(pieces) == 2:
            return pieces[0], pieces[1]
        pieces[at : at + 2] = [pieces[at] + pieces[at + 1]]
    return None
