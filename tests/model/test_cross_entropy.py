"""The loss in pieces equals the plain loss: value, gradients, and none where nothing trains."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from kovocab.expanding.logits import PLAIN, LogitForm
from kovocab.expanding.split_rows import SplitLinear
from kovocab.model.cross_entropy import IGNORE, cross_entropy, token_losses
from support.devices import DEVICES

torch.set_num_threads(1)


def made(positions, hidden, old, new, bias, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator).to(dtype)

    head = SplitLinear(
        normal(old, hidden), normal(new, hidden), *((normal(old), normal(new)) if bias else (None, None))
    )
    x = normal(positions, hidden).requires_grad_()
    labels = torch.randint(0, old + new, (positions,), generator=generator)
    return x, head, labels


def plain_loss(x, head, labels, form=PLAIN):
    """The obvious twin: all logits at once, torch's own loss, in fp64."""
    weight = torch.cat([head.output_old, head.output_new]).double()
    bias = None
    if head.output_old_bias is not None:
        bias = torch.cat([head.output_old_bias, head.output_new_bias]).double()
    logits = functional.linear(x.double() / (form.states_divisor or 1), weight, bias)
    logits = logits * (form.factor or 1) / (form.divisor or 1)
    if form.cap is not None:
        logits = form.cap * torch.tanh(logits / form.cap)
    loss = functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    return loss / (labels != IGNORE).sum().clamp(min=1)


def gradients(loss, tensors):
    wanted = [t for t in tensors if t is not None and t.requires_grad]
    return torch.autograd.grad(loss, wanted)


def everything(x, head):
    return [x, head.output_old, head.output_new, head.output_old_bias, head.output_new_bias]


SIZES = {
    "positions": st.integers(1, 23),
    "hidden": st.integers(1, 9),
    "old": st.integers(1, 20),
    "bias": st.booleans(),
    "seed": st.integers(0, 1000),
}
NUMBERS = st.none() | st.floats(0.25, 4)
FORMS = st.builds(LogitForm, NUMBERS, NUMBERS, NUMBERS, st.none() | st.floats(1, 30), st.booleans())


@settings(max_examples=150, deadline=None)
@given(
    **SIZES,
    new=st.integers(1, 20),
    piece=st.integers(1, 30),
    rows=st.integers(1, 30),
    ignored=st.floats(0, 1),
    trains=st.lists(st.booleans(), min_size=5, max_size=5).filter(any),
    form=FORMS,
)
def test_equals_the_plain_loss(positions, hidden, old, new, bias, piece, rows, ignored, trains, form, seed):
    x, head, labels = made(positions, hidden, old, new, bias, seed)
    labels[torch.rand(positions, generator=torch.Generator().manual_seed(seed)) < ignored] = IGNORE
    for tensor, flag in zip(everything(x, head), trains, strict=True):
        if tensor is not None:
            tensor.requires_grad_(flag)
    loss = cross_entropy(x, head, labels, form=form, piece=piece, rows=rows)
    wanted = plain_loss(x, head, labels, form)
    # A product is rounded before the form multiplies it.
    off = 1e-5 * max(1, (form.factor or 1) / (form.divisor or 1) / (form.states_divisor or 1))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), wanted, atol=off, rtol=off)
    if any(t is not None and t.requires_grad for t in everything(x, head)):
        for ours, theirs in zip(
            gradients(loss, everything(x, head)), gradients(wanted, everything(x, head)), strict=True
        ):
            torch.testing.assert_close(ours, theirs, atol=off, rtol=off, check_dtype=False)
    losses = token_losses(x, head, labels, form=form, piece=piece, rows=rows)
    assert (losses[labels == IGNORE] == 0).all()
    torch.testing.assert_close(losses.sum() / max(1, (labels != IGNORE).sum()), loss.detach())


@settings(max_examples=100, deadline=None)
@given(
    **SIZES,
    piece=st.none() | st.integers(1, 30),
    rows=st.none() | st.integers(1, 30),
    ignored=st.floats(0, 1),
    trains=st.lists(st.booleans(), min_size=3, max_size=3).filter(any),
)
def test_over_old_tokens_alone_equals_the_plain_loss_without_new_rows(
    positions, hidden, old, bias, piece, rows, ignored, trains, seed
):
    x, head, labels = made(positions, hidden, old, 7, bias, seed)
    # A product with what has no numbers is an error: new rows are not looked at.
    head.output_new = torch.nn.Parameter(head.output_new.detach().to("meta"))
    labels %= old
    labels[torch.rand(positions, generator=torch.Generator().manual_seed(seed)) < ignored] = IGNORE
    tensors = [x, head.output_old, head.output_old_bias]
    for tensor, flag in zip(tensors, trains, strict=True):
        if tensor is not None:
            tensor.requires_grad_(flag)
    loss = cross_entropy(x, head, labels, old_vocab=True, piece=piece, rows=rows)
    logits = functional.linear(*(None if t is None else t.double() for t in tensors))
    wanted = functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    wanted = wanted / (labels != IGNORE).sum().clamp(min=1)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), wanted, atol=1e-5, rtol=1e-5)
    if any(t is not None and t.requires_grad for t in tensors):
        for ours, theirs in zip(gradients(loss, tensors), gradients(wanted, tensors), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5, check_dtype=False)


def test_over_old_tokens_alone_a_new_label_is_refused():
    x, head, _ = made(3, 4, 11, 5, False)
    with pytest.raises(RuntimeError, match="out of bounds"):
        cross_entropy(x, head, torch.tensor([0, IGNORE, 11]), old_vocab=True)


def test_a_piece_changes_nothing_but_rounding_and_scaling_carries_through():
    x, head, labels = made(40, 8, 30, 10, True)
    wanted = gradients(3 * plain_loss(x, head, labels), everything(x, head))
    for piece, rows in ((1, 1), (7, 12), (40, 30), (1000, 1000), (None, None)):
        got = gradients(3 * cross_entropy(x, head, labels, piece=piece, rows=rows), everything(x, head))
        for ours, theirs in zip(got, wanted, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bias", [False, True])
def test_bf16_is_exact_where_torch_is_not(bias, device):
    x, head, labels = made(512, 64, 900, 124, bias, dtype=torch.bfloat16)
    x, head, labels = x.detach().to(device).requires_grad_(), head.to(device), labels.to(device)
    logits = head(x).double()
    wanted = functional.cross_entropy(logits, labels)
    loss = cross_entropy(x, head, labels, piece=64)
    # Products of other shapes are added up in another order on a GPU, and some logits rounded the other way.
    torch.testing.assert_close(loss.double(), wanted, atol=0, rtol={"cpu": 1e-6, "cuda": 1e-3}[device])
    got = gradients(loss, everything(x, head))
    for ours, theirs in zip(got, gradients(wanted, everything(x, head)), strict=True):
        assert ours.dtype == torch.bfloat16
        assert (ours - theirs).norm() <= 0.01 * theirs.norm()


def test_autocast_multiplies_in_bf16_and_adds_in_fp32():
    x, head, labels = made(64, 16, 90, 38, True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = cross_entropy(x, head, labels)
        wanted = functional.cross_entropy(head(x).float(), labels)
    torch.testing.assert_close(loss, wanted, atol=0, rtol=1e-6)
    got = gradients(loss, everything(x, head))
    for ours, theirs in zip(got, gradients(wanted, everything(x, head)), strict=True):
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() <= 0.02 * theirs.norm()


def test_gradients_are_made_only_for_what_trains(monkeypatch):
    made_for = []
    original = torch.zeros_like

    def spy(tensor, **settings):
        made_for.append(tuple(tensor.shape))
        return original(tensor, **settings)

    x, head, labels = made(6, 3, 11, 5, False)
    x.requires_grad_(False)
    head.output_old.requires_grad_(False)
    monkeypatch.setattr(torch, "zeros_like", spy)
    loss = cross_entropy(x, head, labels)
    assert made_for == [(5, 3)]
    loss.backward()
    assert head.output_old.grad is None
    assert head.output_new.grad is not None
    made_for.clear()
    with torch.no_grad():
        cross_entropy(x, head, labels)
    assert made_for == []


def test_a_second_backward_is_refused():
    x, head, labels = made(6, 3, 11, 5, False)
    loss = cross_entropy(x, head, labels)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_logits_are_never_held_all_at_once():
    x, head, labels = made(256, 4, 900, 124, False)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for tensor in [out] if isinstance(out, torch.Tensor) else out or ():
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.numel())
            return out

    with Watch():
        cross_entropy(x, head, labels, piece=8).backward()
    assert largest <= 8 * 1024  # of 256 * 1,024 logits
