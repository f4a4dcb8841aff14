# make help   lists the targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export HF_HUB_OFFLINE ?= 1

.PHONY: help setup demo test matrix lint bench gpu docs wheel mannequin-model body-network clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## install everything into .venv, or VENV=DIR (once)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo 'make: mcld needs Python 3.11 or newer; name one: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || test -x $(BIN)/pip \
		|| { echo 'make: Python cannot make environments here; on Debian: sudo apt install python3-venv' >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip show --quiet torch 2>/dev/null || echo 'Installing into $(VENV): about 7 GB, most of it PyTorch' \
		'and its CUDA libraries; some four minutes, in silence. README.md says how to go without CUDA.'
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,studio]'
	@# It asks for an OpenCV that needs a desktop's libraries; ours, the headless one, does as well.
	$(BIN)/pip install --quiet -c constraints.txt --no-deps insightface
	@touch $@

demo: setup  ## anew: generate people, prepare them, repaint some with the shipped weights, score the result
	rm -rf build/demo
	$(BIN)/mcld prepare build/demo/people --mannequins 6 --pictures 5 --seed 1
	$(BIN)/mcld prepare build/demo/dolls --mannequins 6 --pictures 5 --seed 1 --style dolls
	@echo 'To use mcld by this name: . $(BIN)/activate'
	$(BIN)/python -m benchmarks mannequin build/demo/people --out build/demo/pictures
	$(BIN)/python -m benchmarks mannequin build/demo/dolls --out build/demo/pictures-of-dolls
	$(BIN)/mcld sample --source build/demo/people/test/fashionWOMENMannequinsid0000000501_1front.jpg \
		--pose turn --fps 6 --out build/demo/turn.gif

test: setup  ## run all tests
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal

matrix:  ## the light tests on every Python of 3.11 to 3.14 that is here; each gets an environment, in build/matrix
	@MAKE='$(MAKE)' scripts/test_matrix.sh

lint: setup  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## measure; one JSON line per figure
	$(BIN)/python -m benchmarks

gpu: setup  ## everything of full-size networks on this machine's GPU, in ten minutes
	$(BIN)/python -m benchmarks gpu --minutes 9

docs: setup  ## build the docs with their API page into build/site; open its index.html
	$(BIN)/pip install --quiet -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

wheel: setup  ## build the wheel into dist
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

mannequin-model: setup  ## a network like the shipped one from nothing (hours); goes on if broken off
	$(BIN)/mcld prepare build/model/mannequin --mannequins 800 --pictures 6 --seed 0 --style dolls
	$(BIN)/mcld train --recipe configs/mannequin-recipe.yaml \
		--set train.dataset=build/model/mannequin --set train.output=build/model/runs
	rm -rf mcld/mannequin/weights && cp -r build/model/runs/pipeline mcld/mannequin/weights
	$(BIN)/python scripts/export_embedded.py

body-network: setup  ## train the embedded reader of bodies anew (an hour); pictures go on if broken off
	$(BIN)/python scripts/train_body_network.py

clean:  ## remove what the targets made, but not .venv
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
