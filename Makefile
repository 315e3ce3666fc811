# Every target works in a new clone: what it needs is set up first, in a virtual environment that nobody activates.
PYTHON ?= python3
VENV ?= .venv
VERSIONS ?= 3.10 3.11 3.12 3.13 3.14 3.15
SECONDS ?= 60
PORT ?= 8000

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# The library is this tree's: it is not installed, not even for the programs that tests start.
export PYTHONPATH := $(CURDIR)
export HYPOTHESIS_STORAGE_DIRECTORY := $(CURDIR)/.cache/hypothesis

CORE := tests/contract tests/pool tests/proxy tests/faults
TYPED := ProxyPatternPool.py tests/conftest.py $(CORE)

# Pyright runs on Node.js: the system's where there is one, since that of the package index takes 200 MB.
NODE := $(shell command -v node)

.PHONY: help venv demo serve check integration check.all lint types pyright test types.all test.integration test.alone
.PHONY: stress mutants bench bench.page docs docs-look build clean
.DELETE_ON_ERROR:

help:
	@echo 'make check        lint, types, and the tests of the library: what a contributor runs all day'
	@echo 'make integration  the tests with frameworks and servers, of the packages, the docs and the site'
	@echo 'make check.all    the tests of the library on each Python of $(VERSIONS) that is found'
	@echo 'make demo         run the example application under load'
	@echo 'make serve        leave it running on PORT=$(PORT), with a page that shows its pool'
	@echo 'make stress       the storm, for SECONDS=$(SECONDS)'
	@echo 'make mutants      take one mechanism out at a time, and see a test fail'
	@echo 'make bench        speed beside other pools and proxies'
	@echo 'make bench.page   the page of it and its plots, from the figures that are kept'
	@echo 'make docs         the site'
	@echo 'make docs-look    pictures of it by Chromium'
	@echo 'make build        wheel and sdist, into dist'
	@echo 'make clean        remove what was made, but for virtual environments'

# One stamp for each group of dependencies: installed once, and again when pyproject.toml changes.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.stamp-pip: | $(BIN)/python
	@$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

ABOUT_check := half a minute, 200 MB
ABOUT_integration := one to two minutes, 750 MB in all

$(VENV)/.stamp-%: pyproject.toml | $(VENV)/.stamp-pip
	@echo 'Setting up $(VENV) for $*, once: $(or $(ABOUT_$*),some seconds).'
	@$(PIP) install --group $*
	@touch $@

venv: $(VENV)/.stamp-check

demo: $(VENV)/.stamp-demo
	@$(BIN)/python docs/examples/notes/demo.py

serve: $(VENV)/.stamp-demo
	@$(BIN)/python docs/examples/notes/demo.py --serve --port $(PORT)

check: lint types pyright test

integration: types.all test.integration

lint: $(VENV)/.stamp-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.stamp-check
	$(BIN)/python -m mypy $(TYPED)

pyright: $(VENV)/.stamp-check
ifdef NODE
	$(BIN)/python -m pyright --pythonpath $(BIN)/python ProxyPatternPool.py
else
	@echo 'pyright: no Node.js here, so it is left to make integration, which brings one (200 MB)'
endif

test: $(VENV)/.stamp-check
	$(BIN)/python -m pytest $(CORE) --cov --numprocesses 2 --dist worksteal

types.all: $(VENV)/.stamp-integration $(if $(NODE),,$(VENV)/.stamp-node)
	$(BIN)/python -m mypy
	$(BIN)/python -m pyright --pythonpath $(BIN)/python

test.integration: $(VENV)/.stamp-integration
	$(BIN)/python -m pytest tests/integration --numprocesses 2 --dist loadfile

check.all:
	@failed=; \
	for version in $(VERSIONS); do \
	    found=; \
	    for python in python$$version "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python; do \
	        if "$$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$$version')" 2>/dev/null; \
	        then found=$$python; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then echo "Python $$version: not found"; continue; fi; \
	    echo "Python $$version: $$found"; \
	    $(MAKE) --no-print-directory test.alone PYTHON="$$found" VENV=.venv-$$version || failed="$$failed $$version"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

test.alone: $(VENV)/.stamp-test
	$(BIN)/python -m pytest $(CORE) --numprocesses 2

stress: $(VENV)/.stamp-check
	PPP_STRESS_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s --timeout=0 tests/faults/test_storm.py \
	    tests/faults/test_pool_model.py tests/faults/test_interruptions.py

mutants: $(VENV)/.stamp-check
	$(BIN)/python tests/mutants.py

# On one Python, beside the figures of others: with PYTHON=python3.14 VENV=.venv-3.14, and for a build without
# the GIL also PYTHON_GIL=0, or else what some peers load brings it back.
bench: $(VENV)/.stamp-bench
	@$(PIP) install --group libpq 2>/dev/null || echo 'bench: psycopg takes the libpq of this system'
	$(BIN)/python -m tests.bench

bench.page:
	$(PYTHON) -m tests.bench --page

docs: $(VENV)/.stamp-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --config-file docs/mkdocs.yml

# Needs Chromium, hence no part of integration.
docs-look: $(VENV)/.stamp-integration docs
	$(BIN)/python docs/look.py

# Says something only if something is wrong; then all that was said.
build: $(VENV)/.stamp-build
	@mkdir -p .cache && rm -rf dist
	@{ $(BIN)/python -m build --no-isolation && $(BIN)/python -m twine check --strict dist/* && \
	    $(BIN)/check-wheel-contents dist/*.whl; } >.cache/build.log 2>&1 || { cat .cache/build.log; exit 1; }

clean:
	rm -rf .cache build dist docs/site .coverage .coverage.* .hypothesis
	find . -path './.venv*' -prune -o -name __pycache__ -type d -exec rm -rf {} +
