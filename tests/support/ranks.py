"""A job on two processes (gloo), in the environment that a launcher gives them."""

import os
import socket
import warnings
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.multiprocessing import get_context, start_processes

PORTS: list[int] = []

FORKED = get_context("forkserver")
"""Processes forked from one that has imported what training needs: it does so once, for all tests."""
FORKED.set_forkserver_preload(["kovocab.fitting.fit", "support.models"])


def on_two(job, *args):
    """Run `job(*args)` on two processes, in the folder of this one; give what it gave on each.

    That is made of tensors, numbers, strings, lists and dicts.
    """
    with ExitStack() as stack:
        free = [stack.enter_context(socket.socket()) for _ in range(8)]
        for one in free:
            one.bind(("127.0.0.1", 0))
        ports = [one.getsockname()[1] for one in free]
    with TemporaryDirectory() as folder:
        start_processes(_process, (ports, Path(folder), job, args), nprocs=2, start_method="forkserver")
        return [torch.load(Path(folder, str(rank)), weights_only=True) for rank in range(2)]


def fresh_port():
    """Where this process meets the other one next: that may still have the store of the run before."""
    os.environ["MASTER_PORT"] = str(PORTS.pop())


def _process(rank, ports, folder, job, args):
    PORTS.extend(ports)
    fresh_port()
    here = {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": 2, "NODE_RANK": 0, "RANK": rank, "LOCAL_RANK": rank}
    os.environ.update({key: str(value) for key, value in here.items()})
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # pytest's filters do not come with a new process
    try:
        torch.save(job(*args), folder / str(rank))
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # gloo aborts, or waits for ever, where it ends after Python
