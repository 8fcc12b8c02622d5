"""The LightningDataModule: named sources mixed by weight, packed, split, and resumed at the exact batch.

The order of training blocks is a function of (sources, weights, seed) alone. A rank, a worker and a resumed
run each compute the part of it that they need, so the only state is how many blocks were served.
"""

import math
import signal
from collections.abc import Iterator
from functools import cached_property

import lightning
import torch
from torch.utils.data import DataLoader, Dataset

from kovocab.corpus.contents import Fingerprint, check_fingerprint
from kovocab.data.block_order import Address, HeldOutOrder, Schedule, TrainOrder
from kovocab.errors import CorpusError, UsageError
from kovocab.machine.stopping import ASKS
from kovocab.packing.encoding import SpecialTokens
from kovocab.packing.packed import PackedSource
from kovocab.packing.splitting import Part
from kovocab.packing.token_files import Packing, Source, TokenFiles, digest
from kovocab.record import Record

Batch = dict[str, torch.Tensor]

MOST_WORKERS = 512
"""Processes that read ahead, at most: more is a slip, and would take a machine down."""


class BlockLoader:
    """A sized loader with exact resume, for one rank. Not a DataLoader, so Lightning leaves its order alone.

    Rank r takes the blocks r, r + world, r + 2 * world, … of the global order, so the blocks of a step are
    the same for every number of ranks that gives the same step size.

    Args:
        sources: The packed sources.
        part: Which of their parts.
        order: From positions to blocks.
        blocks: Length of an epoch, in blocks of all ranks.
        batch_size: Blocks in a batch.
        rank: This rank.
        world: How many there are.
        num_workers: Processes that read ahead.
        endless: An epoch begins where the last one ended, instead of from the start.
    """

    def __init__(
        self,
        sources: list[PackedSource],
        part: Part,
        order: TrainOrder | HeldOutOrder,
        *,
        blocks: int,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        num_workers: int = 0,
        endless: bool,
    ) -> None:
        self._dataset = _Blocks(sources, part)
        self._order, self._blocks, self._batch_size = order, blocks, batch_size
        self._rank, self._world, self._num_workers, self._endless = rank, world, num_workers, endless
        self._served = self._begin = 0
        self._resumed = False

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        return math.ceil(self._blocks / (self._batch_size * self._world))

    def __iter__(self) -> Iterator[Batch]:
        """The rest of the epoch whose state was loaded, or a new epoch."""
        if not self._resumed or self._served >= self._begin + self._blocks:
            self._begin = self._served = self._served if self._endless else 0
        self._resumed = False
        stop = self._begin + self._blocks
        batches = _Batches(
            self._order(self._served, stop), batch_size=self._batch_size, rank=self._rank, world=self._world
        )
        loader = DataLoader(
            self._dataset,
            batch_sampler=batches,
            num_workers=self._num_workers,
            collate_fn=_stack,
            worker_init_fn=_leave_stopping_to_main,
        )
        for batch in loader:
            # Counted when handed over, not when read ahead: that is what makes a saved state exact.
            self._served = min(stop, self._served + self._batch_size * self._world)
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Blocks served to all ranks together, so that a run may resume on another number of them."""
        return {"blocks": self._served, "epoch_began_at": self._begin}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind the blocks that `state` counts."""
        self._served, self._begin, self._resumed = state["blocks"], state["epoch_began_at"], True


class Mixture(lightning.LightningDataModule):
    """A weighted mix of named sources, packed to one length.

    Batches are `{"input_ids": int64 [batch, length]}`. An epoch of training is `Trainer.max_steps` steps if
    that is set, else as many blocks as there are; either way the next goes on in the same endless order.
    Test and predict read what validation reads.

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
        check_fingerprint("data.fingerprint", fingerprint)
        self.tokenizer, self.sources, self.tokens_dir, self.fingerprint = tokenizer, sources, tokens_dir, fingerprint
        self.packing = Packing(length, validation_share, special_tokens_in_text)
        self.batch_size, self.seed, self.num_workers = batch_size, seed, num_workers
        self.packed: list[PackedSource] = []

    @cached_property
    def token_files(self) -> TokenFiles:
        """Where sources are packed; what they are made of is settled when it is first asked for."""
        return TokenFiles(self.tokenizer, self.tokens_dir, self.packing, self.fingerprint)

    def check(self) -> None:
        """See that what is not packed yet can be read, and what is packed is there; see `TokenFiles.check`."""
        self.token_files.check(self.sources)

    def prepare_data(self) -> None:
        """Pack what is not packed yet, and check what was packed before, once; on one rank a machine."""
        self.check()
        for source in self.sources:
            self.token_files.pack(source)
            self.token_files.check_contents(source)

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
            # A corpus may be of a million files: its column and size by value, the rest by a digest.
            corpus = {key: made_from["corpus"].get(key) for key in ("kind", "column", "bytes")}
            sources[source.name] = {
                "share": share,
                **made_from,
                "corpus": corpus | {"content": digest(made_from["corpus"])},
            }
        return {"seed": self.seed, "sources": sources}

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
        """The endless mix."""
        rank, world, steps = self._place()
        sizes = [packed.blocks("train") for packed in self.packed]
        names, weights = [s.name for s in self.sources], [s.weight for s in self.sources]
        step = self.batch_size * world
        return BlockLoader(
            self.packed,
            "train",
            TrainOrder(sizes, weights, names, self.seed),
            blocks=steps * step if steps else math.ceil(sum(sizes) / step) * step,
            batch_size=self.batch_size,
            rank=rank,
            world=world,
            num_workers=self.num_workers,
            endless=True,
        )

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


class _Blocks(Dataset[torch.Tensor]):
    """Blocks by address; all that a worker process needs."""

    def __init__(self, sources: list[PackedSource], part: Part) -> None:
        self._sources, self._part = sources, part

    def __getitem__(self, address: Address) -> torch.Tensor:
        source, block = address
        return torch.from_numpy(self._sources[source].block(self._part, block))


class _Batches:
    """One rank's batches of the addresses of all ranks."""

    def __init__(self, addresses: Iterator[Address], *, batch_size: int, rank: int, world: int) -> None:
        self._addresses, self._batch_size, self._rank, self._world = addresses, batch_size, rank, world

    def __iter__(self) -> Iterator[list[Address]]:
        batch: list[Address] = []
        for position, address in enumerate(self._addresses):
            if position % self._world == self._rank:
                batch.append(address)
                if len(batch) == self._batch_size:
                    yield batch
                    batch = []
        if batch:
            yield batch


def _stack(blocks: list[torch.Tensor]) -> Batch:
    return {"input_ids": torch.stack(blocks)}


def _leave_stopping_to_main(worker: int) -> None:
    """A signal to all processes of a job would end what reads ahead, while the main one still finishes its step."""
    del worker
    for number in ASKS:
        signal.signal(number, signal.SIG_IGN)
