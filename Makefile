# Two commands: `make demo` and `make test`. Each sets up what it needs: one virtual environment, every version pinned.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: demo test test-fast lint bench pictures clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if v == (3, 11) else f"Python 3.11 is needed, {v[0]}.{v[1]} was found; set PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

demo: $(READY)
	FUSEGPT_HOME="$${FUSEGPT_HOME:-$(CURDIR)/.fusegpt}" $(BIN)/python -m service.demo

lint: $(READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

# In two processes, as a Ray leaves a third of two cores idle (tests/lanes.py); 0 runs all one after another.
PROCESSES ?= 2
test: lint
	$(BIN)/python -m pytest --numprocesses $(PROCESSES)

test-fast: $(READY)
	$(BIN)/python -m pytest -m "not slow and not ray and not e2e"

bench: $(READY)
	$(BIN)/python -m benchmarks

# The README's samples; its prediction is what `make demo` wrote last.
pictures: $(READY)
	$(BIN)/fusegpt data show --data world --drive world-0003 --set data.image_height_px=128 \
		--set data.image_width_px=416 --set data.lidar.px_per_m=4 --to docs/images/world.png
	$(BIN)/fusegpt data show --data kitti --drive 0005 --set data.lidar.px_per_m=4 --to docs/images/kitti.png

clean:
	rm -rf $(VENV) .fusegpt build
