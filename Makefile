# What people, pre-commit and CI run. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
# Your own text in the quickstart: make quickstart CORPUS='texts/*.jsonl'
CORPUS ?=
# What the quickstart adapts: llama, by default, or phi-2.
BASE ?=
# Where `make gpu` writes what it found, and more for it: a rehearsal is GPU_ARGS='--device cpu --peak 0.1'.
SECTION ?= target/gpu.md
GPU_ARGS ?=
# The abi3 wheel and what it needs, together, in bytes: what can be carried to a machine without a network.
GPU_WHEELS = 64000000

# Tests run in so many processes, a file of them to each, or in fewer where there are fewer processors: a process grows
# to some 3 GB. One that ends before its time ends the run, and the test is named: pytest-xdist 3.8 would start another
# and may wait for it without end.
WORKERS ?= 2
PYTEST = -m pytest -n logical --maxprocesses $(WORKERS) --max-worker-restart 0 --dist loadfile
# Ray's tests start a cluster in the process that they run in, and kill parts of it: they are run by themselves, before the others.
CLUSTER = tests/counting/test_cluster.py

# What `make test-next` tests.
NEXT ?= $(addprefix tests/,machine corpus reading tokenizer building counting refining example cli) tests/whole/test_interruptions.py
# What an installed kovocab is made of.
SOURCES := pyproject.toml constraints.txt Cargo.toml $(wildcard rust/*.rs rust/*/*.rs)

.DEFAULT_GOAL := all
.PHONY: all help build quickstart format lint browser test test-next test-served llama-cpp fuzz attack bench findings gpu-wheels gpu clean

all: format build lint test ## Format, lint and test: what to run before a commit

help: ## Print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 14

# Rust is fetched by maturin's own bootstrap (the package puccinialin) where there is none.
.venv/installed: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

build: .venv/installed ## Make .venv with kovocab installed for development

quickstart: build ## The whole street on an embedded example, or on CORPUS=your/text; BASE=phi-2 is another base
	$(BIN)/kovocab quickstart $(if $(BASE),--base '$(BASE)') $(if $(CORPUS),--corpus '$(CORPUS)')

format: build ## Format Python and Rust
	$(BIN)/ruff format -q .
	$(BIN)/ruff check -q --fix-only .
	cargo fmt

help-text: build ## Record the help of fit and the like again, after a change of their settings or of a package
	PYTHONPATH=tests $(BIN)/python tests/support/recorded_help.py

lint: build ## Everything that is checked without running it, and the Rust tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest kovocab._core
	$(BIN)/lint-imports
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo test --no-default-features

# Debian's; Hangul has to have a font, or it is boxes.
browser: ## Chromium and a Korean font, for the tests of reports, where apt is there and they are not
	{ command -v chromium && fc-list :lang=ko | grep .; } > /dev/null 2>&1 || { command -v apt-get > /dev/null && apt-get update -q && \
		apt-get install -q -y --no-install-recommends chromium fonts-noto-cjk; } || \
		echo "no chromium, or no Korean font: tests of reports in a browser are skipped, or show boxes"

test: build ## The Python tests
	$(BIN)/python -m pytest $(CLUSTER)
	$(BIN)/python $(PYTEST) --ignore $(CLUSTER)

# The text half as `pip install kovocab` brings it, without torch, with the next major version of tokenizers.
.venv-next/installed: $(SOURCES)
	test -x .venv-next/bin/python || $(PYTHON) -m venv .venv-next
	sed '/^tokenizers==/d' constraints.txt > .venv-next/constraints.txt
	.venv-next/bin/python -m pip install -q --disable-pip-version-check -c .venv-next/constraints.txt \
		-e '.[test]' tokenizers==1.0.0rc3
	touch $@

test-next: .venv-next/installed ## The text half's tests: no torch there, and tokenizers 1.0
	! .venv-next/bin/python -c 'import torch' 2> /dev/null
	.venv-next/bin/python $(PYTEST) $(NEXT)

# A reader as servers have it: transformers 4, with the torch of .venv behind its own packages.
.venv-served/installed: .venv/installed
	test -x .venv-served/bin/python || $(PYTHON) -m venv .venv-served
	.venv-served/bin/python -m pip install -q --disable-pip-version-check 'transformers>=4.57,<5'
	.venv-served/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > .venv-served/site
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(cat .venv-served/site)/behind.pth"
	touch $@

# Engines that people convert to and serve with; --no-deps, since what they share (torch, transformers) is that of .venv.
ENGINES := ctranslate2==4.8.5 openvino==2026.4.1 openvino-tokenizers==2026.4.1.0 openvino-telemetry==2025.2.0 \
	onnxruntime-extensions==0.15.2 onnx==1.23.2 ml_dtypes==0.6.0 gigatoken==0.10.0 awkward==2.14.0 awkward-cpp==57 \
	kitoken==0.11.1 xgrammar==0.2.8 apache-tvm-ffi==0.1.15.post2 llguidance==1.9.1 diskcache==5.6.3 Jinja2 MarkupSafe \
	cmake ninja
.venv-engines/installed: .venv/installed Makefile
	test -x .venv-engines/bin/python || $(PYTHON) -m venv .venv-engines
	.venv-engines/bin/python -m pip install -q --disable-pip-version-check --no-deps $(ENGINES)
	.venv-engines/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > .venv-engines/site
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$(cat .venv-engines/site)/behind.pth"
	touch $@

test-served: .venv-served/installed .venv-engines/installed ## Exports opened by transformers 4 and engines: the same ids and logits
	KOVOCAB_SERVED=$(CURDIR)/.venv-served/bin/python KOVOCAB_ENGINES=$(CURDIR)/.venv-engines/bin/python \
		KOVOCAB_LLAMA_CPP=$(LLAMA_CPP) $(BIN)/python -m pytest tests/whole/test_served.py tests/whole/test_engines.py

# Where llama.cpp is built, once for all checkouts; test-served skips what needs it where it is not.
LLAMA_CPP ?= $(HOME)/.cache/kovocab/llama.cpp
llama-cpp: .venv-engines/installed ## llama.cpp and its converter from llama-cpp-python's sources, for test-served; some minutes
	mkdir -p $(LLAMA_CPP)
	.venv-engines/bin/python -m pip download -q --disable-pip-version-check --no-deps --no-binary llama-cpp-python \
		-d $(LLAMA_CPP) llama-cpp-python==0.3.36
	tar -xzf $(LLAMA_CPP)/llama_cpp_python-0.3.36.tar.gz --strip-components=1 -C $(LLAMA_CPP)
	PATH="$(CURDIR)/.venv-engines/bin:$$PATH" cmake -G Ninja -S $(LLAMA_CPP)/vendor/llama.cpp -B $(LLAMA_CPP)/build \
		-DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O1 -DBUILD_SHARED_LIBS=ON -DGGML_NATIVE=OFF \
		-DGGML_OPENMP=OFF $(foreach part,COMMON TESTS TOOLS EXAMPLES SERVER APP,-DLLAMA_BUILD_$(part)=OFF)
	PATH="$(CURDIR)/.venv-engines/bin:$$PATH" cmake --build $(LLAMA_CPP)/build --target llama

# A million inputs of each kind take some hours of one core; make fuzz INPUTS=20000 some minutes.
INPUTS ?= 1000000
fuzz: build ## Inputs by the million into whatever reads files, held to slow twins and other libraries
	for target in readers cut encoder tokenizer_files records decisions; do \
		PYTHONPATH=tests $(BIN)/python -m fuzz $$target --inputs $(INPUTS) || exit; done

attack: build ## Kills, signals, full disks, races and damage, each verb: what held, in ten minutes; disks need root
	PYTHONPATH=tests $(BIN)/python tests/attack.py

bench: build ## The benchmarks, against the peers, on generated text; some ten minutes
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt 'tokie>=0.1.4' 'gigatoken>=0.10'
	$(BIN)/python benchmarks/counting.py
	$(BIN)/python benchmarks/counting.py --generated 1 --slice 50 --rounds 2
	$(BIN)/python benchmarks/formats.py --gigabytes 0.1
	$(BIN)/python benchmarks/scale.py --gigabytes 0.5 1 2 --memory 512MiB
	mkdir -p target
	$(BIN)/python benchmarks/text.py target/generated.parquet --gigabytes 0.1
	$(BIN)/python benchmarks/refining.py target/generated.parquet --counts 50 \
		--tokenizer .venv/lib/*/site-packages/mistral_common/data/tokenizer.model.v1
	$(BIN)/python benchmarks/packing.py target/generated.parquet --times 2 --slice 2 \
		--tokenizers .venv/lib/*/site-packages/mistral_common/data/tokenizer.model.v1
	rm target/generated.parquet
	$(BIN)/python benchmarks/freezing.py --layers 2 --length 128 --rounds 2 --stages 1 2 5

findings: ## Surprises of other packages, each run again; some ten minutes, several GB for a while
	@failed=; for script in $(sort $(filter-out findings/lib.sh,$(wildcard findings/*.sh))); do \
		if bash $$script; then echo "as stated: $$script"; else failed="$$failed $$script"; fi; \
	done; test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

# For Linux on x86-64 and Python 3.12, beside a torch of its own. Training does without Polars, which would be too large.
gpu-wheels: build ## What `make gpu` needs and its machine lacks: .gpu/, to be carried there
	rm -rf .gpu
	$(BIN)/python -m pip wheel -q --disable-pip-version-check --no-deps -w .gpu .
	$(BIN)/python -m pip download -q --disable-pip-version-check --no-deps -c constraints.txt -d .gpu \
		--only-binary=:all: --implementation cp --python-version 3.12 --platform manylinux_2_28_x86_64 \
		--platform manylinux_2_24_x86_64 --platform manylinux_2_17_x86_64 bitsandbytes msgspec
	@size=$$(cat .gpu/*.whl | wc -c); echo ".gpu: $$size bytes"; test $$size -le $(GPU_WHEELS) || \
		{ echo "that is more than the $(GPU_WHEELS) that can be carried; leave something out"; exit 1; }

gpu: ## Tests and benchmarks on an NVIDIA GPU, with PYTHON's torch, in eight minutes: a section for RESULTS.md
	rm -rf target/gpu
	mkdir -p target/gpu/site
	test ! -d .gpu || $(PYTHON) -m pip install -q --disable-pip-version-check --no-index --no-deps --no-compile \
		--no-cache-dir --target target/gpu/site .gpu/*.whl
	PYTHONPATH="$(CURDIR)/target/gpu/site$${PYTHONPATH:+:$$PYTHONPATH}" $(PYTHON) benchmarks/gpu.py --out $(SECTION) $(GPU_ARGS)

clean: ## Remove what was built, but not runs/
	rm -rf .venv .venv-next .venv-served .venv-engines target .gpu
