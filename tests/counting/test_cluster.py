"""The cluster: the file of one machine, byte for byte, whatever happens to the workers; on Ray, on this machine."""

import gc
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovocab.corpus import contents
from kovocab.corpus.contents import identities, whole_hashes
from kovocab.corpus.settings import TEXT
from kovocab.counting import cluster, cluster_tasks
from kovocab.counting.count import count_to
from kovocab.errors import ClusterError, CorpusError, UsageError
from kovocab.example.text import sample_documents

PROC = Path("/proc")
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="pip install kovocab[ray]")
in_proc = pytest.mark.skipif(not PROC.is_dir(), reason="finds the workers in /proc")


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A cluster of three workers, in a folder of a short name: a socket's is at most 107 bytes."""
    ray = pytest.importorskip("ray", reason="pip install kovocab[ray]")
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        patch.setenv("RAY_AUTH_TOKEN", cluster._TOKEN)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("TMPDIR", folder)
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.init(
            address="local",
            num_cpus=3,
            object_store_memory=200 << 20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield ray
        ray.shutdown()


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several reduce tasks, however small the corpus is."""
    monkeypatch.setattr(cluster, "_PIECE", 100 << 10)


@pytest.fixture(scope="module")
def texts() -> pl.DataFrame:
    return pl.DataFrame({"text": list(sample_documents(6_000_000, seed=5))})


@pytest.fixture(scope="module")
def corpus(texts: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 6 MB of text in several formats, an empty file among them."""
    folder = tmp_path_factory.mktemp("corpus")
    parts = [texts[number::6] for number in range(6)]
    parts[0].write_parquet(folder / "0.parquet")
    parts[1].write_parquet(folder / "1.parquet", row_group_size=100)
    parts[2].write_ndjson(folder / "2.jsonl")
    (folder / "3.jsonl.gz").write_bytes(gzip.compress(parts[3].write_ndjson().encode()))
    lines = "".join(text.replace("\n", " ") + "\n" for part in parts[4:] for text in part["text"])
    (folder / "below").mkdir()
    (folder / "below/4.txt").write_text(lines)
    (folder / "empty.txt").touch()
    return folder


@pytest.fixture(scope="module")
def large(texts: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 180 MB that takes the space of 6, and some seconds to count."""
    folder = tmp_path_factory.mktemp("large")
    texts.write_ndjson(folder / "0.jsonl")
    for number in range(1, 30):
        os.link(folder / "0.jsonl", folder / f"{number}.jsonl")
    return folder


@pytest.fixture(scope="module")
def large_counted(large: Path, base_model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Any]:
    """The file that one machine makes of it, and the record."""
    out = tmp_path_factory.mktemp("one") / "one"
    record, faults = count_to(out, large, base_model_file)
    assert faults == []
    return out.read_bytes(), record


def python(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python where no cluster is to be found."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def running(task: str) -> list[int]:
    """The processes that work on `task` now, of this cluster: the tests of another checkout may have theirs."""
    found = []
    for process in PROC.glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(f"ray::{task}".encode()) and ours(int(process.name)):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def ours(process: int) -> bool:
    """Whether it descends from this process."""
    while process not in (0, os.getpid()):
        process = int((PROC / str(process) / "stat").read_text().rpartition(")")[2].split()[1])  # its parent
    return process != 0


@pytest.mark.parametrize("fingerprint", ["quick", "full"])
def test_the_file_is_that_of_one_machine(ray, corpus, base_model_file, tmp_path, fingerprint):
    one = count_to(tmp_path / "one", corpus, base_model_file, fingerprint=fingerprint)
    many = count_to(tmp_path / "many", corpus, base_model_file, engine="ray", fingerprint=fingerprint)
    assert many == one
    assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many", "one"]


def test_with_faults_and_counts_of_before(ray, corpus, base_model_file, tmp_path, monkeypatch):
    shutil.copytree(corpus, tmp_path / "corpus")
    monkeypatch.chdir(tmp_path)  # where workers are not
    with (tmp_path / "corpus/2.jsonl").open("ab") as file:
        file.write('{"text": 5}\n{"text": "끝"}\n{"te'.encode())
    (tmp_path / "corpus/5.parquet").write_bytes(b"PAR1")
    count_to("before", corpus / "below", base_model_file)
    given: dict[str, Any] = {"on_error": "skip", "add_to": ["before", "before"]}
    one, faults = count_to("one", "corpus", base_model_file, **given)
    many, same = count_to("many", "corpus", base_model_file, **given, engine="ray", threads=2, memory="600MiB")
    assert many == one
    assert same == sorted(faults, key=lambda fault: fault.file)
    assert [fault.file for fault in same] == ["corpus/2.jsonl"] * 2 + ["corpus/5.parquet"]
    assert Path("many").read_bytes() == Path("one").read_bytes()


def test_a_fault_is_the_error_of_one_machine(ray, corpus, base_model_file, tmp_path, monkeypatch):
    shutil.copytree(corpus, tmp_path / "corpus")
    with (tmp_path / "corpus/2.jsonl").open("ab") as file:
        file.write(b"\xff\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match=r"^corpus/2") as one:
        count_to("out", "corpus", base_model_file)
    with pytest.raises(CorpusError) as many:
        count_to("out", "corpus", base_model_file, engine="ray")
    assert str(many.value) == str(one.value)
    assert type(many.value) is CorpusError
    (tmp_path / "none.txt").touch()
    with pytest.raises(CorpusError, match=r"none\.txt holds no documents; wanted at least one$"):
        count_to(tmp_path / "out", tmp_path / "none.txt", base_model_file, engine="ray")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "none.txt"]


def test_faults_while_other_tasks_end(ray, base_model_file, tmp_path, monkeypatch):
    """Tasks that end as the count fails: with `ray.cancel` it was the driver that ended at times."""
    unhandled: list[Exception] = []
    monkeypatch.setattr(ray._private.worker, "_unhandled_error_handler", unhandled.append)
    for number in range(12):
        (tmp_path / f"{number}.jsonl").write_text('{"text": "안녕"}\n' + '{"text": 5}\n' * (number % 3 == 0))
    for _ in range(20):
        with pytest.raises(CorpusError, match=r"line 2: found 5; wanted a JSON object"):
            count_to(tmp_path / "out", tmp_path, base_model_file, engine="ray")
        gc.collect()
    assert unhandled == []  # what Ray prints with its traceback, for each piece of each task


def test_files_of_one_name(ray, corpus, base_model_file, tmp_path, monkeypatch):
    rows = contents.identities  # as of several stores
    monkeypatch.setattr(contents, "identities", lambda *files: [row | {"name": "a.txt"} for row in rows(*files)])
    one = count_to(tmp_path / "one", corpus, base_model_file)
    assert count_to(tmp_path / "many", corpus, base_model_file, engine="ray") == one
    assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes()


@in_proc
@pytest.mark.parametrize("tries", [0, 3])
def test_a_worker_is_killed(tries, ray, large, large_counted, base_model_file, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "_TRIES", tries)
    killed: list[int] = []
    over = Event()

    def kill() -> None:
        while not killed and not over.wait(0.02):
            for process in running("count_files")[:1]:
                os.kill(process, signal.SIGKILL)
                killed.append(process)

    killer = Thread(target=kill)
    killer.start()
    try:
        if tries:
            many = count_to(tmp_path / "many", large, base_model_file, engine="ray")
        else:  # it was at work, so without another try the count fails
            with pytest.raises(ClusterError, match="failed a task"):
                count_to(tmp_path / "many", large, base_model_file, engine="ray")
    finally:
        over.set()
        killer.join()
    assert len(killed) == 1
    if tries:
        assert ((tmp_path / "many").read_bytes(), *many) == (*large_counted, [])
    else:
        assert list(tmp_path.iterdir()) == []


@in_proc
def test_one_that_is_stopped_leaves_nothing(ray, large, base_model_file, tmp_path, monkeypatch):
    def stop(*_: object) -> None:
        assert running("count_files")
        raise KeyboardInterrupt

    monkeypatch.setattr(cluster, "_note", stop)
    with pytest.raises(KeyboardInterrupt):
        count_to(tmp_path / "out", large, base_model_file, engine="ray")
    until = time.monotonic() + 60
    while running("count_files") and time.monotonic() < until:
        time.sleep(0.1)
    assert running("count_files") == []
    assert list(tmp_path.iterdir()) == []


@needs_ray
def test_a_cluster_of_its_own(base_model_file, corpus, tmp_path):
    """The command starts one, which leaves nothing in the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    command = ["-m", "kovocab", "count", "--engine", "ray", "--tokenizer", base_model_file]
    done = python(*command, "--corpus", corpus, "--out", tmp_path / "many", HOME=str(home))
    assert (done.returncode, done.stderr.count("\n")) == (0, 1), done.stderr
    assert list(home.iterdir()) == []
    count_to(tmp_path / "one", corpus, base_model_file)
    assert (tmp_path / "many").read_bytes() == (tmp_path / "one").read_bytes()


LOSES_A_MACHINE = """
import sys
from threading import Thread
import ray
from ray.cluster_utils import Cluster
from kovocab.counting import cluster
from kovocab.counting.count import count_to

machine = {"num_cpus": 1, "object_store_memory": 150 << 20}
machines = Cluster(initialize_head=True, head_node_args=machine | {"include_dashboard": False})
lost = [machines.add_node(**machine) for _ in range(2)][0]
ray.init(address=machines.address, log_to_driver=False, logging_level="ERROR")
check, seen = cluster.Pass.check, []

def lose(passing):  # between the map tasks and the reduce tasks, of which there are more than processors
    check(passing)
    machines.remove_node(lost, allow_graceful=False)
    seen.append(lost)

cluster._PIECES = 3
cluster.Pass.check = lose
count_to(*sys.argv[1:4], engine="ray")
assert seen
"""


@needs_ray
@pytest.mark.slow
def test_a_machine_is_lost_with_what_maps_left_on_it(large, large_counted, base_model_file, tmp_path):
    # Their pieces, of more than 100 KB, are on the machines that they ran on, and are to be made again.
    arguments = ["-c", LOSES_A_MACHINE, tmp_path / "many", large, base_model_file]
    done = python(*arguments, RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "lost objects" in done.stdout + done.stderr  # Ray says that it makes them again
    assert (tmp_path / "many").read_bytes() == large_counted[0]


# ── without Ray ──


@needs_ray
def test_a_cluster_that_does_not_begin_is_told(base_model_file, corpus, tmp_path, monkeypatch):
    def init(**_: object) -> None:
        raise Exception("The current node timed out")

    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ClusterError, match="no cluster can be reached at local: The current node timed out"):
        count_to(tmp_path / "out", corpus, base_model_file, engine="ray")


def test_that_ray_is_missing_is_told(base_model_file, corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'kovocab\[ray\]'"):
        count_to(tmp_path / "out", corpus, base_model_file, engine="ray")


@needs_ray
def test_a_corpus_in_memory_is_not_for_a_cluster(base_model_file, texts, tmp_path):
    with pytest.raises(UsageError, match="the corpus is in memory"):
        count_to(tmp_path / "out", texts, base_model_file, engine="ray")


@pytest.mark.parametrize("hashes", [None, whole_hashes])
def test_every_machine_sees_the_same_files_and_kovocab(tmp_path, hashes):
    path = tmp_path / "a.txt"
    path.write_text("안녕")
    listed = [(path, identities([path], hashes)[0])]
    cluster_tasks._check_shared(*listed[0])
    for change in (lambda: path.write_text("세상"), path.unlink):
        change()
        with pytest.raises(CorpusError, match=r"a\.txt is not the same file on every machine"):
            cluster_tasks._check_shared(*listed[0])
    job = cluster_tasks.Job("0.0.1", TEXT, False, 1, 1 << 30, 2, "")
    *pieces, error = cluster_tasks.count_files(job, "", listed)
    assert pieces == [b"", b""]
    assert isinstance(error, UsageError)
    assert str(error).endswith("wanted 0.0.1 on all")


@given(st.lists(st.integers(0, 100), min_size=1, max_size=50), st.integers(1, 200))
def test_shards_hold_each_file_once(sizes, limit):
    files = [(Path(str(number)), {"bytes": size}) for number, size in enumerate(sizes)]
    shards = cluster._shards(files, limit)
    assert sorted((file for shard in shards for file in shard), key=lambda file: int(str(file[0]))) == files
    sums = [sum(identity["bytes"] for _, identity in shard) for shard in shards]
    assert sums == sorted(sums, reverse=True)
    assert all(len(shard) == 1 or size <= limit for shard, size in zip(shards, sums, strict=True))


@pytest.mark.parametrize(
    ("threads", "memory", "processors", "bytes_", "tasks"),
    [
        (1, None, 1, 2_000_000_000, 24),
        (4, None, 4, 8_000_000_000, 6),
        (1, "8GB", 4, 8_000_000_000, 6),
        (1, "1GB", 1, 1_000_000_000, 24),
        (1, "9GB", 5, 9_000_000_000, 4),
        (16, "9GB", 16, 9_000_000_000, 1),
    ],
)
def test_what_a_cluster_has_room_for(threads, memory, processors, bytes_, tasks):
    room = cluster._Room(nodes((16, 64e9), (8, 64e9), (0, 1e9)), threads, memory)
    assert (room.processors, room.memory, room.tasks) == (processors, bytes_, tasks)
    assert room.processors_for(1e12) == 16  # what no machine has would be waited for without end


def test_what_it_has_no_room_for():
    with pytest.raises(UsageError, match="the largest machine of the cluster has 8 processors"):
        cluster._Room(nodes((8, 64e9)), 9, None)
    with pytest.raises(UsageError, match=r"half of a machine of the cluster is 32\.0 GB"):
        cluster._Room(nodes((8, 64e9)), 1, "33GB")


def nodes(*machines: tuple[float, float]) -> Any:
    """Stands for Ray on a cluster of machines with so many processors and so much memory."""
    listed = [{"Alive": True, "Resources": {"CPU": cpu, "memory": memory} if cpu else {}} for cpu, memory in machines]
    return SimpleNamespace(nodes=lambda: [*listed, {"Alive": False, "Resources": {"CPU": 99.0, "memory": 1e12}}])
