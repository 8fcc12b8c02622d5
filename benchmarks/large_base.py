"""A model of SOLAR's shape with random weights, to take through the street: 10.7 B parameters with 48 layers.

    python benchmarks/large_base.py large --layers 48
    kovocab expand --model large --tokenizer runs/quickstart/tokenizer --out large_expanded
    kovocab plan --config configs/fit/cpu.yaml --config configs/stages/eeve.yaml --model.model large_expanded ...

Written a tensor at a time, so it takes disk (2 bytes a parameter) and little memory.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig

from kovocab.model.tensor_files import write_tensors

ROWS = 32_000


def tensors(config: LlamaConfig) -> Iterator[tuple[str, Tensor]]:
    """Random weights, each made as it is written; norms are ones."""
    with torch.device("meta"):
        shapes = {name: p.shape for name, p in AutoModelForCausalLM.from_config(config).named_parameters()}
    generator = torch.Generator().manual_seed(0)
    for name, shape in shapes.items():
        weight = torch.ones(shape, dtype=torch.bfloat16)
        yield name, weight if len(shape) == 1 else weight.normal_(std=0.02, generator=generator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=48)
    arguments = parser.parse_args()
    config = LlamaConfig(
        vocab_size=ROWS,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=arguments.layers,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        dtype="bfloat16",
        architectures=["LlamaForCausalLM"],
    )
    arguments.out.mkdir()
    config.save_pretrained(arguments.out)
    write_tensors(tensors(config), arguments.out)


if __name__ == "__main__":
    main()
