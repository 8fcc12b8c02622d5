"""What a stage costs, against the ways to freeze rows that people use: time a step, memory above the parameters.

    python benchmarks/freezing.py [--stages 1 2 3 4 5] [--rounds 4]
    python benchmarks/freezing.py --device cuda --stages 1 2 3 4 5 6 --hidden 2048 --layers 20 --batch 4 --length 2048

The contenders train the same batches, each its own copy of the same model (Llama, 32,000 old and 8,960 new tokens)
with torch's AdamW. On the CPU they take turns: one thread, processor seconds, the least of all rounds, which other
processes disturb least. On a GPU one is there at a time, in bf16 autocast over fp32 weights, and the table tells tokens
a second, peak memory, and the share of `--peak` at which the FLOPs that the stage needs are done: the same for every
contender, so that work for nothing does not count as use. What runs out of memory has a row that says so.

- cards' hook: both matrices require gradients in every stage, everything else is frozen, and a hook zeroes what the
  stage freezes, `grad[:32000] = 0`.
- careful hook: a matrix requires gradients only if the stage trains rows of it.
- PEFT: `TrainableTokensConfig`; it cannot train all rows (stages 4 to 6).
- kovocab: `split_rows`, `freeze` and `CausalLM`'s loss. Its check is the digest of all that is frozen, which
  `StageFreezing` takes at the beginning and at the end of a stage.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from kovocab.expanding.split_rows import split_rows
from kovocab.freezing.callback import freeze
from kovocab.freezing.digest import digest
from kovocab.machine.gpus import GPUS, named
from kovocab.model.causal_lm import CausalLM
from kovocab.stages import STAGES, Rows, Stage
from measuring import Row, allocated, peak, seconds, tried

try:
    from peft import TrainableTokensConfig, get_peft_model
except ImportError:
    TrainableTokensConfig = None

OLD, NEW = 32_000, 8_960
EMBEDDINGS = {"embed_tokens": "input_rows", "lm_head": "output_rows"}

Step = Callable[[Tensor], Tensor]
"""The loss of a batch of ids."""

Way = Callable[[PreTrainedModel, Stage], tuple[nn.Module, Step]]
"""Makes a plain model ready for a stage."""


def hook(model: PreTrainedModel, stage: Stage, careful: bool = False) -> tuple[nn.Module, Step]:
    model.requires_grad_(stage.layers)
    for name, module in (("input", model.get_input_embeddings()), ("output", model.get_output_embeddings())):
        rows: Rows = getattr(stage, f"{name}_rows")
        if careful and rows == "none":
            module.weight.requires_grad_(False)
            continue
        frozen = {"none": OLD + NEW, "new": OLD, "all": 0}[rows]
        module.weight.requires_grad_()
        if frozen:
            module.weight.register_hook(zeroing(frozen))
    return model, plain_loss(model)


def zeroing(rows: int) -> Callable[[Tensor], Tensor]:
    def zero(grad: Tensor) -> Tensor:
        grad[:rows] = 0
        return grad

    return zero


def careful_hook(model: PreTrainedModel, stage: Stage) -> tuple[nn.Module, Step]:
    return hook(model, stage, careful=True)


def peft(model: PreTrainedModel, stage: Stage) -> tuple[nn.Module, Step]:
    chosen = [module for module, rows in EMBEDDINGS.items() if getattr(stage, rows) == "new"]
    settings = TrainableTokensConfig(target_modules=chosen, token_indices=list(range(OLD, OLD + NEW)))
    adapted = get_peft_model(model, settings)
    return adapted, plain_loss(adapted)


def kovocab(model: PreTrainedModel, stage: Stage) -> tuple[nn.Module, Step]:
    module = CausalLM("")
    module.model = split_rows(model, OLD).train()
    freeze(module, stage.patterns)
    return module, lambda ids: module(ids, ids)


def plain_loss(model: nn.Module) -> Step:
    return lambda ids: model(input_ids=ids, labels=ids, use_cache=False).loss


HOOK = "cards' hook"
CONTENDERS = {HOOK: hook, "careful hook": careful_hook, "PEFT": peft, "kovocab": kovocab}


def ways(stage: Stage) -> list[str]:
    """The contenders that can train a stage."""
    able = TrainableTokensConfig is not None and not stage.layers and "all" not in (stage.input_rows, stage.output_rows)
    return [name for name in CONTENDERS if name != "PEFT" or able]


class Contender:
    """One way to train a stage, ready to step."""

    def __init__(self, way: Way, stage: Stage, arguments: argparse.Namespace) -> None:
        self.device = arguments.device
        self._others = allocated(self.device)
        self.module, self.loss = way(plain_model(arguments), stage)
        trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0)
        self.seconds = float("inf")

    def step(self, ids: Tensor) -> Tensor:
        """A step; its loss."""
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            loss = self.loss(ids)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def timed(self, batches: list[Tensor]) -> None:
        """Keep the least seconds a step so far."""

        def steps() -> None:
            for ids in batches:
                self.step(ids)

        self.seconds = min(self.seconds, seconds(steps, self.device) / len(batches))

    def checked(self, name: str) -> Row:
        """How long a digest of all that is frozen takes, of what takes one."""

        def check() -> None:
            for parameter in self.module.parameters():
                if not parameter.requires_grad:
                    digest(parameter)

        return {"check": seconds(check, self.device)} if name == "kovocab" else {}

    def memory(self, ids: Tensor) -> int:
        """Bytes at the worst moment of a step: parameters, the optimizer's state and all else."""
        held = allocated(self.device) - self._others
        if self.device == "cpu":
            states = [value for values in self.optimizer.state.values() for value in values.values()]
            held = sum(tensor.nbytes for tensor in (*self.module.parameters(), *self.module.buffers(), *states))
        return held + peak(lambda: self.step(ids), self.device)


def main() -> None:
    arguments = parse()
    print(f"{setting(arguments)}, {arguments.device}")
    if TrainableTokensConfig is None:
        print("PEFT is left out: it is not installed (pip install peft)")
    shown = Table(arguments.device == "cuda", chip_flops(arguments.device, arguments.peak))
    print(f"\n{shown.head}", flush=True)
    for row in measured(arguments):
        print(shown.line(row), flush=True)


def chip(device: str) -> str | None:
    """Which of the GPUs that kovocab knows this is."""
    return named(torch.cuda.get_device_name()) if device == "cuda" else None


def chip_flops(device: str, teraflops: float | None) -> float | None:
    """FLOPs a second at the peak: as they are given, or of a GPU that is known."""
    known = chip(device)
    return teraflops * 1e12 if teraflops else GPUS[known].bf16 if known else None


def setting(arguments: argparse.Namespace) -> str:
    """The model and the batch, in words."""
    parameters = sum(p.numel() for p in plain_model(arguments, "meta").parameters())
    return f"{parameters / 1e6:,.0f} M parameters, {arguments.batch} x {arguments.length} tokens"


def planned(arguments: argparse.Namespace) -> list[tuple[int, str]]:
    """The rows that there will be: of each stage, its contenders."""
    return [(number, name) for number in arguments.stages for name in ways(STAGES["eeve"][number - 1])]


def measured(arguments: argparse.Namespace) -> Iterator[Row]:
    """A row for each contender of each stage: on a GPU one by one, else in turns."""
    warnings.filterwarnings("ignore", category=FutureWarning)  # of peft on transformers 5
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    skeleton = plain_model(arguments, "meta")
    held = sum(p.nbytes for p in skeleton.parameters())
    torch.manual_seed(0)
    batches = list(torch.randint(OLD + NEW, (3, arguments.batch, arguments.length)).to(arguments.device))
    tokens = batches[0].numel()
    for number in arguments.stages:
        stage = STAGES["eeve"][number - 1]
        needed = flops(skeleton, stage, arguments.length)
        for name, row in (one_by_one if arguments.device == "cuda" else in_turns)(stage, batches, arguments):
            if "failed" not in row:
                row["above"] = row["peak"] - held
                row["tokens_per_second"] = tokens / row["seconds"]
                row["flops_per_second"] = needed * tokens / row["seconds"]
            yield {"stage": number, "contender": name, **row}


def in_turns(stage: Stage, batches: list[Tensor], arguments: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """Each contender takes a step, then the next one."""
    contenders = {name: Contender(CONTENDERS[name], stage, arguments) for name in ways(stage)}
    first = {name: float(contender.step(batches[0])) for name, contender in contenders.items()}
    memory = {name: contender.memory(batches[0]) for name, contender in contenders.items()}
    for number in range(arguments.rounds):
        for contender in contenders.values():
            contender.timed([batches[number % len(batches)]])
    for name, one in contenders.items():
        yield name, {"seconds": one.seconds, "peak": memory[name], "loss": first[name], **one.checked(name)}


def one_by_one(stage: Stage, batches: list[Tensor], arguments: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """The same on a GPU, where several do not fit side by side and nothing else runs."""

    def alone(name: str) -> Row:
        contender = Contender(CONTENDERS[name], stage, arguments)
        first = contender.step(batches[0])
        memory = contender.memory(batches[0])
        for _ in range(arguments.rounds):
            contender.timed(batches)
        return {"seconds": contender.seconds, "peak": memory, "loss": float(first), **contender.checked(name)}

    for name in ways(stage):
        yield name, tried(partial(alone, name), arguments.device)


class Table:
    """Rows as Markdown; those of a stage are compared with the hook's, which comes first.

    Args:
        gpu: With tokens a second, peak memory and the share of the GPU's FLOPs.
        flops: Of the GPU at its peak, a second; None where it is not known.
    """

    def __init__(self, gpu: bool, flops: float | None = None) -> None:
        self._gpu, self._flops = gpu, flops
        self._hooks: dict[int, Row] = {}
        columns = ["stage", "contender", "s a step", "of the hook's", "MB above the parameters", "of the hook's"]
        columns += ["a check, in steps", *(["tokens/s", "peak memory, GB", "of the peak FLOPs"] if gpu else [])]
        self._columns = len(columns)
        self.head = f"| {' | '.join(columns)} |\n|--:|---|{'--:|' * (len(columns) - 2)}"

    def line(self, row: Row) -> str:
        """One row."""
        cells = [row["stage"], row["contender"], *self._cells(row)]
        return f"| {' | '.join(map(str, cells))}{' |' * (self._columns - len(cells) + 1)}"

    def _cells(self, row: Row) -> list[str]:
        if "failed" in row:
            return [row["failed"].replace("|", "\\|")]
        if row["contender"] == HOOK:
            self._hooks[row["stage"]] = row
        hooks = self._hooks.get(row["stage"])  # none where the hook failed
        cells = [f"{row['seconds']:.3f}", f"{row['seconds'] / hooks['seconds']:.2f}" if hooks else ""]
        cells += [f"{row['above'] / 1e6:,.0f}", f"{row['above'] / hooks['above']:.2f}" if hooks else ""]
        cells.append(f"{row['check'] / row['seconds']:.2f}" if "check" in row else "")
        if self._gpu:
            used = "" if self._flops is None else f"{row['flops_per_second'] / self._flops:.1%}"
            cells += [f"{row['tokens_per_second']:,.0f}", f"{row['peak'] / 1e9:.2f}", used]
        return cells


def plain_model(arguments: argparse.Namespace, device: str | None = None) -> PreTrainedModel:
    """The model that all train, with the same weights whenever it is made."""
    torch.manual_seed(0)
    with torch.device(device or arguments.device):
        return AutoModelForCausalLM.from_config(configuration(arguments), dtype=torch.float32).train()


def configuration(arguments: argparse.Namespace, rows: int = OLD + NEW) -> LlamaConfig:
    """Of that model, or of its base."""
    return LlamaConfig(
        vocab_size=rows,
        hidden_size=arguments.hidden,
        intermediate_size=arguments.hidden * 43 // 16,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.hidden // 64,
        max_position_embeddings=arguments.length,
    )


def flops(plain: PreTrainedModel, stage: Stage, length: int) -> int:
    """What a stage needs for a token: products with weights, and causal attention over half of `length` on average."""
    layers = plain.base_model.layers
    body = sum(p.numel() for p in layers.parameters() if p.dim() == 2)
    hidden = plain.config.hidden_size
    attention = 2 * length * hidden * len(layers)
    needed = 2 * (body + (OLD + NEW) * hidden) + attention
    if stage.layers or stage.input_rows != "none":
        needed += 2 * (body + (OLD + NEW) * hidden) + 2 * attention  # the gradients of what was multiplied
    trained = {"none": 0, "new": NEW, "all": OLD + NEW}[stage.output_rows] * hidden + stage.layers * body
    return needed + 2 * trained


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--stages", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--peak", type=float, metavar="TFLOPS", help="of the GPU in bf16, where its name tells none")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
