# Two commands matter: `make demo` and `make test`. Each sets up what it needs first.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help install demo test check docs clean

help:
	@echo "make demo    run the whole study on the synthetic cohort and write runs/demo/report.html"
	@echo "make test    run all tests (those on real films only where PATCHCXR_DATA or ../shared/data has them)"
	@echo "make check   lint, types, direction of imports, and all tests"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "patchcxr needs Python 3.11 or newer, got %d.%d; run make PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade pip
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(INSTALLED)

demo: $(INSTALLED)
	$(RUN)/patchcxr study configs/demo.yaml --out runs/demo

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest --numprocesses auto --dist loadfile

check: $(INSTALLED)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy patchcxr
	$(RUN)/lint-imports
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest --numprocesses auto --dist loadfile

clean:
	rm -rf runs .pytest_cache .ruff_cache .mypy_cache

.PHONY: constraints
constraints:
	rm -rf .venv-constraints
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip install --quiet --upgrade pip
	.venv-constraints/bin/python -m pip install --quiet '.[dev]'
	(echo '# Versions that the tests and the demonstration were run with, on Python 3.11.'; .venv-constraints/bin/python -m pip freeze --exclude patchcxr | grep -v ' @ ') > constraints.txt
	rm -rf .venv-constraints
