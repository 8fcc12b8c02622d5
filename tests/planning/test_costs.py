"""What a plan predicts is what is there: bytes against real tensors, FLOPs against torch's own count of them."""

from functools import partial

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from kovocab.freezing.callback import freeze
from kovocab.model.causal_lm import CausalLM
from kovocab.planning.costs import Skeleton
from kovocab.planning.setup import Setup
from kovocab.stages import STAGES
from support.models import expanded, ids

EEVE = STAGES["eeve"]
BATCH, LENGTH = 2, 16
ADAMW = partial(torch.optim.AdamW, lr=1e-3)


SETTINGS = {"llama": {}, "phi": {}, "gemma2": {"head_dim": 8, "tie_word_embeddings": False}}  # the last is capped


@pytest.fixture(scope="module", params=SETTINGS)
def folder(request, tmp_path_factory):
    torch.set_num_threads(1)
    name = request.param
    return expanded(tmp_path_factory.mktemp(name) / "model", name, num_hidden_layers=3, **SETTINGS[name])


@pytest.fixture(scope="module")
def skeleton(folder):
    return Skeleton(str(folder), 1, torch.float32)


def real(folder, stage, checkpointing=False):
    module = CausalLM(str(folder))
    module.configure_model()
    if checkpointing:
        module.loaded.activation_checkpointing_enable({"use_reentrant": False})
    freeze(module, stage.patterns)
    return module


def size(tensors):
    return sum(tensor.nbytes for tensor in tensors)


SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)


@pytest.mark.parametrize(("number", "optimizer"), [*((number, ADAMW) for number in range(1, 8)), (6, SGD)])
def test_weights_gradients_and_optimizer_are_exact(folder, skeleton, number, optimizer):
    stage = EEVE[number - 1]
    module = real(folder, stage)
    made = optimizer([p for p in module.parameters() if p.requires_grad])
    batch = ids(shape=(BATCH, LENGTH))
    module(batch, batch).backward()
    made.step()
    cost = skeleton.cost(stage, Setup(BATCH, LENGTH), optimizer)
    assert cost.trained == sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert cost.weights == size([*module.parameters(), *module.loaded.buffers()])
    assert cost.gradients == size(p.grad for p in module.parameters() if p.grad is not None)
    states = [value for state in made.state.values() for value in state.values()]
    assert cost.optimizer == size(value for value in states if isinstance(value, torch.Tensor))


@pytest.mark.parametrize("number", [1, 5, 6, 7])
def test_shards_are_exact(folder, skeleton, number):
    """On the first of three devices, which divide neither the rows nor the layers evenly."""
    stage = EEVE[number - 1]
    torch.distributed.init_process_group("fake", rank=0, world_size=3, store=FakeStore())
    try:
        module = real(folder, stage)
        for layer in module.loaded.base_model.layers:
            fully_shard(layer)
        fully_shard(module)
        trained = [p for p in module.parameters() if p.requires_grad]
        made = ADAMW(trained)
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)
        made.step()
        states = [value for state in made.state.values() for value in state.values()]
        local = [v.to_local() if isinstance(v, DTensor) else v for v in (*states, *module.parameters())]
        cost = skeleton.cost(stage, Setup(BATCH, LENGTH, shards=3), ADAMW)
        assert cost.weights + cost.optimizer == size([*local, *module.loaded.buffers()])
        assert cost.gradients == size(p.grad.to_local() for p in trained)
    finally:
        torch.distributed.destroy_process_group()


def kept(module, autocast=None):
    """Bytes that a forward pass of the body keeps for the backward pass, weights themselves apart."""
    weights = {p.untyped_storage().data_ptr() for p in [*module.parameters(), *module.loaded.buffers()]}
    found = {}

    def pack(tensor):
        if (storage := tensor.untyped_storage()).data_ptr() not in weights:
            found[storage.data_ptr()] = storage
        return tensor

    batch = ids(shape=(BATCH, LENGTH))
    mixed = torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None)
    with saved_tensors_hooks(pack, lambda tensor: tensor), mixed:
        hidden = module.loaded.base_model(input_ids=batch, use_cache=False).last_hidden_state
    assert hidden.requires_grad
    return sum(storage.nbytes() for storage in found.values())


@pytest.mark.parametrize("autocast", [None, torch.bfloat16], ids=["fp32", "autocast"])
@pytest.mark.parametrize("number", [1, 6, 7])
def test_what_the_backward_pass_keeps_is_what_was_kept(folder, skeleton, number, autocast):
    stage = EEVE[number - 1]
    measured = kept(real(folder, stage), autocast)
    setup = Setup(BATCH, LENGTH, compute=autocast or torch.float32)
    trace = skeleton._trace(stage, setup)
    assert trace.in_layers + trace.outside == measured


@pytest.mark.parametrize("number", [1, 6])
def test_checkpointing_keeps_the_layers_inputs(folder, skeleton, number):
    stage = EEVE[number - 1]
    measured = kept(real(folder, stage, checkpointing=True))
    trace = skeleton._trace(stage, Setup(BATCH, LENGTH))
    assert trace.outside + trace.inputs == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(
    ("number", "checkpointing"), [*((number, False) for number in range(1, 8)), (2, True), (5, True), (6, True)]
)
def test_flops_are_those_that_torch_counts(folder, skeleton, number, checkpointing):
    stage = EEVE[number - 1]
    module = real(folder, stage, checkpointing)
    module.loaded.set_attn_implementation("eager")  # matrix products, which are counted on every device
    batch = ids(shape=(BATCH, LENGTH))
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: addmm_flops}) as counter:
        module(batch, batch).backward()
    work = skeleton.work(stage, Setup(BATCH, LENGTH, checkpointing=checkpointing))
    predicted = work.pop(torch.float32) * BATCH * LENGTH
    assert not work
    # Stage 7 needs no gradient of the first layer's input; a layer that is computed again stops at its last product.
    exact = number != 7 and not (checkpointing and number in (1, 3, 5, 6))
    assert predicted * (1 if exact else 0.9) <= counter.get_total_flops() <= predicted


class Peak(TorchDispatchMode):
    """The most bytes of all storages that are alive at a time."""

    def __init__(self, tensors):
        super().__init__()
        self.alive, self.peak = {}, 0
        self.add(tensors)

    def add(self, tensors):
        for storage in (t.untyped_storage() for t in tensors if isinstance(t, torch.Tensor)):
            self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.alive = {key: there for key, there in self.alive.items() if not there[0].expired()}
        self.peak = max(self.peak, sum(nbytes for _, nbytes in self.alive.values()))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.add(tree_leaves(out))
        return out


def measured_peak(module, held, batch, autocast):
    """The most bytes in two steps, those of `held` with them."""
    made = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-3, foreach=True)
    with Peak(held) as measured:
        for _ in range(2):
            for _ in range(2):  # accumulated: gradients are there when the next are made
                with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
                    loss = module(batch, batch)
                loss.backward()
            made.step()
            made.zero_grad()
    return measured.peak


@pytest.mark.parametrize(
    ("kind", "number", "checkpointing", "autocast"),
    [("llama", 1, False, None), ("llama", 2, False, None), ("llama", 4, False, torch.bfloat16),
     ("llama", 6, False, torch.bfloat16), ("llama", 6, True, None), ("llama", 7, True, torch.bfloat16),
     ("gemma2", 2, False, None), ("gemma2", 6, False, torch.bfloat16)],
)  # fmt: skip
def test_the_peak_is_near_the_measured_one(tmp_path, kind, number, checkpointing, autocast):
    """Measured of all seven stages, Llama, Phi and both dtypes: 0.94 to 1.31 of it; of these of Gemma 2 to 1.38."""
    sizes = {"hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 4, "max_position_embeddings": 128}
    folder = expanded(tmp_path / "model", kind, rows=1000, first_new_id=800, **sizes, **SETTINGS[kind])
    stage, batch = EEVE[number - 1], ids(high=1000, shape=(4, 128))
    module = real(folder, stage, checkpointing)
    measured = measured_peak(module, [*module.parameters(), *module.loaded.buffers()], batch, autocast)
    setup = Setup(4, 128, compute=autocast or torch.float32, checkpointing=checkpointing, device="cpu")
    predicted = Skeleton(str(folder), 1, torch.float32).cost(stage, setup, ADAMW).peak
    assert 0.9 < predicted / measured < 1.35


def addmm_flops(total_shape, left_shape, right_shape, out_shape=None, **kwargs):
    return 2 * left_shape[0] * left_shape[1] * right_shape[1]
