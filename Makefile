# `make demo` and `make test` each make .venv from nothing, and install nothing when it is there already.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# As pip does for a package that it copies: where Python may not write bytecode, each start would compile anew.
COMPILE = $(BIN)/python -m compileall -q

# A process for each core takes a run of neighbouring tests, and who is done takes half of another's rest: what a
# module or a session has made, and the servers that it has started, are asked for again by the next test.
SIDE_BY_SIDE = --numprocesses auto --maxprocesses 8 --dist worksteal

.PHONY: demo test check bench clean

demo: $(VENV)/core.stamp
	@$(BIN)/python scripts/demo.py

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: .venv-bench/stamp
	@.venv-bench/bin/python -m compileall -q src
	.venv-bench/bin/python benchmarks/pack.py
	.venv-bench/bin/python benchmarks/open.py
	.venv-bench/bin/python benchmarks/embed.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "xlabel needs Python 3.11 or later, $(PYTHON) is `$(PYTHON) -V`; try: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
	  { echo "no venv: try apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }

$(VENV)/core.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@$(COMPILE) src
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(COMPILE) src
	@touch $(VENV)/core.stamp $@

.venv-bench/stamp: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) .venv-bench output build dist
