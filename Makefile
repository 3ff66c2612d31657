# The only interface: CI and people call these targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS := $(VENV)/.installed-docs
TOOLS := .venv-tools/bin
PYTHONS ?= 3.11 3.12 3.13
TORCH_CPU ?= $(PIP_FIND_LINKS)
LOCK = $(TOOLS)/uv pip compile pyproject.toml --quiet -c constraints.txt --generate-hashes \
	--no-annotate --custom-compile-command 'make lock' --python-version 3.11 \
	--extra deploy --extra offline --extra sweep --extra hub

.DEFAULT_GOAL := help
.PHONY: help install demo test check format format-check lint type learning slow warp fuzz kills gpu gpu-train golden golden-values docs docs-test bench wheel lock lock-check audit sbom matrix clean

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

kills: $(INSTALLED) ## Kill 200 trainings of every learner, resume and compare them (15 minutes); KILLS=n for others
	$(BIN)/python tests/training/killing.py $(if $(KILLS),--kills $(KILLS))

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

$(DOCS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

docs: $(DOCS) ## Build the documentation, build/docs/index.html, and check its links; needs no network
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs

docs-test: $(DOCS) ## Run the blocks of all pages and the notebooks (minutes); DOCS_PYTHON=interpreter of a wheel
	$(BIN)/python -m pytest -m docs tests/documentation --numprocesses auto --maxprocesses 2

bench: $(INSTALLED) ## Run every benchmark (about 10 minutes) and write experiments/benchmarks/results.json
	$(BIN)/python experiments/benchmarks/run_all.py $(BENCH_ARGS)

wheel: $(INSTALLED) ## Build the wheel into dist/
	$(BIN)/python -m build --wheel

$(TOOLS)/.installed: requirements-tools.txt
	test -x $(TOOLS)/python || $(PYTHON) -m venv $(dir $(TOOLS))
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

lock: $(TOOLS)/.installed ## Make both lock files anew; TORCH_CPU=place of torch's wheels for CPUs
	@test -n '$(TORCH_CPU)' || { echo 'give TORCH_CPU=, the page or folder of torch +cpu'; exit 2; }
	@mkdir -p build # constraints that no Python 3.11 can meet end here
	$(LOCK) --universal --extra gpu --extra docs --extra dev --output-file build/all.lock
	$(LOCK) --python-platform x86_64-unknown-linux-gnu --find-links '$(TORCH_CPU)' \
		--output-file requirements-cpu.lock
	$(LOCK) --universal --extra gpu --output-file requirements-cuda.lock

lock-check: wheel ## Install lock file and wheel in an empty environment, and train there
	rm -rf build/locked
	$(PYTHON) -m venv build/locked
	build/locked/bin/pip install --quiet --require-hashes -r requirements-cpu.lock
	build/locked/bin/pip install --quiet --no-deps dist/metarl_toolkit-*.whl
	build/locked/bin/pip check
	cd build/locked && bin/metarl --version && bin/metarl train maml-trpo --quiet \
		--env metarl/PointGoal-v0 --iterations 1 --eval-tasks 2

audit: $(TOOLS)/.installed ## Known vulnerabilities of what is locked; fails where it cannot be told
	$(TOOLS)/python tests/supply_chain/audit.py $(TOOLS)/pip-audit

sbom: $(TOOLS)/.installed ## Write bills of materials (CycloneDX, valid) of both lock files into dist/
	mkdir -p dist
	for kind in cpu cuda; do $(TOOLS)/cyclonedx-py requirements requirements-$$kind.lock \
		--pyproject pyproject.toml --output-reproducible --output-file dist/metarl-$$kind.cdx.json \
		|| exit; done

matrix: ## Run the tests with every Python of PYTHONS that is here
	@for version in $(PYTHONS); do \
		python$$version -c '' 2>/dev/null || { echo "Python $$version: NOT HERE, NOT TESTED"; continue; }; \
		$(MAKE) test VENV=.venv-$$version PYTHON=python$$version || exit; \
	done

clean: ## Remove what the targets made, runs excepted
	rm -rf $(VENV) .venv-* build dist .mypy_cache .pytest_cache .ruff_cache
