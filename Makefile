# `make demo` runs the main job on a sample shot, `make test` the tests; both install what they need
# into .venv first. Any Python from 3.11 on: make PYTHON=python3.12 demo
# `make blender` adds Blender as a module (Python 3.11 only, some 350 MB) in an environment of its own,
# .venv-bpy: then the tests of the Blender add-on run too. `make extension` builds what Blender installs.
# `make wheel` builds the wheel and tries it out; `make settings` writes docs/settings*.md anew.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHOT ?= sample_shots/furry_creature
BPY := bpy==5.0.1
BPY_PYTHON ?= python3.11
BPY_VENV := .venv-bpy
TYPESCRIPT := typescript@7.0.2

.PHONY: demo test lint page-types settings wheel blender extension clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "vfxmatte needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt \
	  -e '.[dev]'
	@# Compiled on all cores, where pip uses one. Packages also hold files for newer Pythons.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@

demo: $(READY)
	$(BIN)/vfxmatte run $(SHOT) --preview sheet --overwrite
	@echo "Open $(SHOT)/matte/preview.png, or load $(SHOT)/matte/matte.####.exr into Nuke."

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy nodes/vfxmatte_client
	$(BIN)/lint-imports

# The pages' scripts are plain JavaScript with types in comments; npm brings the checker alone.
page-types:
	@if command -v npm >/dev/null; then npx --yes -p $(TYPESCRIPT) tsc -p . && \
	  npx --yes -p $(TYPESCRIPT) tsc -p tsconfig.paint.json; \
	  else echo "no npm: the types of the pages' scripts are not checked"; fi

blender:
	@$(BPY_VENV)/bin/python -c 'import bpy' 2>/dev/null || { \
	  $(BPY_PYTHON) -m venv $(BPY_VENV) && \
	  $(BPY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check '$(BPY)' 'numpy<2'; }

wheel: $(READY)
	rm -rf dist/*.whl
	$(BIN)/python -m build --outdir dist
	VFXMATTE_WHEEL=$$(ls $(CURDIR)/dist/*.whl) $(BIN)/python -m pytest -n 0 tests/packaging/test_wheel.py

settings: $(READY)
	$(BIN)/python -m tests.packaging.settings_reference

extension:
	$(PYTHON) nodes/blender/build.py dist

clean:
	rm -rf $(VENV) build dist *.egg-info
