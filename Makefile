# Every target sets up .venv by itself when it is missing or older than the pinned requirements.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
WORKERS ?= 2

.PHONY: setup demo test lint figures coverage bench searches jax root pythia combinations requirements clean

setup: $(READY)

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	touch $@

demo: $(READY)
	$(BIN)/darkscan demo -o demo

test: $(READY)
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The figures and tables of the statistics guide, from the code as it is.
figures: $(READY)
	$(BIN)/python -m scanner.plots.guide docs
	$(BIN)/darkscan searches pages docs/searches

# The map of coverages that they show, anew: a quarter of an hour.
coverage: $(READY)
	$(BIN)/python -m scanner.guide.covering

bench: $(READY)
	$(BIN)/darkscan bench

# Every built-in search at its published luminosity, of ap_vis 6% of it, with a page of plots, and the tables and pictures of the docs;
# hours on two cores.
searches: $(READY)
	$(BIN)/darkscan searches run-all -o searches --workers $(WORKERS)
	$(BIN)/darkscan searches compare searches
	$(BIN)/darkscan searches expected --events 1e8 -o searches/expected --workers $(WORKERS) --table docs/searches.md
	$(BIN)/darkscan searches inject -o searches/injected --workers $(WORKERS) --table docs/searches.md
	$(BIN)/darkscan searches pages docs/searches --plots --workers $(WORKERS)

# jax as a peer in the benchmarks, which skip it where it is absent.
jax: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check jax

# ROOT as a second opinion in tests, in an environment of its own: its tests are skipped where it is absent.
root:
	$(PYTHON) -m venv .venv-root
	.venv-root/bin/pip install --quiet --disable-pip-version-check root numpy

# PYTHIA likewise, for the spectra of muon and tau pairs, and of combinations in quark pairs.
pythia:
	$(PYTHON) -m venv .venv-pythia
	.venv-pythia/bin/pip install --quiet --disable-pip-version-check pythia8mc==8.317.2 numpy

# The spectra of combinations that look like B decays, anew: a quarter of an hour on two cores.
SEEDS := 11 12 21 22
combinations: $(READY) pythia
	printf '%s\n' $(SEEDS) | xargs -P $(WORKERS) -I {} .venv-pythia/bin/python tests/reference/oracles/pythia_combinations.py 400000 combinations.{}.npz {}
	$(BIN)/python -m scanner.simulation.calibrate_combinations $(SEEDS:%=combinations.%.npz)
	rm $(SEEDS:%=combinations.%.npz)

requirements:
	uv pip compile pyproject.toml --all-extras --generate-hashes --no-header --no-emit-index-url --python-version 3.11 --output-file requirements.txt

clean:
	rm -rf .venv .venv-root .venv-pythia demo searches build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
