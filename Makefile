# The targets people type. `make` alone shows them. Every target that needs the environment makes it first.

PYTHON ?= python3
VENV   ?= .venv
SEEDS  ?= 0-2
DEVICE ?= auto
EPOCHS ?=
MODELS ?= step-13,step-09
ISA    ?= native
PORT   ?= 8000

BUDGETNET := $(VENV)/bin/python -m budgetnet
READY     := $(VENV)/.ready
TOOLS     := $(VENV)/.ready-dev
PEERS     := $(VENV)/.ready-bench
RUN       := $(BUDGETNET) run --seeds $(SEEDS) --device $(DEVICE) $(if $(EPOCHS),--epochs $(EPOCHS))
STEPS     := $(foreach n,01 02 03 04 05 06 07 08 09 10 11 12 13,step-$(n))
TWINS     := $(addsuffix -pointwise,$(STEPS))
PORTS     := explore-separable explore-separable-bn explore-separable-dropout explore-separable-bn-dropout \
	lenet lenet-deeper lenet-augmented cnn3-lenet cnn3-lenet-bn cnn3-vgg cnn3-vgg-bn cnn3-seven cnn3-seven-bn \
	mlp-2 mlp-2-bn mlp-3 mlp-3-bn mlp-5 mlp-5-bn
DOCUMENTS := separable lenets convnets mlps
BENCHES   := $(addprefix bench-,networks progression roofline scaling start-up verdicts)
RTX       := $(VENV)/rtx
RTX_TOOLS := torch-tensorrt-rtx==2.14.0 tensorrt_rtx==1.6.1.120 tensorrt_rtx_cu13==1.6.1.120 \
	tensorrt_rtx_cu13_libs==1.6.1.120 tensorrt_rtx_cu13_bindings==1.6.1.120 dllist psutil packaging filelock

.DEFAULT_GOAL := help
.PHONY: help install quickstart check $(STEPS) $(TWINS) $(PORTS) $(DOCUMENTS) progression pointwise keras-ports explore serve report tensorboard test test-arm test-rtx bench bench-inference bench-pictures bench-serve bench-soak $(BENCHES) lint clean

help: ## show this table
	@awk 'BEGIN {FS = ":.*## "} /^[^\t#].*:.*## / {n = $$1; gsub(/\$$\(STEPS\)/, "step-01 .. step-13", n); \
		gsub(/\$$\(TWINS\)/, "step-01-pointwise .. step-13-pointwise", n); \
		gsub(/\$$\(PORTS\)/, "lenet, mlp-2, cnn3-vgg, ...", n); gsub(/\$$\(DOCUMENTS\)/, "separable, lenets, convnets, mlps", n); \
		gsub(/\$$\(BENCHES\)/, "bench-roofline, bench-scaling, ...", n); printf "  %-38s %s\n", n, $$2}' $(MAKEFILE_LIST)
	@printf '\n  %s\n' 'SEEDS=0-4 (now $(SEEDS)), DEVICE=auto|cuda|cpu (now $(DEVICE)) and EPOCHS=2 (stop early) pass through.'

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --upgrade pip
	$(VENV)/bin/pip install --disable-pip-version-check --progress-bar off --quiet --editable '.[digits,onnx,serve,sweep]'
	touch $@

$(TOOLS): $(READY)
	$(VENV)/bin/pip install --disable-pip-version-check --progress-bar off --quiet --editable '.[dev]'
	touch $@

$(PEERS): $(READY)
	$(VENV)/bin/pip install --disable-pip-version-check --progress-bar off --quiet --editable '.[bench]'
	touch $@

install: $(TOOLS) ## make the environment in .venv, with the tools for the tests

quickstart: $(READY) ## check every budget, train step-13 in full, show verdicts and the report
	$(BUDGETNET) check
	$(RUN) step-13 --digits-fallback
	$(BUDGETNET) report

check: $(READY) ## hold every budget of the catalogue against the exact count
	$(BUDGETNET) check

$(STEPS): $(READY) ## train one step and judge it
	$(RUN) $@

$(TWINS): $(READY) ## train one step's pointwise twin and judge it
	$(RUN) $@

progression: $(READY) ## train all thirteen steps
	$(RUN) progression

pointwise: $(READY) ## train all thirteen twins
	$(RUN) pointwise

$(PORTS): $(READY) ## train one port of a Keras document's network (budgetnet list shows all)
	$(RUN) $@

$(DOCUMENTS): $(READY) ## train all ports of one Keras document
	$(RUN) $@

keras-ports: $(READY) ## train all nineteen ports: weeks on a CPU
	$(RUN) keras-ports

explore: $(READY) ## search batch size × epochs and the rate of explore-separable, then its ablation and test
	$(BUDGETNET) sweep explore --device $(DEVICE)

serve: $(READY) ## serve networks over HTTP, with a page to draw on: MODELS=step-13,step-09 PORT=8000
	$(BUDGETNET) serve --models $(MODELS) --port $(PORT)

report: $(READY) ## turn the results there are into report/index.html
	$(BUDGETNET) report

tensorboard: $(READY) ## open TensorBoard on the runs: curves, weights and the network's graph
	$(VENV)/bin/tensorboard --logdir runs

# TensorRT's builder in an edition that needs no driver, with the wheels of Torch-TensorRT whose signatures are compared
$(RTX)/.ready: $(TOOLS)
	rm -rf $(RTX)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --target $(RTX) $(RTX_TOOLS)
	for version in 2.11.0 2.14.0; do $(VENV)/bin/pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
		--python-version 3.11 --implementation cp --platform manylinux_2_28_x86_64 -d $(RTX)/wheels torch-tensorrt==$$version || exit 1; done
	touch $@

test-rtx: $(RTX)/.ready ## build a TensorRT-RTX engine of every experiment, without a GPU
	OMP_NUM_THREADS=1 BUDGETNET_WHEELS=$(RTX)/wheels PYTHONPATH=$(RTX) $(VENV)/bin/python -m pytest \
		tests/rtx tests/test_tensorrt_arguments.py tests/test_tensorrt_building.py

test-arm: $(TOOLS) ## run the C kernels' tests for 64-bit ARM, in Debian's qemu-user: about 25 minutes
	tests/arm/run.sh $(VENV)/arm $(VENV)/bin/python

test: $(TOOLS) ## run the tests
	$(VENV)/bin/python -m pytest -n auto

bench: $(PEERS) ## measure training speed against a notebook's loop, PyTorch Lightning and Keras: ISA=native|avx2|sse
	$(VENV)/bin/python -m benchmarks.training.speed --isa $(ISA)

bench-inference: $(TOOLS) ## measure every inference backend: latency of one image, throughput of 64
	$(VENV)/bin/python -m benchmarks.inference.latency

bench-pictures: $(TOOLS) ## count right and wrong answers on photographs of digits
	$(VENV)/bin/python -m benchmarks.inference.pictures

bench-serve: $(PEERS) ## measure the inference server against LitServe, with load from wrk
	$(VENV)/bin/python -m benchmarks.serving.speed

bench-soak: $(TOOLS) ## overload the inference server, and end it in the middle of a load from wrk
	$(VENV)/bin/python -m benchmarks.serving.soak

$(BENCHES): $(TOOLS) ## one of the other benchmarks; its options: python -m benchmarks.training.roofline --help
	$(VENV)/bin/python -m benchmarks.training.$(subst -,_,$(@:bench-%=%))

lint: $(TOOLS) ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

clean: ## remove the environment, caches and the report; runs and data stay
	rm -rf $(VENV) report build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
