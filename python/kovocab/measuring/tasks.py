"""`--tasks`: models handed over to lm_eval, so that it scores a grown tokenizer as it scores its base.

Two things go wrong by themselves there. Rolling scores begin with the start token, and a tokenizer whose template puts
one there gets it twice, the second time scored: so they are asked without. And where nothing stands between context and
continuation, a grown tokenizer may have one token for the end of one and all of the other, of which lm_eval makes an
empty continuation and ends: that is looked for before it begins.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from kovocab.errors import NotInstalled, UsageError
from kovocab.hub import local
from kovocab.measuring.subject import Named
from kovocab.record import Record
from kovocab.tokenizer.reference import Reference
from kovocab.tokenizer.tokenizer import load_tokenizer

log = logging.getLogger(__name__)

ROLLING = "loglikelihood_rolling"


@dataclass(frozen=True)
class Tasks:
    """What lm_eval is to run.

    Attributes:
        names: Tasks or groups of it, or of `folder`.
        folder: Where more tasks are defined, in YAML.
        limit: How many documents of each task; None: all.
        few_shot: How many examples stand before each; None: as the task says.
    """

    names: tuple[str, ...]
    folder: str | None = None
    limit: int | None = None
    few_shot: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be run, before anything is measured."""
        for name, value, least in (("task_limit", self.limit, 1), ("few_shot", self.few_shot, 0)):
            if value is not None and value < least:
                raise UsageError(f"{name} is {value}; wanted at least {least}")
        if not find_spec("lm_eval"):
            raise NotInstalled("lm_eval is not installed; wanted what tasks need: pip install 'kovocab[tasks]'")


def chosen(models: Sequence[Named]) -> list[Named]:
    """The models that tasks are run on: of a run its base, and its export or else its last stage; all others."""
    last = [named for named in models if named.kind in ("export", "stage", "expanded")][-1:]
    return [named for named in models if named.kind in ("base", "model") or named in last]


def run_tasks(models: Sequence[Named], tasks: Tasks, device: str, batch_size: int = 8) -> list[Record]:
    """Run tasks on models.

    Returns:
        A row a model, task and metric: `model`, `task`, `metric`, `value`, `stderr` and `samples`.

    Raises:
        UsageError: lm_eval cannot load a task, or a task's continuations are empty to a tokenizer.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager: Any = TaskManager(include_path=tasks.folder)
    kinds = {name: _load(manager, name) for name in tasks.names}
    for named in models:
        for name, leaves in kinds.items():
            for leaf in leaves:
                _check_continuations(named, name, leaf, tasks)
    rolling = [name for name, leaves in kinds.items() if all(leaf.OUTPUT_TYPE == ROLLING for leaf in leaves)]
    rows: list[Record] = []
    for named in models:
        lm: Any = HFLM(
            str(local(named.folder, weights=True)), backend="causal", device=device, dtype="auto", batch_size=batch_size
        )
        for names, add_bos in ((rolling, False), ([name for name in kinds if name not in rolling], None)):
            if not names:
                continue
            log.info("%s: %s", named.name, ", ".join(names))
            lm.add_bos_token = add_bos
            found = simple_evaluate(
                lm,
                tasks=list(names),
                num_fewshot=tasks.few_shot,
                limit=tasks.limit,
                task_manager=manager,
                log_samples=False,
                bootstrap_iters=1_000,
            )
            rows += _rows(named.name, found)
    return rows


def _load(manager: Any, name: str) -> list[Any]:
    """The tasks that a name stands for.

    Raises:
        UsageError: there are none, or what they are made of is not to be had.
    """
    try:
        return list(manager.load([name])["tasks"].values())
    except Exception as error:  # of its own parser, of a data set's server, of code in a task
        said = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"tasks: lm_eval cannot load {name}: {said}; wanted one of its tasks, or --task_folder"
        ) from error


def _check_continuations(named: Named, name: str, task: Any, tasks: Tasks) -> None:
    """See that no continuation is empty, as lm_eval cuts a pair: behind as many tokens as the context alone has."""
    if task.OUTPUT_TYPE == ROLLING:
        return
    if tasks.few_shot is not None:
        task.set_config(key="num_fewshot", value=tasks.few_shot)
    task.build_all_requests(limit=tasks.limit, rank=0, world_size=1)
    pairs = [pair for request in task.instances if request.request_type == "loglikelihood" for pair in _pairs(request)]
    if not pairs:
        return
    reference = Reference(load_tokenizer(local(named.folder)))
    whole = reference.encode([context + text for context, text in pairs])
    alone = reference.encode([context for context, _ in pairs])
    empty = [pair for pair, ids, before in zip(pairs, whole, alone, strict=True) if len(ids) <= len(before)]
    if empty:
        context, text = empty[0]
        raise UsageError(
            f"tasks: {name}: of {len(pairs):,} continuations {len(empty):,} are empty to the tokenizer of "
            f"{named.name}, {text!r} behind {context[-12:]!r} say, which are one token there, and lm_eval ends at "
            "such; wanted a task with a space between (target_delimiter)"
        )


def _pairs(request: Any) -> Iterator[tuple[str, str]]:
    """Context and continuation, as lm_eval cuts them: spaces at a context's end go to the continuation."""
    context, text = request.args
    if bare := context.rstrip():
        yield bare, context[len(bare) :] + text


def _rows(model: str, found: Any) -> Iterator[Record]:
    counts = found.get("n-samples", {})
    for task, said in found["results"].items():
        for key, value in said.items():
            metric, _, how = key.partition(",")
            if not how or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = said.get(f"{metric}_stderr,{how}")
            yield {
                "model": model,
                "task": task,
                "metric": metric if how == "none" else f"{metric} ({how})",
                "value": float(value),
                "stderr": float(error) if isinstance(error, int | float) else None,
                "samples": counts.get(task, {}).get("effective"),
            }
