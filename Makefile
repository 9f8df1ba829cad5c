# Needs Python 3.10 or newer, make and a C++ compiler; everything else is set up in .venv.
# PYTHON=python3.12 chooses the interpreter of a new .venv.

PYTHON ?= python3

# The uv on PATH where there is one, else one of our own inside .venv.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .venv/bin/uv)
ENVIRONMENT := $(if $(filter uv,$(UV)),.venv/bin/python,.venv/bin/uv)

.PHONY: setup test check demo lock clean

setup: .venv/.installed

# A file's tests share what they made, so a file is of one process.
test: setup
	.venv/bin/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: setup
	scripts/check

demo: setup
	.venv/bin/geobridge demo

lock: | $(ENVIRONMENT)
	UV=$(UV) scripts/lock

# What was trained, packed or recorded under runs/ is not ours to delete.
clean:
	rm -rf .venv build dist *.egg-info .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find export onboard tests training -name __pycache__ -prune -exec rm -rf {} +

.venv/.installed: .venv/.synced pyproject.toml
	$(UV) pip install --python .venv/bin/python --no-deps --editable .
	touch $@

.venv/.synced: requirements/dev.txt | $(ENVIRONMENT)
	$(UV) pip sync --python .venv/bin/python --require-hashes requirements/dev.txt
	touch $@

.venv/bin/python:
	$(new_enough)
	uv venv --no-python-downloads --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv

.venv/bin/uv:
	$(new_enough)
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install uv

define new_enough
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	{ echo 'Python 3.10 or newer is needed: make PYTHON=python3.12' >&2; exit 1; }
endef
