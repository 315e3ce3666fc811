# Every target works in a new clone: what it needs is set up first, in a virtual environment that nobody activates.
PYTHON ?= python3
VENV ?= .venv
VERSIONS ?= 3.10 3.11 3.12 3.13
SECONDS ?= 60

BIN := $(VENV)/bin

.PHONY: help venv demo serve check check.all lint types test stress mutants bench docs docs-look build clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo       run the example application under load'
	@echo 'make serve      leave it running, with a page that shows its pool'
	@echo 'make check      lint, types and tests: what continuous integration runs'
	@echo 'make check.all  the tests on each Python of $(VERSIONS) that is found'
	@echo 'make stress     the storm, for SECONDS=$(SECONDS)'
	@echo 'make mutants    take one mechanism out at a time, and see a test fail'
	@echo 'make bench      speed beside other pools and proxies'
	@echo 'make docs       the site'
	@echo 'make docs-look  pictures of it by Chromium'
	@echo 'make build      wheel and sdist'
	@echo 'make clean      remove what was made, but for virtual environments'

# One stamp for each extra: installed once, and again when pyproject.toml changes.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.stamp-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

venv: $(VENV)/.stamp-test

demo: $(VENV)/.stamp-demo
	$(BIN)/python docs/examples/notes/demo.py

serve: $(VENV)/.stamp-demo
	$(BIN)/python docs/examples/notes/demo.py --serve

check: lint types test

lint: venv
	$(BIN)/python -m ruff check .

types: venv
	$(BIN)/python -m mypy
	$(BIN)/python -m pyright --pythonpath $(BIN)/python

test: venv
	$(BIN)/python -m pytest --cov --numprocesses 2 --dist loadfile

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
	    $(MAKE) --no-print-directory test PYTHON="$$found" VENV=.venv-$$version || failed="$$failed $$version"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

stress: venv
	PPP_STRESS_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s --timeout=0 tests/test_interrupts.py tests/test_model.py tests/test_stress.py

mutants: venv
	$(BIN)/python tests/mutants.py

bench: $(VENV)/.stamp-bench
	$(BIN)/python -m tests.bench

docs: $(VENV)/.stamp-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --config-file docs/mkdocs.yml

# Needs Chromium, hence no part of check.
docs-look: venv docs
	$(BIN)/python docs/look.py

build: venv
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

clean:
	rm -rf build dist site docs/site *.egg-info .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -path './.venv*' -prune -o -name __pycache__ -type d -exec rm -rf {} +
