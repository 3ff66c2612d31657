# The only interface: CI and people call these targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check format format-check lint type learning slow warp fuzz gpu gpu-train golden golden-values bench wheel clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: $(INSTALLED) ## Set up .venv with everything that is needed

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(INSTALLED) ## Meta-train a 2-D navigation policy and watch it adapt (a few minutes)
	$(BIN)/python experiments/demo.py

test: $(INSTALLED) ## Run the tests
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

learning: $(INSTALLED) ## Run the slower tests that train
	$(BIN)/python -m pytest -m learning

slow: $(INSTALLED) ## Run the exhaustive tests (minutes)
	$(BIN)/python -m pytest -m slow --numprocesses auto --maxprocesses 4

warp: $(INSTALLED) ## Run the tests of physics by MuJoCo Warp (minutes, most of them compiling)
	$(BIN)/python -m pytest -m 'warp and not gpu'

fuzz: $(INSTALLED) ## Read 100,000 damaged files (15 minutes of one core); INPUTS=n for others
	$(BIN)/python tests/fuzz/fuzzing.py $(if $(INPUTS),--inputs $(INPUTS))

gpu: $(INSTALLED) ## On a GPU: its tests, then its speeds (5 minutes); without one the speeds run tiny
	$(BIN)/python -m pytest -m gpu
	$(BIN)/python experiments/benchmarks/gpu.py

gpu-train: $(INSTALLED) ## On a GPU: meta-train half-cheetahs by the clock (6 minutes); gone on with if called again
	$(BIN)/python experiments/gpu_train.py

golden: $(INSTALLED) ## Compare small runs of every learner with those of OLD=<commit>, bit for bit
	$(BIN)/python tests/golden/compare.py $(OLD)

golden-values: $(INSTALLED) ## Write tests/golden/values.json anew, after a change of results on purpose
	$(BIN)/python tests/golden/compare.py --write

format: $(INSTALLED) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

format-check: $(INSTALLED)
	$(BIN)/ruff format --check .

lint: $(INSTALLED) ## Lint
	$(BIN)/ruff check .

type: $(INSTALLED) ## Check the types
	$(BIN)/mypy

check: format-check lint type test ## Everything that CI asks for

bench: $(INSTALLED) ## Run every benchmark (about 10 minutes) and write experiments/benchmarks/results.json
	$(BIN)/python experiments/benchmarks/run_all.py $(BENCH_ARGS)

wheel: $(INSTALLED) ## Build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## Remove what the targets made, runs excepted
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache
