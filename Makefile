# make help   lists the targets.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TRAIN := $(BIN)/mcld train --config configs/mannequin.yaml --set train.dataset=build/model/mannequin
FURTHER := $(TRAIN) --set train.batch_size=16 --set train.learning_rate=6e-4 \
	--set train.lr_warmup_images=2000 --set train.adapt_decoder_images=0
export HF_HUB_OFFLINE ?= 1

.PHONY: help setup demo test lint bench mannequin-model clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## install everything into .venv (once)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo 'make: mcld needs Python 3.11 or newer; name one: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || test -x $(BIN)/pip \
		|| { echo 'make: Python cannot make environments here; on Debian: sudo apt install python3-venv' >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@# It asks for an OpenCV that needs a desktop's libraries; ours, the headless one, does as well.
	$(BIN)/pip install --quiet -c constraints.txt --no-deps insightface
	@touch $@

demo: setup  ## anew: generate people, prepare them, repaint some with the shipped weights, score the result
	rm -rf build/demo
	$(BIN)/mcld prepare build/demo/mannequin --mannequins 6 --pictures 5 --seed 1
	@echo 'To use mcld by this name: . $(BIN)/activate'
	$(BIN)/python -m benchmarks mannequin build/demo/mannequin --out build/demo/pictures

test: setup  ## run all tests
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal

lint: setup  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## measure; one JSON line per figure
	$(BIN)/python -m benchmarks

mannequin-model: setup  ## rebuild the shipped weights from nothing (hours)
	$(BIN)/mcld prepare build/model/mannequin --mannequins 800 --pictures 6 --seed 0
	rm -rf $(foreach n,1 2 3 4 5 6 7 8 9 10,build/model/$(n))
	$(TRAIN) --set train.output=build/model/1 --set train.adapt_decoder_images=0
	$(FURTHER) --set train.output=build/model/2 --set train.start_from=build/model/1/pipeline \
		--set train.images=96000 --set train.batch_size=12 --set train.seed=1
	$(FURTHER) --set train.output=build/model/3 --set train.start_from=build/model/2/pipeline \
		--set train.images=44000 --set train.seed=2 \
		--set train.patchwork=1 --set train.learning_rate=8e-4
	$(FURTHER) --set train.output=build/model/4 --set train.start_from=build/model/3/pipeline \
		--set train.images=46400 --set train.seed=3 --set train.patchwork=0.5
	$(FURTHER) --set train.output=build/model/5 --set train.start_from=build/model/4/pipeline \
		--set train.images=64000 --set train.seed=5 \
		--set train.patchwork=1 --set train.learning_rate=7e-4
	$(FURTHER) --set train.output=build/model/6 --set train.start_from=build/model/5/pipeline \
		--set train.images=56000 --set train.seed=6 --set train.patchwork=0.5 \
		--set train.adapt_decoder_images=32000
	$(FURTHER) --set train.output=build/model/7 --set train.start_from=build/model/6/pipeline \
		--set train.height=192 --set train.width=144 --set train.batch_size=12 \
		--set train.images=26000 --set train.seed=8 --set train.patchwork=0.5 \
		--set train.learning_rate=8e-4 --set train.lr_warmup_images=1500 \
		--set train.adapt_decoder_images=24000
	$(FURTHER) --set train.output=build/model/8 --set train.start_from=build/model/7/pipeline \
		--set train.height=256 --set train.width=176 --set train.batch_size=12 \
		--set train.images=27000 --set train.seed=9 --set train.patchwork=0.5 \
		--set train.learning_rate=8e-4 --set train.lr_warmup_images=1500 \
		--set train.adapt_decoder_images=20000
	$(FURTHER) --set train.output=build/model/9 --set train.start_from=build/model/8/pipeline \
		--set train.height=256 --set train.width=176 --set train.batch_size=12 \
		--set train.images=45000 --set train.seed=10 --set train.patchwork=0.4 \
		--set train.timestep_shift=4 --set train.drop_rate=0.03 \
		--set train.learning_rate=8e-4 --set train.lr_warmup_images=1500 \
		--set train.adapt_decoder_images=20000
	$(FURTHER) --set train.output=build/model/10 --set train.start_from=build/model/9/pipeline \
		--set train.height=256 --set train.width=176 --set train.batch_size=12 \
		--set train.images=30000 --set train.seed=11 --set train.patchwork=0.15 \
		--set train.timestep_shift=4 --set train.drop_rate=0.03 \
		--set train.learning_rate=8e-4 --set train.lr_warmup_images=1500 \
		--set model.pose_input=textured --set train.face_loss_weight=3 \
		--set train.adapt_decoder_images=249600
	rm -rf mcld/mannequin/weights && cp -r build/model/10/pipeline mcld/mannequin/weights

clean:  ## remove what the targets made, but not .venv
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
