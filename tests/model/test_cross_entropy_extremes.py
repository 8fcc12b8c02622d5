"""The loss in pieces where numbers are large, rounded or not numbers, and how it is cut."""

import weakref
from itertools import compress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cross_entropy import SIZES, everything, gradients, made, plain_loss
from torch.nn import functional

from kovocab.expanding.split_rows import SplitLinear
from kovocab.model import cross_entropy as room
from kovocab.model.cross_entropy import IGNORE, cross_entropy, token_losses
from kovocab.model.head_rows import Rows, blocks_of, halves_of

torch.set_num_threads(1)


def ignoring(labels, share, seed):
    """Some of the labels ignored; which."""
    ignored = torch.rand(len(labels), generator=torch.Generator().manual_seed(seed)) < share
    labels[ignored] = IGNORE
    return ignored


@settings(max_examples=60, deadline=None)
@given(
    **SIZES,
    new=st.integers(1, 20),
    piece=st.integers(1, 30),
    rows=st.integers(1, 30),
    ignored=st.sampled_from([0.0, 0.3, 1.0]),
    scale=st.sampled_from([1e-3, 1.0, 30.0, 1000.0]),
    trains=st.sampled_from([(True, True), (False, True), (False, False)]),
)
def test_bf16_loses_nothing_but_the_rounding_of_the_logits(
    positions, hidden, old, new, bias, piece, rows, ignored, scale, trains, seed
):
    x, head, labels = made(positions, hidden, old, new, bias, seed, torch.bfloat16)
    x = (x.detach() * scale).requires_grad_()
    for tensor, flag in zip(everything(x, head)[1:], trains * 2, strict=True):
        if tensor is not None:
            tensor.requires_grad_(flag)
    ignoring(labels, ignored, seed)
    logits = head(x).detach().double().requires_grad_()
    wanted = functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    wanted = wanted / (labels != IGNORE).sum().clamp(min=1)
    loss = cross_entropy(x, head, labels, piece=piece, rows=rows)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), wanted, atol=1e-6, rtol=1e-6)
    (grad,) = gradients(wanted, [logits])
    weight, halves = torch.cat([head.output_old, head.output_new]).detach().double(), [old, new]
    # By at most 2^-8 of what is added up, whatever cancels out: what is multiplied is rounded, and so is the sum, and
    # the gradient of hidden states once more as it is scaled.
    exact = [(grad @ weight, grad.abs() @ weight.abs())]
    exact += zip((grad.T @ x.double()).split(halves), (grad.T.abs() @ x.double().abs()).split(halves), strict=True)
    exact += zip(grad.sum(dim=0).split(halves), grad.abs().sum(dim=0).split(halves), strict=True)
    asked = [t is not None and t.requires_grad for t in everything(x, head)]
    for found, (theirs, added) in zip(gradients(loss, everything(x, head)), compress(exact, asked), strict=True):
        assert found.dtype == torch.bfloat16
        assert ((found.double() - theirs).abs() <= 3.05 * 2.0**-8 * added + 1e-6 * scale).all()


@settings(max_examples=60, deadline=None)
@given(
    piece=st.integers(1, 30),
    rows=st.integers(1, 30),
    scale=st.sampled_from([1.0, 1e3, 1e6, 1e18]),
    trains=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_large_logits_neither_overflow_nor_vanish(piece, rows, scale, trains, seed):
    x, head, labels = made(12, 4, 9, 5, True, seed)
    x = (x.detach() * scale).requires_grad_()
    head.requires_grad_(trains)
    loss, wanted = cross_entropy(x, head, labels, piece=piece, rows=rows), plain_loss(x, head, labels)
    torch.testing.assert_close(loss.double(), wanted, atol=1e-5, rtol=1e-5)
    assert all(torch.isfinite(grad).all() for grad in gradients(loss, everything(x, head)))


@pytest.mark.parametrize("trains", [False, True])
def test_rows_that_no_position_can_choose_have_no_part(trains):
    x, head, labels = made(12, 4, 9, 5, True)
    head.output_old_bias.data[:6] = -torch.inf  # two blocks of three, before there is any other
    labels = labels.clamp(min=6)
    head.requires_grad_(trains)
    loss, wanted = cross_entropy(x, head, labels, rows=3), plain_loss(x, head, labels)
    torch.testing.assert_close(loss.double(), wanted, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(*(gradients(found, everything(x, head)) for found in (loss, wanted)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize("positions", [1, 64])
def test_fp16_holds_the_gradient_of_rows_with_a_mean(positions):
    generator = torch.Generator().manual_seed(0)
    old, new = torch.randn(152_000, 4, generator=generator) * 0.02 + 0.5, torch.randn(16, 4, generator=generator)
    head = SplitLinear(old, new).requires_grad_(False)
    x = (torch.randn(positions, 4, generator=generator) * 0.1).requires_grad_()
    labels = torch.arange(positions)
    (exact,) = gradients(plain_loss(x, head, labels), [x])
    with torch.autocast("cpu", torch.float16):
        loss = cross_entropy(x, head, labels)
    (found,) = gradients(loss, [x])
    torch.testing.assert_close(found, exact.float(), atol=2e-3 / positions, rtol=2e-2)


@pytest.mark.parametrize("label", [-1, -101, 25])
def test_a_label_of_no_row_is_refused(label):
    x, head, labels = made(5, 4, 20, 5, False, 0)
    labels[3] = label
    for loss in (cross_entropy, token_losses):
        with pytest.raises((RuntimeError, IndexError), match="out of bounds"):
            loss(x, head, labels)


def test_a_head_without_new_rows_has_the_plain_loss():
    x, head, labels = made(5, 4, 20, 5, False, 0)
    none = SplitLinear(head.output_old.detach(), head.output_new.detach()[:0]).requires_grad_(False)
    labels.clamp_(max=19)
    (found,), (wanted,) = (gradients(of(x, none, labels), [x]) for of in (cross_entropy, plain_loss))
    torch.testing.assert_close(found, wanted.float(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_what_stands_where_no_loss_is_spreads_nowhere(value):
    x, head, labels = made(12, 4, 9, 5, True)
    ignored = ignoring(labels, 0.4, 1)
    assert 0 < ignored.sum() < 12
    clean = x.detach().masked_fill(ignored.unsqueeze(-1), 0.0).requires_grad_()
    broken = x.detach().masked_fill(ignored.unsqueeze(-1), value).requires_grad_()
    losses = [cross_entropy(x, head, labels, piece=5) for x in (clean, broken)]
    assert torch.equal(*losses)
    grads = [gradients(loss, everything(x, head)) for loss, x in zip(losses, (clean, broken), strict=True)]
    for ours, theirs in zip(*grads, strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(token_losses(broken, head, labels), token_losses(clean, head, labels))


@given(positions=st.integers(0, 10_000), rows=st.integers(2, 300), most=st.integers(1, 5_000), block=st.integers(1, 99))
def test_pieces_are_of_one_size_and_within_the_bound(positions, rows, most, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "PIECE_LOGITS", most)
        patch.setattr(room, "_BLOCKS", {"cpu": (block, 4 * block)})
        blocks, labels = blocks_of(made(1, 1, 1, rows - 1, False)[1]), torch.zeros(positions, dtype=torch.int64)
        for sums, bound in (((None,) * 4, block), ((None, blocks[1], None, None), min(block, max(1, most // rows)))):
            size, columns = room._sizes_of(halves_of(blocks, labels, sums), labels, None, None)
            assert 1 <= size <= bound
            assert columns == 16 or (columns % 16 == 0 and columns * size <= 4 * block * block)
            pieces = -(-positions // size)
            # As few as the bound allows, and none could be smaller without one more.
            assert pieces == -(-positions // bound)
            assert pieces <= 1 or pieces * (size - 1) < positions


@pytest.mark.parametrize("trains", [False, True])
def test_a_block_is_held_at_a_time_and_of_rows_that_train_a_piece(monkeypatch, trains):
    made_of, original, beside = [], Rows.logits, []

    def spy(rows, x, form):
        beside.append(sum(ref() is not None for ref in made_of))
        logits = original(rows, x, form)
        made_of.append(weakref.ref(logits))
        return logits

    monkeypatch.setattr(Rows, "logits", spy)
    x, head, labels = made(12, 4, 9, 5, True)
    head.requires_grad_(trains)
    cross_entropy(x, head, labels, piece=5, rows=3)
    assert beside == ([0, 1, 2, 3, 4] if trains else [0] * 5) * 3
    beside.clear()
    token_losses(x, head, labels, piece=5, rows=3)
    assert beside == [0] * 15
