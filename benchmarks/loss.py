"""What the loss over a large vocabulary costs, forward and backward, against torch's: time, memory, and what is exact.

    python benchmarks/loss.py [--positions 512] [--hidden 256] [--stages 1 2 5]
    python benchmarks/loss.py --device cuda --positions 8192 --hidden 2048

The contenders get the same hidden states and rows in bf16, 32,000 old and 8,960 new ones, with gradients for what a
stage trains, and are held to the loss of all logits in fp32 and its gradients.

- all logits: torch's `cross_entropy` of what the head gives, in fp32, as transformers computes it.
- torch, fused: `torch.nn.functional.linear_cross_entropy`, where this torch has it, over the rows joined to one matrix.
- kovocab: the loss in pieces.
"""

import argparse
import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from kovocab.expanding.split_rows import SplitLinear
from kovocab.model.cross_entropy import IGNORE, cross_entropy
from kovocab.stages import STAGES, Stage
from measuring import Row, peak, seconds, tried

OLD, NEW = 32_000, 8_960
FUSED = "torch, fused"


def all_logits(x: Tensor, head: SplitLinear, labels: Tensor) -> Tensor:
    return functional.cross_entropy(head(x).float(), labels, ignore_index=IGNORE)


def fused(x: Tensor, head: SplitLinear, labels: Tensor) -> Tensor:
    rows, options = torch.cat([head.output_old, head.output_new]), torch.nn.LinearCrossEntropyOptions()
    return functional.linear_cross_entropy(x, rows, labels, ignore_index=IGNORE, options=options)


CONTENDERS: dict[str, Callable[[Tensor, SplitLinear, Tensor], Tensor]] = {
    "all logits": all_logits,
    FUSED: fused,
    "kovocab": cross_entropy,
}
HEAD = "| stage | loss | ms | MB above what it is given | off in the loss | in gradients |\n|--:|---|--:|--:|--:|--:|"


def main() -> None:
    arguments = parse()
    print(f"{arguments.positions:,} positions, hidden {arguments.hidden}, {OLD + NEW:,} rows, bf16\n\n{HEAD}")
    for row in measured(arguments):
        print(line(row), flush=True)


def planned(arguments: argparse.Namespace) -> list[tuple[int, str]]:
    """The rows that there will be."""
    return [(number, name) for number in arguments.stages for name in CONTENDERS]


def measured(arguments: argparse.Namespace) -> Iterator[Row]:
    """A row for each contender, of each stage."""
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    for number in arguments.stages:
        stage = STAGES["eeve"][number - 1]
        for name in CONTENDERS:
            if name == FUSED and not hasattr(functional, "linear_cross_entropy"):
                row: Row = {"absent": f"not in torch {torch.__version__}"}
            else:
                row = tried(partial(found, name, stage, arguments), arguments.device)
            yield {"stage": number, "contender": name, **row}


def found(name: str, stage: Stage, arguments: argparse.Namespace) -> Row:
    x, head, labels = given(stage, arguments)

    def step() -> tuple[Tensor, list[Tensor]]:
        return with_gradients(CONTENDERS[name](x, head, labels), x, head)

    value, grads = step()
    most = peak(step, arguments.device)
    least = min(seconds(step, arguments.device) for _ in range(arguments.rounds))
    wanted, exact = reference(x, head, labels)
    off = [(float((ours - theirs).norm()), float(theirs.norm())) for ours, theirs in zip(grads, exact, strict=True)]
    return {
        "seconds": least,
        "peak": most,
        "loss_off": float((value - wanted).abs() / wanted),
        "gradients_off": max(error / norm for error, norm in off),
    }


def given(stage: Stage, arguments: argparse.Namespace) -> tuple[Tensor, SplitLinear, Tensor]:
    """The same for each contender: hidden states, the head, labels of which some do not count."""
    generator = torch.Generator(arguments.device).manual_seed(0)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        made = torch.randn(shape, generator=generator, device=arguments.device) * scale
        return made.to(torch.bfloat16)

    x = normal(arguments.positions, arguments.hidden)
    scale = arguments.hidden**-0.5
    head = SplitLinear(normal(OLD, arguments.hidden, scale=scale), normal(NEW, arguments.hidden, scale=scale))
    labels = torch.randint(OLD + NEW, (arguments.positions,), generator=generator, device=arguments.device)
    labels[::100] = IGNORE
    x.requires_grad_(stage.layers or stage.input_rows != "none")
    head.output_old.requires_grad_(stage.output_rows == "all")
    head.output_new.requires_grad_(stage.output_rows != "none")
    return x, head, labels


def with_gradients(loss: Tensor, x: Tensor, head: SplitLinear) -> tuple[Tensor, list[Tensor]]:
    """The value, and the gradients of what trains."""
    trained = [tensor for tensor in (x, *head.parameters()) if tensor.requires_grad]
    return loss.detach(), list(torch.autograd.grad(loss, trained))


def reference(x: Tensor, head: SplitLinear, labels: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The same of all logits in fp32."""
    wide, states = copy.deepcopy(head).float(), x.detach().float().requires_grad_(x.requires_grad)
    return with_gradients(all_logits(states, wide, labels), states, wide)


def line(row: Row) -> str:
    cells = [str(row["stage"]), row["contender"]]
    if "seconds" in row:
        cells += [f"{row['seconds'] * 1e3:,.1f}", f"{row['peak'] / 1e6:,.0f}"]
        cells += [f"{row['loss_off']:.1e}", f"{row['gradients_off']:.1e}"]
    else:
        said = row.get("absent") or row["failed"]
        cells += [said.replace("|", "\\|"), "", "", ""]
    return f"| {' | '.join(cells)} |"


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--stages", type=int, nargs="+", default=[1, 2, 5])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--positions", type=int, default=512)
    parser.add_argument("--hidden", type=int, default=256)
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
