"""StageFreezing: what a stage does not train does not change by one bit, and the run fails if it does.

For any LightningModule. One stage is one `Trainer.fit` with a fresh optimizer: parameters that thaw after DDP
has wrapped the module are not in its reducer and drift apart between ranks, and momentum of an earlier stage
moves what is frozen now. So flags are set once, after the module has built its layers and before the strategy
wraps them, and stay.
"""

import difflib
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import AveragedModel

from kovocab.errors import FreezingError, UsageError
from kovocab.freezing.digest import digest
from kovocab.stages import Stage


class StageFreezing(Callback):
    """Train the parameters whose names match, freeze all others, and prove it at the end of the fit.

    Frozen parameters get no gradient, leave the optimizer (so no weight decay and no state), and are compared
    bit for bit: a digest of each at the start of training (or, in a resumed run, the one in the checkpoint)
    and at the end of the fit. Buffers are not parameters: running statistics of a frozen BatchNorm still move
    unless the module puts it in eval mode.

    Args:
        train: Patterns (`fnmatch`) over the module's parameter names. Later patterns win; one that begins
            with `!` takes back what those before it chose.
        verify: Compare frozen parameters at the end. Costs one pass over them at either end.

    Raises:
        UsageError: `train` is no list of patterns: a string, say.

    Attributes:
        report: After the fit: numbers of parameters (tensors) and elements trained, frozen, and verified, and
            how many moved (0, or the fit has failed).
    """

    def __init__(self, train: list[str], *, verify: bool = True) -> None:
        if not isinstance(train, list | tuple) or not all(isinstance(pattern, str) for pattern in train):
            raise UsageError(f"train is {train!r}; wanted a list of patterns")
        self.train = list(train)
        self.verify = verify
        self.report: dict[str, int] = {}
        self._start: list[dict[str, int]] | None = None  # of each shard; of the whole, where there are none
        self._dtypes: dict[str, torch.dtype] = {}  # of what is frozen, before a strategy or precision touches it
        self._restore: Callable[[], None] | None = None

    @classmethod
    def from_stage(cls, stage: Stage, *, verify: bool = True) -> "StageFreezing":
        """The callback for a stage of a model split by `kovocab.expanding.split_rows`."""
        return cls(stage.patterns, verify=verify)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Have flags set right after `configure_model`: layers are there, and nothing is wrapped yet."""
        if stage != "fit":
            return
        self.report, self._start = {}, None
        before = vars(pl_module).get("configure_model")
        inner = pl_module.configure_model

        def restore() -> None:
            vars(pl_module).pop("configure_model", None)
            if before is not None:
                vars(pl_module)["configure_model"] = before

        # Not functools.wraps: Lightning looks through `__wrapped__` and would skip a module without the hook.
        def configure_model() -> None:
            restore()
            inner()
            freeze(pl_module, self.train)
            self._dtypes = {name: p.dtype for name, p in pl_module.named_parameters() if not p.requires_grad}

        vars(pl_module)["configure_model"] = configure_model
        self._restore = restore

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take frozen parameters out of every optimizer; find trained ones in some optimizer.

        Raises:
            FreezingError: a trained parameter is in no optimizer; an optimizer keeps frozen ones elsewhere, too; the
                trainer's precision has rounded a frozen parameter.
        """
        named = dict(pl_module.named_parameters())
        for name, dtype in self._dtypes.items():
            if name in named and named[name].dtype != dtype:
                raise FreezingError(
                    f"precision {trainer.precision} makes {named[name].dtype} of {name}, which is frozen and "
                    f"{dtype}; wanted a mixed precision, bf16-mixed say, or weights of that dtype"
                )
        frozen = {id(p) for p in named.values() if not p.requires_grad}
        optimized = set()
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["params"] = [p for p in group["params"] if id(p) not in frozen]
                optimized |= {id(p) for p in group["params"]}
            for parameter in [p for p in optimizer.state if id(p) in frozen]:
                del optimizer.state[parameter]
            # LBFGS steps by a list of its own, not by its groups.
            if any(id(p) in frozen for p in getattr(optimizer, "_params", ())):
                raise FreezingError(
                    f"{type(optimizer).__name__} was given frozen parameters and keeps them; wanted, of "
                    "configure_optimizers, one that is given those alone that have requires_grad"
                )
        lost = [n for n, p in pl_module.named_parameters() if p.requires_grad and id(p) not in optimized]
        if lost:
            raise FreezingError(f"{_some(lost)} should train and is in no optimizer; see configure_optimizers")
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, WeightAveraging) and callback._average_model is not None:
                _average_exactly(callback._average_model)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the digests that the end is compared with, unless the checkpoint brought them.

        Raises:
            FreezingError: the checkpoint brought those of another number of shards.
        """
        if not self.verify:
            self._start = None
            return
        own, shards = _shard(trainer, pl_module)
        if self._start is None:
            self._start = [_digests(pl_module)] * shards
            if shards > 1:
                # Digests of a shard are this rank's, and the state of one rank's callbacks is given to all.
                torch.distributed.all_gather_object(self._start, self._start[own])
        elif len(self._start) != shards:
            raise FreezingError(
                f"the checkpoint holds digests of {len(self._start)} shards, and here are {shards}; finish the stage "
                "with the strategy and the number of processes that it began with"
            )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare, and write the report.

        Raises:
            FreezingError: a frozen parameter moved, on any rank, or an optimizer has state for it; or training
                never started, so that there is nothing to compare with.
        """
        start = self._start[_shard(trainer, pl_module)[0]] if self._start else {}
        end = _digests(pl_module) if start else {}
        moved = [name for name in start if start[name] != end.get(name)]
        frozen = {n: p for n, p in pl_module.named_parameters() if not p.requires_grad}
        stateful = {id(p) for optimizer in trainer.optimizers for p, s in optimizer.state.items() if s}
        held = [name for name, p in frozen.items() if id(p) in stateful]
        # Every rank must hear of it, or those where nothing moved wait for the others for ever.
        sound = trainer.strategy.reduce_boolean_decision(not moved and not held)
        trained = [p for p in pl_module.parameters() if p.requires_grad]
        self.report = {
            "trained_parameters": len(trained),
            "trained_elements": sum(p.numel() for p in trained),
            "frozen_parameters": len(frozen),
            "frozen_elements": sum(p.numel() for p in frozen.values()),
            "verified_parameters": len(end),
            "moved_parameters": len(moved),
        }
        if self.verify and frozen and self._start is None:
            raise FreezingError("training never started, so nothing was verified; see max_steps and max_time")
        if moved:
            raise FreezingError(f"frozen, and moved during the fit: {_some(moved)}")
        if held:
            raise FreezingError(f"frozen, and yet an optimizer holds state for it: {_some(held)}")
        if not sound:
            raise FreezingError("a frozen parameter moved on another rank, which names it")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Leave the module as it was found."""
        self._unwrap()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:  # noqa: ARG002
        """The same where the fit fails: Lightning calls no teardown then."""
        self._unwrap()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the patterns, and the digests from the start of the stage."""
        return {"train": self.train, "start": self._start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the digests of the run that this one goes on with.

        Raises:
            FreezingError: the checkpoint is of a stage that trains something else.
        """
        if state_dict["train"] != self.train:
            raise FreezingError(
                f"the checkpoint is of a stage that trains {state_dict['train']}; this one trains {self.train}"
            )
        self._start = state_dict["start"]

    def _unwrap(self) -> None:
        if self._restore is not None:
            self._restore()
            self._restore = None


def freeze(module: nn.Module, train: list[str]) -> None:
    """Set `requires_grad` by patterns over parameter names, and drop every gradient.

    A gradient left from before would move a frozen parameter: optimizers step on `.grad`, whatever the flag.

    Raises:
        FreezingError: a pattern matches nothing, nothing trains, a parameter to train is of whole numbers, or one
            has two names (is tied) of which one trains and one does not.
    """
    names = [(name, p) for name, p in module.named_parameters(remove_duplicate=False)]
    chosen: dict[str, bool] = {name: False for name, _ in names}
    for pattern in train:
        matching = [name for name in chosen if fnmatchcase(name, pattern.removeprefix("!"))]
        if not matching:
            raise FreezingError(f"the pattern {pattern!r} matches no parameter{_near(pattern, list(chosen))}")
        chosen.update(dict.fromkeys(matching, not pattern.startswith("!")))
    if not any(chosen.values()):
        raise FreezingError(f"the patterns {train} leave nothing to train")
    first: dict[int, str] = {}
    for name, parameter in names:
        other = first.setdefault(id(parameter), name)
        if chosen[other] != chosen[name]:
            trains, frozen = (other, name) if chosen[other] else (name, other)
            raise FreezingError(
                f"{trains} trains and {frozen} is frozen, but they are one parameter (tied); "
                "train both or neither, or untie them"
            )
        if chosen[name] and not (parameter.is_floating_point() or parameter.is_complex()):
            raise FreezingError(
                f"{name} is {parameter.dtype}, which has no gradient; wanted patterns that leave it out"
            )
        parameter.requires_grad_(chosen[name])
        parameter.grad = None


def _average_exactly(model: AveragedModel) -> None:
    """Have the average of equal weights be those weights: `w * decay + w * (1 - decay)` rounds, and would move them.

    Averages over lists (`multi_avg_fn`) are left alone; torch's own are a lerp, and exact.
    """
    average = model.avg_fn
    if average is None:
        return

    def exact(averaged: Tensor, current: Tensor, number: Tensor | int) -> Tensor:
        return torch.where(averaged == current, current, average(averaged, current, number))

    model.avg_fn = exact


def _digests(module: nn.Module) -> dict[str, int]:
    """Of what is frozen; of this process's shards, where it is sharded."""
    return {name: digest(p) for name, p in module.named_parameters() if not p.requires_grad}


def _shard(trainer: Trainer, module: nn.Module) -> tuple[int, int]:
    """Which shard of the parameters this process has, and of how many; 0 of 1 where it has all."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()  # after a validation the root's parameters are still gathered, and no shards
    sharded = any(isinstance(p, DTensor) for p in module.parameters())
    return (trainer.global_rank, trainer.world_size) if sharded else (0, 1)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _near(pattern: str, names: list[str]) -> str:
    near = difflib.get_close_matches(pattern.strip("!*"), names, n=3, cutoff=0.4)
    return f"; near it: {', '.join(near)}" if near else f"; there are {_some(names)}"
