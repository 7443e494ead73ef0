# `make demo` sets everything up and runs the main job; `make test` sets everything up and passes the tests.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint bench-main-job bench-platforms bench-steps bench-predictor bench-predictor-int8 \
  bench-reduction bench-devices bench-search bench-stages bench-int8 bench-mixing bench-mobilenets bench-metapruning \
  bench-values bench-nni bench-operator-tables clean

demo: .venv/base
	$(BIN)/spacecut cut metapruning/mobilenet_v1 -p onnxruntime -o out/demo

test: .venv/all lint
	$(BIN)/python -m pytest

lint: .venv/all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench-main-job: .venv/all
	$(BIN)/python benchmarks/main_job.py

bench-platforms: .venv/all
	$(BIN)/python benchmarks/platforms.py

bench-steps: .venv/all
	$(BIN)/python benchmarks/steps.py

bench-predictor: .venv/all .venv/nn-meter/done
	$(BIN)/python benchmarks/predictor.py

bench-predictor-int8: .venv/all .venv/nn-meter/done
	$(BIN)/python benchmarks/predictor.py --int8

bench-reduction: .venv/all
	$(BIN)/python benchmarks/reduction.py

bench-devices: .venv/all
	$(BIN)/python benchmarks/devices.py --data $(DATA)

bench-operator-tables: .venv/all
	$(BIN)/python benchmarks/operator_tables.py --data $(DATA)

bench-stages: .venv/all
	$(BIN)/python benchmarks/stages.py --data $(DATA)

bench-search: .venv/all
	$(BIN)/python benchmarks/search.py --data $(DATA)

bench-int8: .venv/all
	$(BIN)/python benchmarks/int8.py

bench-mixing: .venv/all
	$(BIN)/python benchmarks/mixing.py

bench-mobilenets: .venv/all
	$(BIN)/python benchmarks/mobilenets.py

bench-values: .venv/all
	$(BIN)/python benchmarks/values.py

bench-metapruning: .venv/all
	$(BIN)/python benchmarks/metapruning.py

bench-nni: .venv/all
	$(BIN)/python benchmarks/nni_search.py

# The base install alone is what the demo needs.
.venv/base: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

# Every extra, for the tests and the benchmarks.
.venv/all: .venv/base
	$(PIP) --editable '.[all,test,benchmark]'
	touch $@

# A peer of the predictor, whose pins are not ours.
.venv/nn-meter/done:
	$(PYTHON) -m venv .venv/nn-meter
	.venv/nn-meter/bin/python -m pip install --quiet --disable-pip-version-check \
	  'setuptools<81' nn-meter==2.0 'scikit-learn<1.3' 'numpy<2'
	touch $@

clean:
	rm -rf .venv .spacecut out
