"""What a stage costs, against the ways to freeze rows that people use: time a step, memory above the parameters.

    python benchmarks/freezing.py [--stages 1 2 3 4 5] [--rounds 4]
    python benchmarks/freezing.py --device cuda --stages 1 2 3 4 5 6 --hidden 2048 --layers 20 --batch 4 --length 2048

The contenders take turns on the same batches, each with its own copy of the same model (Llama, 32,000 old and 8,960
new tokens) and torch's AdamW. On the CPU: one thread, processor seconds, the least of all rounds, which other
processes disturb least. On a GPU (not run yet): bf16 autocast over fp32 weights, and a second table with tokens a
second, peak memory, and the share of `--peak` at which the FLOPs that the stage needs are done: the same for every
contender, so that work for nothing does not count as use.

- cards' hook: both matrices require gradients in every stage, everything else is frozen, and a hook zeroes what the
  stage freezes, `grad[:32000] = 0`.
- careful hook: a matrix requires gradients only if the stage trains rows of it.
- PEFT: `TrainableTokensConfig`; it cannot train all rows (stages 4 to 6).
- kovocab: `split_rows`, `freeze` and `CausalLM`'s loss. Its check is the digest of all that is frozen, which
  `StageFreezing` takes at the beginning and at the end of a stage.
"""

import argparse
import copy
import gc
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # of torch's profiler, which tells of every start
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from kovocab.expanding.split_rows import split_rows
from kovocab.freezing.callback import freeze
from kovocab.freezing.digest import digest
from kovocab.model.causal_lm import CausalLM
from kovocab.stages import STAGES, Rows, Stage

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

Found = dict[str, tuple[float, int, float]]
"""Of each contender: seconds a step, bytes above the parameters, seconds of a check."""


def hook(model: PreTrainedModel, stage: Stage, careful: bool = False) -> tuple[nn.Module, Step]:
    model.requires_grad_(stage.layers)
    for name, module in (("input", model.get_input_embeddings()), ("output", model.get_output_embeddings())):
        rows: Rows = getattr(stage, f"{name}_rows")
        if careful and rows == "none":
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


CONTENDERS = {"cards' hook": hook, "careful hook": careful_hook, "PEFT": peft, "kovocab": kovocab}


class Contender:
    """One way to train a stage, ready to step."""

    def __init__(self, way: Way, plain: PreTrainedModel, stage: Stage) -> None:
        self.module, self.loss = way(copy.deepcopy(plain), stage)
        self.device = plain.device.type
        trained = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0)
        self.seconds = float("inf")

    def step(self, ids: Tensor) -> None:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            loss = self.loss(ids)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def timed(self, batches: list[Tensor]) -> None:
        """Keep the least seconds a step so far: processor's on the CPU, the clock's on a GPU."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        clock = time.perf_counter if self.device == "cuda" else time.process_time
        start = clock()
        for ids in batches:
            self.step(ids)
        if self.device == "cuda":
            torch.cuda.synchronize()
        self.seconds = min(self.seconds, (clock() - start) / len(batches))

    def check(self) -> float:
        """Seconds that a digest of all that is frozen takes, measured as a step is."""
        clock = time.perf_counter if self.device == "cuda" else time.process_time
        start = clock()
        for parameter in self.module.parameters():
            if not parameter.requires_grad:
                digest(parameter)
        return clock() - start

    def memory(self, ids: Tensor) -> int:
        """Bytes above the parameters at the worst moment of a step: the optimizer's state and all else."""
        state = sum(
            value.numel() * value.element_size()
            for values in self.optimizer.state.values()
            for value in values.values()
        )
        if self.device == "cuda":
            torch.cuda.synchronize()
            before = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            self.step(ids)
            return state + torch.cuda.max_memory_allocated() - before
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            self.step(ids)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            profile.export_chrome_trace(str(path))
            events = json.loads(path.read_text())["traceEvents"]
        now = peak = 0
        for event in sorted((e for e in events if e.get("name") == "[memory]"), key=lambda e: e["ts"]):
            now += event["args"]["Bytes"]
            peak = max(peak, now)
        return state + peak


def main() -> None:
    arguments = parse()
    warnings.filterwarnings("ignore", category=FutureWarning)  # of peft on transformers 5
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=OLD + NEW,
        hidden_size=arguments.hidden,
        intermediate_size=arguments.hidden * 43 // 16,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.hidden // 64,
        max_position_embeddings=arguments.length,
    )
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32).to(arguments.device).train()
    batches = list(torch.randint(OLD + NEW, (3, arguments.batch, arguments.length), device=arguments.device))
    parameters = sum(p.numel() for p in plain.parameters())
    print(f"{parameters / 1e6:,.0f} M parameters, {arguments.batch} x {arguments.length} tokens, {arguments.device}")
    if TrainableTokensConfig is None:
        print("PEFT is left out: it is not installed (pip install peft)")
    head = "stage | contender | s a step | of the hook's | MB above the parameters | of the hook's | a check, in steps"
    print(f"\n| {head} |\n|--:|---|--:|--:|--:|--:|--:|", flush=True)
    on_gpu = []
    for number in arguments.stages:
        stage = STAGES["eeve"][number - 1]
        ways = {name: way for name, way in CONTENDERS.items() if way is not peft or by_peft(stage)}
        measure = one_by_one if arguments.device == "cuda" else in_turns
        found = measure(ways, plain, stage, batches, arguments.rounds)
        first = next(iter(found.values()))
        for name, (seconds, memory, check) in found.items():
            row = f"{seconds:.3f} | {seconds / first[0]:.2f} | {memory / 1e6:,.0f} | {memory / first[1]:.2f}"
            print(
                f"| {number} | {name} | {row} | {f'{check / seconds:.2f}' if name == 'kovocab' else ''} |", flush=True
            )
        if arguments.device == "cuda":
            needed = flops(plain, stage, arguments.length) * batches[0].numel()
            for name, (seconds, memory, _) in found.items():
                speed, peak = batches[0].numel() / seconds, (memory + 4 * parameters) / 1e9
                used = needed / seconds / (arguments.peak * 1e12)
                on_gpu.append(f"| {number} | {name} | {speed:,.0f} | {peak:.1f} | {used:.1%} |")
    if on_gpu:
        print("\n| stage | contender | tokens/s | peak memory, GB | of the peak FLOPs |\n|--:|---|--:|--:|--:|")
        print("\n".join(on_gpu))


def in_turns(ways: dict[str, Way], plain: PreTrainedModel, stage: Stage, batches: list[Tensor], rounds: int) -> Found:
    """Each contender takes a step, then the next one."""
    contenders = {name: Contender(way, plain, stage) for name, way in ways.items()}
    for contender in contenders.values():
        contender.step(batches[0])
    memory = {name: contender.memory(batches[0]) for name, contender in contenders.items()}
    for number in range(rounds):
        for contender in contenders.values():
            contender.timed([batches[number % len(batches)]])
    return {name: (one.seconds, memory[name], one.check()) for name, one in contenders.items()}


def one_by_one(ways: dict[str, Way], plain: PreTrainedModel, stage: Stage, batches: list[Tensor], rounds: int) -> Found:
    """The same on a GPU, where several do not fit side by side and nothing else runs."""
    found: Found = {}
    for name, way in ways.items():
        contender = Contender(way, plain, stage)
        contender.step(batches[0])
        memory = contender.memory(batches[0])
        for _ in range(rounds):
            contender.timed(batches)
        found[name] = contender.seconds, memory, contender.check()
        del contender
        gc.collect()
        torch.cuda.empty_cache()
    return found


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


def by_peft(stage: Stage) -> bool:
    return TrainableTokensConfig is not None and not stage.layers and "all" not in (stage.input_rows, stage.output_rows)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--stages", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--peak", type=float, default=989, metavar="TFLOPS", help="of the GPU in bf16; H100 SXM: 989")
    return parser.parse_args()


if __name__ == "__main__":
    main()
