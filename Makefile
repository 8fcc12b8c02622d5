# What people, pre-commit and CI run. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
# Your own text in the quickstart: make quickstart CORPUS='texts/*.jsonl'
CORPUS ?=

.DEFAULT_GOAL := all
.PHONY: all help build quickstart format lint test bench findings clean

all: format build lint test ## What CI runs, after formatting

help: ## Print this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/' | expand -t 14

# Rust is fetched by maturin's own bootstrap (the package puccinialin) where there is none.
.venv/installed: pyproject.toml constraints.txt Cargo.toml $(wildcard rust/*.rs rust/*/*.rs)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

build: .venv/installed ## Make .venv with kovocab installed for development

quickstart: build ## The whole street on an embedded example, or on CORPUS=your/text
	$(BIN)/kovocab quickstart $(if $(CORPUS),--corpus '$(CORPUS)')

format: build ## Format Python and Rust
	$(BIN)/ruff format -q .
	$(BIN)/ruff check -q --fix-only .
	cargo fmt

lint: build ## Everything that is checked without running it, and the Rust tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest kovocab._core
	$(BIN)/lint-imports
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo test --no-default-features

test: build ## The Python tests
	$(BIN)/python -m pytest

bench: build ## The benchmarks, against the peers, on generated text; some ten minutes
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt 'tokie>=0.1.4'
	$(BIN)/python benchmarks/counting.py
	$(BIN)/python benchmarks/counting.py --generated 1 --slice 50 --rounds 2
	$(BIN)/python benchmarks/formats.py --gigabytes 0.1
	$(BIN)/python benchmarks/scale.py --gigabytes 0.5 1 2 --memory 512MiB
	mkdir -p target
	$(BIN)/python benchmarks/text.py target/generated.parquet --gigabytes 0.1
	$(BIN)/python benchmarks/refining.py target/generated.parquet --counts 50 \
		--tokenizer .venv/lib/*/site-packages/mistral_common/data/tokenizer.model.v1
	rm target/generated.parquet
	$(BIN)/python benchmarks/freezing.py --layers 2 --length 128 --rounds 2 --stages 1 2 5

findings: ## Surprises of other packages, each run again; some ten minutes, several GB for a while
	@failed=; for script in $(sort $(filter-out findings/lib.sh,$(wildcard findings/*.sh))); do \
		if bash $$script; then echo "as stated: $$script"; else failed="$$failed $$script"; fi; \
	done; test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

clean: ## Remove what was built, but not runs/
	rm -rf .venv target
