"""One rank's batches of the order: a sized loader that goes on at the exact batch."""

import math
import signal
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from kovocab.data.block_order import Address, HeldOutOrder, TrainOrder
from kovocab.favouring.pieces import Blocks
from kovocab.machine.stopping import ASKS
from kovocab.packing.splitting import Part

Batch = dict[str, torch.Tensor]


class BlockLoader:
    """A sized loader with exact resume, for one rank. Not a DataLoader, so Lightning leaves its order alone.

    Rank r takes the blocks r, r + world, r + 2 * world, … of the global order, so the blocks of a step are
    the same for every number of ranks that gives the same step size.

    Args:
        sources: What is read.
        part: Which of their parts.
        order: From positions to blocks.
        blocks: Length of an epoch, in blocks of all ranks.
        batch_size: Blocks in a batch.
        rank: This rank.
        world: How many there are.
        num_workers: Processes that read ahead.
        endless: An epoch begins where the last one ended, instead of from the start.
        begin: Position in the order at which the first epoch begins.
        within: Batches say where documents begin, see `Mixture`.
    """

    def __init__(
        self,
        sources: Sequence[Blocks],
        part: Part,
        order: TrainOrder | HeldOutOrder,
        *,
        blocks: int,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        num_workers: int = 0,
        endless: bool,
        begin: int = 0,
        within: bool = False,
    ) -> None:
        self._dataset = _Blocks(sources, part, within)
        self._order, self._blocks, self._batch_size = order, blocks, batch_size
        self._rank, self._world, self._num_workers, self._endless = rank, world, num_workers, endless
        self._first = begin
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
        addresses = self._order(self._first + self._served, self._first + stop)
        batches = _Batches(addresses, batch_size=self._batch_size, rank=self._rank, world=self._world)
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


class _Blocks(Dataset[Batch]):
    """Blocks by address; all that a worker process needs."""

    def __init__(self, sources: Sequence[Blocks], part: Part, within: bool) -> None:
        self._sources, self._part, self._within = sources, part, within

    def __getitem__(self, address: Address) -> Batch:
        number, index = address
        source = self._sources[number]
        block = {"input_ids": torch.from_numpy(source.block(self._part, index))}
        if self._within:
            begins = np.zeros(source.length, dtype=np.int64)
            begun = source.boundaries(self._part, index)
            begins[begun] = begun  # the document that the block begins within has its first token here at 0
            positions = np.arange(source.length) - np.maximum.accumulate(begins)
            block["position_ids"] = torch.from_numpy(positions)
        return block


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


def _stack(blocks: list[Batch]) -> Batch:
    return {name: torch.stack([block[name] for block in blocks]) for name in blocks[0]}


def _leave_stopping_to_main(worker: int) -> None:
    """A signal to all processes of a job would end what reads ahead, while the main one still finishes its step."""
    del worker
    for number in ASKS:
        signal.signal(number, signal.SIG_IGN)
