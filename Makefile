# make demo    separate a voice and a song, both bundled, and say how well it went (no PyTorch needed)
# make test    everything the developers check: format, lint, types, tests
# make web-test  the tests of the JavaScript alone; needs npm and Chromium
# make format  put the code into shape
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
NPM = npm ci --prefix web --ignore-scripts --no-audit --no-fund

.PHONY: demo test web-test format

demo: $(VENV)/core.stamp
	$(BIN)/unmask denoise assets/demo/mixture.flac --reference assets/demo
	$(BIN)/unmask separate assets/music/mixture.flac --reference assets/music

test: $(VENV)/dev.stamp
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	@$(NPM) 2>/dev/null || echo 'no onnxruntime-web (it needs npm): its tests skip'
	$(BIN)/python -m pytest

web-test: $(VENV)/dev.stamp
	$(NPM)
	$(BIN)/python -m pytest tests/test_web.py -rs

format: $(VENV)/dev.stamp
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

$(VENV)/core.stamp: pyproject.toml constraints.txt
	@echo 'making $(VENV), once: about 350 MB and a minute or two, most of it download'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt
	@echo 'making $(VENV), once: about 1.8 GB (PyTorch for the CPU; where pip takes the one for CUDA,'
	@echo 'several GB more: see "Extras" in README.md) and some minutes, most of them download'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[dev]'
	@# PESQ is compiled on installation.
	$(PIP) --editable '.[speech]' 2>/dev/null || echo 'no PESQ (it needs a C compiler): its tests skip'
	touch $(VENV)/core.stamp $@
