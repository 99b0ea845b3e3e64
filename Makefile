# One-word commands. They set up .venv by themselves (uv if it is there, else venv and pip) and are safe to repeat.
#
#   make test PYTHON=python3.12    with another interpreter (3.11 or newer)
#   make test ARGS="-k budget"     with arguments for pytest; also for demo and bench

PYTHON ?=
ARGS ?=
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint format docs bench bench-ladder requirements clean force

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-14s%s\n", $$1, $$2}' Makefile

demo: $(STAMP) ## run the main job on shipped input; needs no key and no server
	@$(BIN)/outlay demo $(ARGS)

test: $(STAMP) ## run the tests
	@$(BIN)/python -m pytest $(ARGS)

# The bundled pyright asks npm for a newer version of itself; we pin ours.
lint: $(STAMP) ## check style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports --no-logo

format: $(STAMP) ## mend what the linters can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(STAMP) ## write docs/patterns.md and docs/advice.md from the tables in the code
	@$(BIN)/python scripts/patterns_doc.py
	@$(BIN)/python scripts/advice_doc.py

bench: $(STAMP) ## measure what the project promises
	@$(BIN)/python -m bench $(ARGS)

bench-ladder: $(STAMP) ## show the cost ladder: dollars, seconds, success, each rung off and on
	@$(BIN)/python -m bench ladder $(ARGS)

# One file for every Python and platform we support; without headers and notes it names no index.
requirements: ## pin anew what pyproject.toml asks for (needs uv)
	@command -v uv >/dev/null || { echo "make requirements needs uv: pip install uv" >&2; exit 1; }
	@uv pip compile --quiet --upgrade --universal --python-version 3.11 --extra dev \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		pyproject.toml --output-file requirements.txt

clean: ## remove .venv and caches; your runs in .outlay stay
	@rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Another PYTHON than the one .venv was made with sets it up again.
ifneq ($(PYTHON),)
ifneq ($(PYTHON),$(shell cat .venv/.python 2>/dev/null))
$(STAMP): force
endif
endif

$(STAMP): requirements.txt pyproject.toml scripts/setup.sh
	@sh scripts/setup.sh "$(PYTHON)"
	@touch $@
