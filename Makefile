# One command for each job. `make demo` sets up and runs the main one; `make help` lists them.
#
# PYTHON       the interpreter that creates the virtual environment (3.10 or newer)
# JOBS         processes that run tests; one more than cores, for some of them wait most of their time
# PIP_OPTIONS  passed to every `pip install`, for example an index of CPU-only builds

PYTHON ?= python3
JOBS ?= $(shell $(PYTHON) -c "import os; print(1 + (os.cpu_count() or 1))")
PIP_OPTIONS ?=
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml constraints.txt $(wildcard src/pumice/quantize/native/*)
# Without --no-compile, pip spends a minute on byte code that is mostly never imported; Python makes it when it is.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check $(PIP_OPTIONS) -c constraints.txt

TOOLS := c++:g++ aarch64-linux-gnu-g++:g++-aarch64-linux-gnu qemu-aarch64:qemu-user tmux:tmux chromium:chromium,fonts-dejavu-core zsh:zsh fish:fish

PICTURE := examples/dice.png
QUESTION := How many dice are there, and what do they add up to?
BUNDLED := src/pumice/pretrained/pumice-tiny
BIGGER := llava-hf/llava-1.5-7b-hf

.DEFAULT_GOAL := help
# Without its byte code, PyTorch takes seconds longer to import, each time.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo test check format bench docs tiny hashes clean

help:
	@echo "make demo    set up and ask the bundled model about a picture, offline"
	@echo "make test    set up everything and run all tests"
	@echo "make check   format, lint, types and the law of the architecture"
	@echo "make format  put the code into its standard form"
	@echo "make bench   measure speed and memory; prints a table and a last line of JSON"
	@echo "make docs    write docs/cli.md again from the commands"
	@echo "make tiny    train the bundled model again, all stages: hours"
	@echo "make clean   remove the environment and all caches"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 10) or sys.exit("error: Python 3.10 or newer is needed, found %d.%d\nhint: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv $(VENV)

# The environment with what `pip install pumice` brings.
$(VENV)/.stamp-demo: $(INPUTS) | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

# The environment with every extra and the tools of development; it contains the smaller one.
# Tests compile the native library, also for an Arm processor that is emulated, and look at the page in a browser:
# Debian's packages for what is missing.
$(VENV)/.stamp-test: $(INPUTS) | $(BIN)/python
	@missing=$$(for each in $(TOOLS); do command -v $${each%%:*} >/dev/null || echo $${each##*:} | tr , ' '; done); \
	[ -z "$$missing" ] || { apt-get update -q && apt-get install -q -y --no-install-recommends $$missing; } || \
	echo "not installed: $$missing; tests that need them fail or are skipped"
	$(INSTALL) -e '.[all,dev]'
	@touch $(VENV)/.stamp-demo $@

demo: $(VENV)/.stamp-demo
	@echo
	@echo "picture   $(PICTURE)"
	@echo "question  $(QUESTION)"
	@printf 'answer    '
	@$(BIN)/pumice ask --offline -q -i $(PICTURE) "$(QUESTION)" </dev/null
	@echo
	@echo "The bundled model is tiny. For real photographs, switch to one with 7 billion parameters (14 GB download):"
	@echo "  $(BIN)/pumice ask -m $(BIGGER) -i $(PICTURE) \"$(QUESTION)\""

test: $(VENV)/.stamp-test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)

check: $(VENV)/.stamp-test
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/vulture
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_portability.py tests/test_server_rooms.py

format: $(VENV)/.stamp-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.stamp-test
	$(BIN)/python benchmarks/load.py $(BUNDLED) --dtype float32
	$(BIN)/python benchmarks/accuracy.py

docs: $(VENV)/.stamp-demo
	$(BIN)/pumice manual > docs/cli.md

tiny: $(VENV)/.stamp-demo
	$(BIN)/pumice train recipes/tiny-vision.toml
	$(BIN)/pumice train recipes/tiny-pretrain.toml
	$(BIN)/pumice train recipes/tiny-finetune.toml
	$(BIN)/pumice train recipes/tiny-finish.toml
	$(BIN)/pumice convert runs/tiny-finish/model $(BUNDLED) --dtype float16 --overwrite
	$(MAKE) hashes

# What the bundled model's files are, for `pumice doctor`. Whoever changes one of them runs this.
hashes:
	cd $(dir $(BUNDLED)) && $$(command -v sha256sum || echo shasum -a 256) $(notdir $(BUNDLED))/* > $(notdir $(BUNDLED)).sha256

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
