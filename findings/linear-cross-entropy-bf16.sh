#!/usr/bin/env bash
# torch 2.13: the chunked `linear_cross_entropy` reports less than half of the loss in bfloat16.
#
# Expected: `torch.nn.functional.linear_cross_entropy` is `linear` and `cross_entropy` in one, as its page says; with
# `options=LinearCrossEntropyOptions()` it saves memory, at a rounding's cost.
# Seen 2026-11-28, torch 2.13.0 on a CPU, 1,024 rows, 8,192 classes, untrained: the loss is 9.1, and 4.1 by the chunked
# way in bfloat16. Neither the policy "accurate" nor sums in float32 mend it. float32 and float16 are right, and so is
# bfloat16 without options. The gradients are those of the true loss within 5 %: training goes on, and only what is
# logged, compared or used to stop is wrong.
# For an expanded vocabulary: the larger the vocabulary and the batch, the likelier this way is taken; log a loss that
# was checked against the plain one.
#> torch 2.13.0
#> float32, no options: loss 9.1
#> float32, chunked: loss 9.1, gradient right
#> float16, chunked: loss 9.1, gradient right
#> bfloat16, no options: loss 9.1, gradient right
#> bfloat16, chunked: loss 4.1, gradient right
#> bfloat16, chunked, accurate, sums in float32: loss 4.1, gradient right
. "$(dirname "$0")/lib.sh"
environment env torch==2.13.0 numpy==2.4.6

cat > probe.py <<'PYTHON'
import torch
from torch.nn import LinearCrossEntropyOptions
from torch.nn.functional import linear_cross_entropy

ROWS, CLASSES, WIDTH = 1024, 8192, 16
random = torch.Generator().manual_seed(0)
hidden = torch.randn(ROWS, WIDTH, generator=random).bfloat16()
head = (0.1 * torch.randn(CLASSES, WIDTH, generator=random)).bfloat16()
labels = torch.randint(CLASSES, (ROWS,), generator=random)


def run(dtype, options):
    weight = head.to(dtype, copy=True).requires_grad_()
    rows = hidden.to(dtype, copy=True).requires_grad_()
    loss = linear_cross_entropy(rows, weight, labels, options=options)
    loss.backward()
    return loss.item(), weight.grad.float()


print("torch", torch.__version__.partition("+")[0])
loss, true = run(torch.float32, None)
print(f"float32, no options: loss {loss:.1f}")
accurate = LinearCrossEntropyOptions(acc_policy="accurate", acc_dtype=torch.float32)
for dtype, options, name in (
    (torch.float32, LinearCrossEntropyOptions(), "chunked"),
    (torch.float16, LinearCrossEntropyOptions(), "chunked"),
    (torch.bfloat16, None, "no options"),
    (torch.bfloat16, LinearCrossEntropyOptions(), "chunked"),
    (torch.bfloat16, accurate, "chunked, accurate, sums in float32"),
):
    loss, gradient = run(dtype, options)
    right = (gradient - true).norm() < 0.05 * true.norm()
    print(f"{str(dtype)[6:]}, {name}: loss {loss:.1f}, gradient {'right' if right else 'wrong'}")
PYTHON
env/bin/python probe.py > seen
unchanged
