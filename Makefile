# Two targets for a newcomer: `make train` and `make test`. Both set up .venv from the pinned requirements first.
PYTHON ?= python3
TEST_PROCESSES ?= 2  # each compiles on a core of its own
GPU_TEST_PROCESSES ?= 8  # the same, on one GPU
VENV := .venv
BIN := $(VENV)/bin
# libtpu compiles for TPUs where there is none. It lies beside the packages, not among them: where JAX can import it, it
# looks for a TPU at every start. benchmarks/tpu.py finds it there.
TPU_COMPILE := $(VENV)/tpu-compile
# TensorFlow reads the checkpoint that the authors released. It lies beside the packages too, as other packages do more
# where they can import it. aloe/model/tensorflow_checkpoint.py finds it there.
TENSORFLOW := $(VENV)/tensorflow
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --progress-bar off -q

.PHONY: setup tpu-compile tensorflow train test faults learning compiled released gpu lock

setup: $(VENV)/installed

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Aloe needs Python 3.11 or later, and $(PYTHON) is "+sys.version.split()[0]+": make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -q -e .
	touch $@

tpu-compile: $(TPU_COMPILE)/installed  # for launch/compile_check.py: 484 MB, which `make train` does without

$(TPU_COMPILE)/installed: requirements-tpu-compile.lock | $(VENV)/installed
	rm -rf $(TPU_COMPILE)
	mkdir $(TPU_COMPILE)
	$(PIP_INSTALL) --no-deps --target $(TPU_COMPILE) -r requirements-tpu-compile.lock
	touch $@

tensorflow: $(TENSORFLOW)/installed  # for launch/import_released.py: 1.5 GB, which all else does without

$(TENSORFLOW)/installed: requirements-tensorflow.lock | $(VENV)/installed
	rm -rf $(TENSORFLOW)
	mkdir $(TENSORFLOW)
	$(PIP_INSTALL) --no-deps --target $(TENSORFLOW) -r requirements-tensorflow.lock
	touch $@

train: setup
	@$(BIN)/python launch/quickstart.py

test: setup tpu-compile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal

faults: setup  # everything that can strike a run on a slice; up to half an hour
	$(BIN)/python -m pytest -m "faults or not faults" tests/faults

learning: setup  # ACRE's, CATER's and CLEVR's quickstart, until they have learned something; some twenty minutes
	$(BIN)/python -m pytest -m learning tests/tasks

compiled: setup tpu-compile  # every shipped configuration, compiled for a slice and held to the committed table
	$(BIN)/python -m pytest -m "compiled or not compiled" tests/benchmarks/test_shipped.py

released: setup tensorflow  # a checkpoint that TensorFlow 1's Saver writes, from the import to the released figures
	PYTHONPATH=$(abspath $(TENSORFLOW)) $(BIN)/python -c 'import tensorflow; print("TensorFlow", tensorflow.__version__)'
	PYTHONPATH=$(abspath $(TENSORFLOW)) $(BIN)/python -m pytest tests/model/test_tensorflow_checkpoint.py tests/launch/test_import_released.py

gpu: setup  # the kernels themselves against the definition, where there is a GPU and JAX's CUDA plugin
	ALOE_TEST_PLATFORMS=cuda,cpu XLA_PYTHON_CLIENT_PREALLOCATE=false $(BIN)/python -m pytest -n $(GPU_TEST_PROCESSES) --dist worksteal \
		tests/attention/test_fused.py tests/dense tests/model/test_fused_block.py

lock: setup  # after changing a range in pyproject.toml
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes --no-annotate --no-header -q -o requirements.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["tpu-compile"], sep="\n")' | \
		$(BIN)/uv pip compile - --universal --generate-hashes --no-annotate --no-header -q -o requirements-tpu-compile.lock
	$(BIN)/python -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; print(*(each for name in ("gcs", "gcp") for each in extras[name] if "aloe" not in each), sep="\n")' | \
		$(BIN)/uv pip compile - -c requirements.lock --universal --generate-hashes --no-annotate --no-header -q -o requirements-gcp.lock
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["tensorflow"], sep="\n")' | \
		$(BIN)/uv pip compile - -c requirements.lock --universal --generate-hashes --no-annotate --no-header -q -o requirements-tensorflow.lock
