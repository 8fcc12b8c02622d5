"""The cluster: a corpus counted by Ray on many machines, its words on no one of them.

Map tasks count some files each, reduce tasks combine and sort some of the words each (`cluster_tasks`). The sorted
pieces lie beside the file that is written, and are combined as they are read, by the code that does it on one machine:
so the file is the same, byte for byte. Ray does the tasks of a lost worker again.
"""

import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any

import polars as pl

from kovocab.corpus.faults import first_line
from kovocab.corpus.files import File
from kovocab.counting.cluster_tasks import Job, Listed, Stop, combine_pieces, count_files, take_pieces
from kovocab.counting.one_pass import Pass
from kovocab.counting.resume import Done
from kovocab.counting.tally import COMBINED, Tally, sorted_words
from kovocab.errors import ClusterError, CorpusError, UsageError
from kovocab.machine.memory import LEAST, bound

_TRIES = 3  # more, of a task whose worker was lost
_WAVES = 4  # map tasks for each that can run at a time, so that a slow one does not hold up the end
_PIECES = 128  # at most: as many as there are parts
_PIECE = 4 << 20  # bytes of corpus, at least, in a piece: Ray keeps objects below 100 KB in the driver's memory
_STOP_SECONDS = 10  # that tasks are waited for; they look once a second, and between files
_TOKEN = secrets.token_hex(32)  # of clusters that this process starts


def count_by_ray(
    passing: Pass,
    tally: Tally,
    folder: Path,
    tokenizer: str,
    *,
    threads: int | None,
    memory: str | int | None,
    address: str | None,
) -> tuple[int, int, Iterator[pl.DataFrame]]:
    """Count the words of files on a cluster; the driver's part.

    Args:
        passing: The pass, of files that every machine can read; what was counted is noted in it.
        tally: Words that were counted before, if any; it spills in `folder`.
        folder: Where the sorted words are written.
        tokenizer: Its `tokenizer.json`.
        threads: How many threads of a task count; 1 when None.
        memory: What a task may use, as `memory.bound` takes it; when None, its share of half of its machine's.
        address: Of the cluster; when None it is the one that this process is connected to, that RAY_ADDRESS names,
            or one of this machine alone, which is started and ended.

    Returns:
        How many distinct words there are, the sum of their counts, and the words in order.

    Raises:
        CorpusError: as on one machine.
        ClusterError: the cluster cannot be reached, or lost a task too often.
        UsageError: Ray is not installed, or no machine of the cluster has `threads` and `memory`.
        OverflowError: a count passes 2^64 - 1.
    """
    with _connected(address) as ray:
        room = _Room(ray, threads or 1, memory)
        bytes_ = sum(identity["bytes"] for identity in passing.identities)
        listed: list[Listed] = [
            (_absolute(path), identity | {"name": passing.names[path]})  # a worker stands in another folder
            for path, identity in zip(passing.files, passing.identities, strict=True)
        ]
        named = {passing.names[path]: path for path in passing.files}
        shown = {str(_absolute(path)): str(path) for path in passing.files}
        shards = _shards(listed, ceil(bytes_ / room.tasks / _WAVES))
        count = max(1, min(_PIECES, bytes_ // len(shards) // _PIECE))
        stop = f"kovocab-{secrets.token_hex(8)}"
        job = Job(version("kovocab"), passing.reading, passing.skip, threads or 1, room.memory, count, stop)
        environment = {"env_vars": {"POLARS_MAX_THREADS": str(job.threads)}}  # else one a processor, in each task
        options = {"max_retries": _TRIES, "runtime_env": environment}
        map_ = ray.remote(count_files).options(num_cpus=room.processors, num_returns=count + 1, **options)
        reduce = ray.remote(combine_pieces)
        tally.spill()
        before = [ray.put(piece) for piece in take_pieces(folder, count)] if tally.spilled else []
        running: dict[Any, int] = {}
        try:
            base = ray.put(tokenizer)
            of_maps = []
            for number, shard in enumerate(shards):
                *pieces, said = map_.remote(job, base, shard)
                of_maps.append(pieces)
                running[said] = number
            sizes = [0] * count
            for said, _ in _as_they_end(ray, running):
                done, its_sizes = _got(ray, said, shown)
                sizes = [size + more for size, more in zip(sizes, its_sizes, strict=True)]
                _note(passing, done, named, shown)
            passing.check()

            if before:
                of_maps.append(before)
            distinct = total = 0
            results = {}
            for number, size in enumerate(sizes):
                asked = reduce.options(num_cpus=room.processors_for((COMBINED + 1) * size), num_returns=2, **options)
                results[number], said = asked.remote(*(pieces[number] for pieces in of_maps))
                running[said] = number
            for said, number in _as_they_end(ray, running):
                some, their_sum = _got(ray, said, shown)
                (folder / f"{number:03}.sorted").write_bytes(ray.get(results.pop(number)))
                distinct, total = distinct + some, total + their_sum
        finally:
            if running:  # what they have on disk goes with them
                there = ray.remote(Stop).options(name=stop, num_cpus=0).remote()
                ray.wait(list(running), num_returns=len(running), timeout=_STOP_SECONDS, fetch_local=False)
                del there  # which ends it
    if total >= 1 << 64:
        raise OverflowError("a count passes 2^64 - 1")
    return distinct, total, sorted_words(folder, (distinct, total))


def load_ray() -> Any:
    """The package.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        raise UsageError("the engine ray needs Ray: pip install 'kovocab[ray]'") from error


class _Room:
    """What a cluster has room for. Memory is asked for as the processors that have so much to them.

    Attributes:
        processors: That a map task asks for.
        memory: Bytes that it may use.
        tasks: How many can run at a time.
    """

    def __init__(self, ray: Any, threads: int, memory: str | int | None) -> None:
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        self._most = int(max((machine["CPU"] for machine in machines), default=0))
        # Half of it, as on one machine: the rest is for what is read, and for what else runs there.
        self._each = min((machine["memory"] / machine["CPU"] / 2 for machine in machines), default=0.0)
        if threads > self._most:
            raise UsageError(f"threads is {threads}; the largest machine of the cluster has {self._most} processors")
        self.memory = max(LEAST, int(threads * self._each)) if memory is None else bound(memory)
        if memory is not None and self.memory > self._most * self._each:
            size = f"{self._most * self._each / 1e9:.1f} GB"
            raise UsageError(f"memory is {memory}, of a task; half of a machine of the cluster is {size}")
        self.processors = max(threads, self.processors_for(self.memory))
        self.tasks = int(sum(machine["CPU"] // self.processors for machine in machines))

    def processors_for(self, memory: float) -> int:
        """How many processors have so much memory to them; at most those of the largest machine."""
        return max(1, min(self._most, ceil(memory / self._each)))


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected in the block; its errors are ours."""
    ray = load_ray()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address or os.environ.get("RAY_ADDRESS") or "local")
    try:
        yield ray
    except ray.exceptions.RayTaskError as error:
        cause = error
        while isinstance(cause, ray.exceptions.RayTaskError):
            cause = cause.cause
        raise cause from None
    except ray.exceptions.RayError as error:
        raise ClusterError(f"the cluster failed a task {_TRIES + 1} times: {first_line(error)}") from error
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    before = dict(os.environ)
    if address == "local":
        settings["include_dashboard"] = False
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if not any(name.startswith("RAY_AUTH_") for name in os.environ):
            # Who is to reach it is this process; without this Ray would leave a token in ~/.ray for good.
            os.environ["RAY_AUTH_TOKEN"] = _TOKEN
    try:
        ray.init(address=address, **settings)
    except Exception as error:  # Ray has a bare one where a cluster of its own does not begin in time
        raise ClusterError(f"no cluster can be reached at {address}: {first_line(error)}") from error
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            del os.environ[name]
        os.environ.update(before)


def _absolute(path: File) -> File:
    return path.absolute() if isinstance(path, Path) else path


def _shards(files: Sequence[Listed], size: int) -> list[list[Listed]]:
    """Divide files into shards of about `size` bytes, or of one file; large ones first."""
    shards: list[list[Listed]] = [[]]
    sizes = [0]
    for file in files:
        more = file[1]["bytes"]
        if shards[-1] and sizes[-1] + more > size:
            shards.append([])
            sizes.append(0)
        shards[-1].append(file)
        sizes[-1] += more
    return [shards[at] for at in sorted(range(len(shards)), key=lambda at: -sizes[at])]


def _as_they_end(ray: Any, running: dict[Any, int]) -> Iterator[tuple[Any, int]]:
    """Each of `running` when it has ended, which it then leaves."""
    while running:
        for said in ray.wait(list(running))[0]:
            yield said, running[said]
            del running[said]


def _got(ray: Any, said: Any, shown: dict[str, str]) -> Any:
    """What a task says at its end, raised if it is what failed, with the path as it was given."""
    result = ray.get(said)
    if isinstance(result, CorpusError):
        path = max((path for path in shown if str(result).startswith(path)), key=len, default="")
        raise CorpusError(shown.get(path, "") + str(result).removeprefix(path))
    if isinstance(result, Exception):
        raise result
    return result


def _note(passing: Pass, done: Done, named: dict[str, File], shown: dict[str, str]) -> None:
    """Note in the pass what a map task has counted: `named` has its files, `shown` their paths as they were given."""
    assert passing.bar is not None
    done.skipped = [replace(fault, file=shown.get(fault.file, fault.file)) for fault in done.skipped]
    passing.done.add(done)
    for name, file in done.files.items():
        passing.bar.update(file.bytes)
        passing.bar.finished(named[name], file.bytes)
