PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test unit lint docs clean

# Each target installs what it needs, and again when the dependencies change.
$(VENV)/.demo: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.demo
	$(BIN)/fakelens demo -o demo --force

# A module's tests share its fixtures; tests/conftest.py puts slow modules first. Tests start many
# processes, which are quicker with compiled modules: unset a variable that containers often set.
# Three tests run at a time, because some wait for a server or a browser, so the libraries of each
# get one thread.
PYTEST := env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 \
    $(BIN)/pytest -n 3 --dist loadscope --no-loadscope-reorder

test: $(VENV)/.dev
	$(PYTEST)

# The quick part: no browser, no server, no training, nothing marked slow.
unit: $(VENV)/.dev
	$(PYTEST) -m "not slow and not shared" \
	    --ignore tests/browser --ignore tests/web --ignore tests/training --ignore tests/project

docs: $(VENV)/.dev
	$(BIN)/sphinx-build -W --keep-going -q -b html docs site

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

clean:
	rm -rf $(VENV) demo site .pytest_cache .mypy_cache .ruff_cache
