.PHONY: install check test test-all quickstart

install:  ## this checkout, editable, with what the tests need
	python -m pip install -e '.[dev]'

check:  ## lint, format, types
	ruff check .
	ruff format --check .
	mypy

test:  ## the fast tests
	python -m pytest

test-all:  ## every mark: slow ones, and those that need a SLURM cluster
	python -m pytest -m "slow or slurm or not slow"

quickstart:
	bench run suites/quickstart.yaml
