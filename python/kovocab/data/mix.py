"""The LightningDataModule: named sources mixed by weight, packed, split, and resumed at the exact batch.

The order of training blocks is a function of (sources, weights, seed) alone. A rank, a worker and a resumed
run each compute the part of it that they need, so the only state is how many blocks were served.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Literal

import lightning

from kovocab.corpus.contents import Fingerprint, check_fingerprint
from kovocab.data.block_loader import BlockLoader
from kovocab.data.block_order import ORDER, HeldOutOrder, Schedule, TrainOrder
from kovocab.errors import CorpusError, UsageError
from kovocab.favouring.bias import biased
from kovocab.favouring.contexts import Contexts, mined
from kovocab.favouring.needs import settings_of, weights_of
from kovocab.favouring.pieces import Blocks, Pieces
from kovocab.favouring.rates import Bias
from kovocab.packing.encoding import SpecialTokens
from kovocab.packing.packed import PackedSource
from kovocab.packing.source import Packing, Source
from kovocab.packing.token_files import TokenFiles, digest
from kovocab.record import Record
from kovocab.tokenizer.tokenizer import load_tokenizer

DISTILLED = Contexts()
"""What stages that distill read by default."""

DocumentAttention = Literal["across", "within"]
"""Whether a token of a block sees those of the documents before its own there."""

MOST_WORKERS = 512
"""Processes that read ahead, at most: more is a slip, and would take a machine down."""


class Mixture(lightning.LightningDataModule):
    """A weighted mix of named sources, packed to one length.

    Batches are `{"input_ids": int64 [batch, length]}`, with `document_attention: within` also `position_ids`, as many.
    An epoch of training is `Trainer.max_steps` steps if that is set, else as many blocks as there are; either way the
    next goes on in the same endless order. Test and predict read what validation reads.

    Args:
        tokenizer: A folder or file of the target tokenizer.
        sources: What to mix.
        length: Tokens per block.
        batch_size: Blocks in a batch of one rank.
        validation_share: Share of each source's documents to hold out; at least one block.
        tokens_dir: Folder of the token files, which runs may share.
        seed: Of the order of blocks.
        num_workers: Processes that read ahead, per rank.
        special_tokens_in_text: What a literal `</s>` in a document is, and each other special token's text: `text`,
            as any other, or that `token`.
        fingerprint: By what a corpus, and its token files, are known again: `quick`, each file is read whole but once,
            until size, times or place on the disk say that somebody touched it; `full`, every time.
        document_attention: `across`: a token sees all before it in its block. `within`: only those of its own
            document; positions begin anew with each document, and the first token of one is nobody's label.
        bias: Of sources, by their names, how each is biased towards documents with new tokens, see docs/data.md.
        contexts: What stages with `label_mode: distill` read: short contexts of every new token; null: the mix.

    Attributes:
        begin: How many blocks the stages before have taken: where in the order the next training begins.

    Raises:
        UsageError: no source, two of one name, or a number out of range.
        CorpusError: while packing, see `kovocab.packing.token_files.TokenFiles`.
    """

    def __init__(
        self,
        tokenizer: str,
        sources: list[Source],
        *,
        length: int = 2048,
        batch_size: int = 8,
        validation_share: float = 0.01,
        tokens_dir: str = "tokens",
        seed: int = 0,
        num_workers: int = 0,
        special_tokens_in_text: SpecialTokens = "text",
        fingerprint: Fingerprint = "quick",
        document_attention: DocumentAttention = "across",
        bias: dict[str, Bias] | None = None,
        contexts: Contexts | None = DISTILLED,
    ) -> None:
        super().__init__()
        names = [source.name for source in sources]
        if not names:
            raise UsageError("data.sources is empty; wanted at least one source with a name and a corpus")
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"data.sources: two sources have the name {name!r}")
        if batch_size < 1 or not 0 <= num_workers <= MOST_WORKERS:
            raise UsageError(
                f"data.batch_size is {batch_size} and data.num_workers {num_workers}; wanted at least 1, and from 0 "
                f"to {MOST_WORKERS}"
            )
        if document_attention not in ("across", "within"):
            raise UsageError(f"data.document_attention is {document_attention}; wanted across or within")
        if seed < 0:
            raise UsageError(f"data.seed is {seed}; wanted at least 0")
        check_fingerprint("data.fingerprint", fingerprint)
        self.tokenizer, self.sources, self.tokens_dir, self.fingerprint = tokenizer, sources, tokens_dir, fingerprint
        self.packing = Packing(length, validation_share, special_tokens_in_text)
        self.batch_size, self.seed, self.num_workers = batch_size, seed, num_workers
        self.document_attention: DocumentAttention = document_attention
        self.bias, self.contexts = bias or {}, contexts
        for name in self.bias:
            if name not in names:
                raise UsageError(f"data.bias: there is no source {name!r}; wanted one of {', '.join(names)}")
        self.packed: list[PackedSource] = []
        self.begin = 0
        self._stages: list[tuple[int, bool]] = []
        self._distills = False

    def plan(self, stages: Sequence[tuple[int, bool]]) -> None:
        """Say what a run will read, which a bias and `begin` depend on.

        Args:
            stages: Of each stage, how many blocks it takes, and whether it distills.
        """
        self._stages = [(blocks, distills and self.contexts is not None) for blocks, distills in stages]

    def enter(self, stage: int) -> None:
        """The next training is that of the stage of this number, from 1, of those that were planned.

        Stages go on in one order, so that its shares are the run's, and no block comes again before all others came;
        one that reads contexts takes nothing of it.
        """
        self.begin = sum(blocks for blocks, distills in self._stages[: stage - 1] if not distills)
        self._distills = self.distills(stage)
        if self._distills:
            self.begin = sum(blocks for blocks, distills in self._stages[: stage - 1] if distills)

    def distills(self, stage: int) -> bool:
        """Whether the stage of this number, from 1, reads contexts."""
        return self._stages[stage - 1][1]

    @property
    def budgets(self) -> list[int]:
        """How many blocks the planned stages take from each source."""
        whole = sum(blocks for blocks, distills in self._stages if not distills)
        return Schedule([source.weight for source in self.sources]).served(whole)

    @cached_property
    def token_files(self) -> TokenFiles:
        """Where sources are packed; what they are made of is settled when it is first asked for."""
        return TokenFiles(self.tokenizer, self.tokens_dir, self.packing, self.fingerprint)

    def check(self) -> None:
        """See that what is not packed yet can be read, and what is packed is there; see `TokenFiles.check`."""
        self.token_files.check(self.sources)
        for name, bias in self.bias.items():
            made_from = self.token_files.identity(next(source for source in self.sources if source.name == name))
            if bias.needs is not None and made_from["first_new_id"] is not None:
                weights_of(bias, made_from["tokenizer"], made_from["first_new_id"], self._size)

    def prepare_data(self) -> None:
        """Pack what is not packed yet, and check what was packed before, once; on one rank a machine."""
        self.check()
        # Those with a bias first, and it at once: that it does not fit shows only then.
        for source in sorted(self.sources, key=lambda source: source.name not in self.bias):
            packed = self.token_files.pack(source)
            self.token_files.check_contents(source)
            if self._stages:
                self.biased([packed])
        if self._stages:
            self.mined([self.token_files.pack(source) for source in self.sources])

    def setup(self, stage: str) -> None:
        """Open the token files.

        Raises:
            CorpusError: the processes of the run found different corpora: one changed while they started.
        """
        del stage
        if not self.packed:
            self._check_same()
            self.packed = [self.token_files.pack(source) for source in self.sources]

    def _check_same(self) -> None:
        if self.trainer is None or self.trainer.world_size == 1:
            return
        strategy, found = self.trainer.strategy, digest(self.identity())
        if not strategy.reduce_boolean_decision(strategy.broadcast(found) == found, all=True):
            raise CorpusError(
                "the processes of this run found different corpora or tokenizers: one changed while they started; "
                "wanted files that stand still"
            )

    def identity(self) -> Record:
        """All that the order of training blocks depends on; needs no packing."""
        weights = Schedule([source.weight for source in self.sources]).weights.tolist()
        sources = {}
        for source, share in zip(self.sources, weights, strict=True):
            made_from = self.token_files.identity(source)
            # A corpus may be of a million files: its size and how it is read by value, the rest by a digest.
            corpus = {key: value for key, value in made_from["corpus"].items() if key != "files"}
            sources[source.name] = {
                "share": share,
                **made_from,
                "corpus": corpus | {"content": digest(made_from["corpus"])},
            }
        for name, (bias, blocks) in self.biases().items():
            sources[name]["bias"] = {**settings_of(bias), "blocks": blocks}
        attention = self.document_attention
        known = {"seed": self.seed, "order": ORDER, "document_attention": attention, "sources": sources}
        if self.contexts is not None and any(distills for _, distills in self._stages):
            known["contexts"] = asdict(self.contexts)
        return known

    def record(self) -> Record:
        """What a run's record says of its data: each source with its files, documents, tokens and blocks."""
        weights = Schedule([source.weight for source in self.sources]).weights.tolist()
        return {
            "length": self.packing.length,
            "sources": [
                {"name": s.name, "share": weight, **{key: p.record[key] for key in _RECORDED}}
                for s, weight, p in zip(self.sources, weights, self.packed, strict=True)
            ],
        }

    def train_dataloader(self) -> BlockLoader:
        """The endless mix, or the contexts that a stage distills."""
        rank, world, steps = self._place()
        order, read = self._train_order()
        step = self.batch_size * world
        return BlockLoader(
            list(read.values()),
            "train",
            order,
            blocks=steps * step
            if steps
            else math.ceil(sum(each.blocks("train") for each in read.values()) / step) * step,
            batch_size=self.batch_size,
            rank=rank,
            world=world,
            num_workers=self.num_workers,
            endless=True,
            begin=self.begin,
            within=self._within,
        )

    def served(self, blocks: int) -> Record:
        """What a stage of so many blocks takes from each source, from `begin` on: computed from the order alone.

        Returns:
            `begin` and `end`, positions in the order, and of each source by its name its `blocks` and `tokens`, its
            `share` of them, and its `epochs`: how often all of its blocks would have been that many.
        """
        order, read = self._train_order()
        counts = order.served(self.begin, self.begin + blocks)
        sources = {
            name: {
                "blocks": count,
                "tokens": count * self.packing.length,
                "share": count / blocks,
                "epochs": count / each.blocks("train"),
            }
            for (name, each), count in zip(read.items(), counts, strict=True)
        }
        return {"begin": self.begin, "end": self.begin + blocks, "sources": sources}

    def _train_order(self) -> tuple[TrainOrder, dict[str, Blocks]]:
        """The order of the next training, and what it reads of each source."""
        read: dict[str, Blocks] = {}
        if self._distills:
            read |= {name: pieces for name, pieces in self.mined().items() if pieces is not None}
            weights = [float(each.blocks("train")) for each in read.values()]
        else:
            read |= {source.name: packed for source, packed in zip(self.sources, self.packed, strict=True)}
            read |= self.biased()
            weights = [source.weight for source in self.sources]
        return TrainOrder([each.blocks("train") for each in read.values()], weights, list(read), self.seed), read

    def biases(self) -> dict[str, tuple[Bias, int]]:
        """By source, its bias and how many blocks the run takes from it."""
        found = {}
        for source, blocks in zip(self.sources, self.budgets, strict=True):
            if (bias := self.bias.get(source.name)) is not None:
                found[source.name] = bias, blocks if bias.tokens is None else max(1, bias.tokens // self.packing.length)
        return found

    def biased(self, packed: list[PackedSource] | None = None) -> dict[str, Pieces]:
        """Those of the packed sources that have a bias, as it reads them; built where they are not there."""
        found = {}
        by_name = {each.record["source"]: each for each in packed or self.packed}
        for name, (bias, blocks) in self.biases().items():
            if not blocks and not self._stages:
                raise UsageError(
                    f"data.bias: {name} has no tokens, and no stages say how many; wanted bias.{name}.tokens"
                )
            if blocks and name in by_name:
                found[name] = biased(by_name[name], self._size, bias, blocks, self.seed)
        return found

    def mined(self, packed: list[PackedSource] | None = None) -> dict[str, Pieces | None]:
        """The contexts in each source, if a stage distills; built where they are not there."""
        if self.contexts is None or not any(distills for _, distills in self._stages):
            return {}
        found = mined(packed or self.packed, self._size, self.contexts, self.seed)
        return dict(zip((source.name for source in self.sources), found, strict=True))

    @cached_property
    def _size(self) -> int:
        return load_tokenizer(self.tokenizer).size

    @property
    def _within(self) -> bool:
        return self.document_attention == "within"

    def val_dataloader(self) -> BlockLoader:
        """Every held-out block once."""
        rank, world, _ = self._place()
        order = HeldOutOrder([packed.blocks("validation") for packed in self.packed], world)
        return BlockLoader(
            self.packed,
            "validation",
            order,
            blocks=order.blocks,
            batch_size=self.batch_size,
            rank=rank,
            world=world,
            num_workers=self.num_workers,
            endless=False,
            within=self._within,
        )

    def held_out(self) -> Iterator[tuple[str, int, list[int]]]:
        """Source, number and token ids of each held-out block; ordered as `val_dataloader` of one rank is."""
        order = HeldOutOrder([packed.blocks("validation") for packed in self.packed], world=1)
        for source, block in order(0, order.blocks):
            ids = self.packed[source].block("validation", block).tolist()
            yield self.sources[source].name, block, ids

    def test_dataloader(self) -> BlockLoader:
        """The held-out blocks."""
        return self.val_dataloader()

    def predict_dataloader(self) -> BlockLoader:
        """The held-out blocks."""
        return self.val_dataloader()

    def _place(self) -> tuple[int, int, int]:
        """Rank, world size, and batches in an epoch (0: not said)."""
        trainer = self.trainer
        if trainer is None:
            return 0, 1, 0
        steps = max(trainer.max_steps, 0) * trainer.accumulate_grad_batches
        return trainer.global_rank, trainer.world_size, steps


_RECORDED = (
    "corpus",
    "tokenizer",
    "eos",
    "special_tokens_in_text",
    "documents_with_special_tokens",
    "train",
    "validation",
)
