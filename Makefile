# make demo: from nothing to a comparison report. make test: the tests. Both make .venv when it is not there.
PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
# accelerate launch takes a single thread unless it is told otherwise
export OMP_NUM_THREADS ?= $(shell $(PYTHON) -c "import os; print(os.cpu_count())")
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo test test-all lint clean

.venv/installed: pyproject.toml constraints.txt
	@echo "making .venv and installing the pinned set, 1.6 GB, about a minute after the downloads"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e .[all]
	touch $@

demo: .venv/installed
	$(BIN)/python -m finetune.base_models smollm2-135m
	$(BIN)/pixelreef prepare --config data_prep/recipes/reef16.yaml --out datasets/reef16
	$(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		finetune/train.py --config finetune/recipes/demo_cpu.yaml
	$(BIN)/pixelreef draw --recipe eval/recipes/demo.yaml
	$(BIN)/pixelreef score runs/demo
	$(BIN)/pixelreef report runs/demo

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/python -m pytest

test-all: .venv/installed
	$(BIN)/python -m pytest -m ''

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis *.egg-info  # never what was trained or prepared
