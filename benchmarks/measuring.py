"""Time and memory of a piece of training: on a GPU by its clock and its allocator, else by what the processor did."""

import gc
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # of torch's profiler, which tells of every start

OUT_OF_MEMORY = "out of memory"

Row = dict[str, Any]
"""What was found, by column; `failed` says why nothing was."""


def seconds(work: Callable[[], object], device: str) -> float:
    """How long `work` takes: the processor's seconds, which other processes disturb least; on a GPU the clock's."""
    wait(device)
    clock = time.perf_counter if device == "cuda" else time.process_time
    start = clock()
    work()
    wait(device)
    return clock() - start


def peak(work: Callable[[], object], device: str) -> int:
    """Bytes of tensors at the worst moment of `work`, above those that are there before it."""
    if device == "cuda":
        before = allocated(device)
        torch.cuda.reset_peak_memory_stats()
        work()
        wait(device)
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    now = most = 0
    for event in sorted((e for e in events if e.get("name") == "[memory]"), key=lambda e: e["ts"]):
        now += event["args"]["Bytes"]
        most = max(most, now)
    return most


def allocated(device: str) -> int:
    """Bytes of tensors on the GPU; 0 on the CPU, whose allocator keeps no count."""
    wait(device)
    return torch.cuda.memory_allocated() if device == "cuda" else 0


def wait(device: str) -> None:
    """Until the GPU has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def tried(measure: Callable[[], Row], device: str) -> Row:
    """What `measure` finds, or why it failed: the next one has its turn all the same, with the memory free again."""
    try:
        found = measure()
    except Exception as error:  # whatever a rival does with another version of what it needs
        said = str(error)
        lacking = isinstance(error, torch.OutOfMemoryError) or "out of memory" in said or "ALLOC_FAILED" in said
        found = {"failed": OUT_OF_MEMORY if lacking else f"{type(error).__name__}: {(said.splitlines() or [''])[0]}"}
    free(device)  # only now is the error gone, and with it the frames that held tensors
    return found


def free(device: str) -> None:
    """Give back what nothing refers to."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
