# make demo    separate a voice and a song, both bundled, and say how well it went (no PyTorch needed)
# make test    everything the developers check: format, lint, types, tests
# make test-lowest  the tests without PyTorch, with the lowest versions that pyproject.toml allows
# make test-newest  the same with the newest versions there are, on the newest Python here
# make test-package  wheel and sdist, each installed into an environment of its own, separate a second
# make web-test  the tests of the JavaScript alone; needs npm and Chromium
# make docs    the documentation site, into site/; strict, and without a network
# make format  put the code into shape
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
NPM = npm ci --prefix web --ignore-scripts --no-audit --no-fund

# Tests of what needs no PyTorch, where versions of libraries matter: files, streams, plots, commands.
CORE_TESTS = -p no:cacheprovider $(addprefix tests/test_,$(addsuffix .py,api audio listen_make listen_server loudness \
	metrics_energy notice oracle pcm pipes plots separate stream telemetry terminal transforms workers))
INSTALL = -m pip --disable-pip-version-check install --quiet

.PHONY: demo test test-lowest test-newest test-package web-test docs format

demo: $(VENV)/core.stamp
	$(BIN)/unmask denoise assets/demo/mixture.flac --reference assets/demo
	$(BIN)/unmask separate assets/music/mixture.flac --reference assets/music

test: $(VENV)/dev.stamp
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	@$(NPM) 2>/dev/null || echo 'no onnxruntime-web (it needs npm): its tests skip'
	$(BIN)/python -m pytest

test-lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python $(INSTALL) --constraint constraints-lowest.txt --editable '.[test,live]'
	$(VENV)-lowest/bin/python -m pytest $(CORE_TESTS)

test-newest:
	@newest=$$(for k in 15 14 13 12; do python3.$$k -c '' 2>/dev/null && echo python3.$$k && break; done); \
	test -n "$$newest" || echo 'no Python above 3.11 here: the newest versions run on $(PYTHON)'; \
	$${newest:-$(PYTHON)} -m venv $(VENV)-newest
	$(VENV)-newest/bin/python $(INSTALL) --editable '.[test,live]'
	$(VENV)-newest/bin/python -m pytest $(CORE_TESTS)

test-package: $(VENV)/dev.stamp
	$(BIN)/python -m build --outdir $(VENV)/dist .
	for made in $(VENV)/dist/*.whl $(VENV)/dist/*.tar.gz; do \
		$(PYTHON) -m venv --clear $(VENV)-package || exit; \
		$(VENV)-package/bin/python $(INSTALL) --constraint constraints.txt $$made || exit; \
		(cd / && PYTHONPATH= $(abspath $(VENV))-package/bin/python $(CURDIR)/tools/installed.py) || exit; \
	done

web-test: $(VENV)/dev.stamp
	$(NPM)
	$(BIN)/python -m pytest tests/test_web.py -rs

docs: $(VENV)/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo 'open site/index.html, or, to search it too: python3 -m http.server --directory site'

format: $(VENV)/dev.stamp
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

$(VENV)/core.stamp: pyproject.toml constraints.txt
	@echo 'making $(VENV), once: about 350 MB and a minute or two, most of it download'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt
	@echo 'making $(VENV), once: about 2.5 GB (PyTorch for the CPU; where pip takes the one for CUDA,'
	@echo 'several GB more: see "Extras" in README.md) and some minutes, most of them download'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[dev]'
	@# PESQ is compiled on installation.
	$(PIP) --editable '.[speech]' 2>/dev/null || echo 'no PESQ (it needs a C compiler): its tests skip'
	touch $(VENV)/core.stamp $@
