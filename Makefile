# Every target does its own set-up: a fresh machine needs Python 3.11 or newer, git and make.
PYTHON ?= python3
VENV   := .venv
STORE  := .store-venv
PACKED := .package-venv
DATED  := SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct)
BIN    := $(VENV)/bin
ARGS   ?=
SEEDS  ?= 300
SEED   ?=
JOBS   ?= 1
PROGRAM_TESTS := tests/e2e/test_demo.py $(wildcard tests/e2e/test_cli_*.py) tests/e2e/test_doctor.py -k "not never_ends and (not test_doctor or sound or healthy)"
OUT    ?= dist
WORK   ?= build/pyinstaller
# Tests start hundreds of processes, and a fourth of a start would be the compiling of our own modules. It is done before,
# and never by those processes: one that may write only so much would leave a torn file for all that come after it.
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: demo compiled test simulate prove lint types contracts wheel sbom binary deb windows packages installers audit bench lock clean

$(VENV)/.dev: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (name one: make PYTHON=python3.12 …), this is " + sys.version)'
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)  # one that was made without python3-venv has a python and no pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	touch $@

$(STORE)/.run: requirements/run.txt $(VENV)/.dev  # what a store installs and nothing else: its footprint is measured
	test -x $(STORE)/bin/pip || $(PYTHON) -m venv $(STORE)
	$(STORE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	touch $@

$(VENV)/.supply: requirements/supply.txt $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/supply.txt
	touch $@

$(PACKED)/.package: requirements/package.txt  # what a store installs and PyInstaller: what goes into the binary
	test -x $(PACKED)/bin/pip || $(PYTHON) -m venv $(PACKED)
	$(PACKED)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/package.txt
	touch $@

demo: $(VENV)/.dev  ## the agent and a stand-in for Flash in one; ARGS=--once ends after the story
	$(BIN)/flash-agent demo $(ARGS)

compiled: $(VENV)/.dev
	$(BIN)/python -m compileall -q agent tests

test: compiled  ## every test, against the tree
	$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)  # more than cores: half of it waits

simulate: compiled  ## the agent on a virtual clock, SEEDS=10000 JOBS=2 for many seeds; SEED=17 for one with its story
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --jobs $(JOBS)) $(ARGS)

prove: compiled  ## every promise, attacked; ARGS="--long --only kills" for one in its long form
	$(BIN)/python -m tests.prove $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev  ## the directions of the imports
	$(BIN)/lint-imports

wheel: $(VENV)/.dev  ## build the wheel, twice and the same, then test what is installed instead of the tree
	$(BIN)/python tools/wheel_check.py $(ARGS)

sbom: $(VENV)/.supply  ## the bill of materials of what is shipped, CycloneDX, into dist/
	$(BIN)/python -m tools.sbom

build/sqlite/libsqlite3.so.0: installer/sqlite/build.py
	$(PYTHON) installer/sqlite/build.py linux build/sqlite

binary: $(PACKED)/.package build/sqlite/libsqlite3.so.0  ## the program with its own Python in one folder, dist/flash-agent/
	PATH="$(CURDIR)/$(PACKED)/bin:$$PATH" $(DATED) PYTHONHASHSEED=1 FLASH_AGENT_SQLITE=build/sqlite/libsqlite3.so.0 \
	  $(PACKED)/bin/python -m PyInstaller --noconfirm --log-level ERROR --distpath $(OUT) --workpath $(WORK) installer/flash-agent.spec

build/pages/flash-agent.1: $(PACKED)/.package installer/linux/pages.py $(wildcard agent/cli/*.py agent/cli/commands/*.py)
	mkdir -p build/pages
	$(DATED) PYTHONPATH=. $(PACKED)/bin/python installer/linux/pages.py bash > build/pages/flash-agent.bash
	$(DATED) PYTHONPATH=. $(PACKED)/bin/python installer/linux/pages.py man > $@

deb: binary build/pages/flash-agent.1 $(VENV)/.supply  ## the package for Debian and Ubuntu, dist/flash-pos-agent_VERSION_amd64.deb
	$(DATED) $(PYTHON) installer/linux/deb.py
	$(BIN)/python -m tools.program_sbom $(PACKED)/bin/python

windows: $(VENV)/.dev  ## the Windows program and its installers, under Wine, into dist/
	$(BIN)/python -m installer.windows.build $(ARGS)

packages: deb compiled  ## the packages, built, installed, upgraded and removed on machines of their own
	FLASH_TEST_PROGRAM=$(CURDIR)/dist/flash-agent/flash-agent $(BIN)/python -m pytest -n 3 --dist worksteal $(PROGRAM_TESTS)
	$(BIN)/python -m pytest -p no:randomly tests/packaging/linux $(ARGS)
	$(BIN)/python -m pytest -p no:randomly -n 2 --dist loadfile tests/packaging/windows -m "not unsteady" $(ARGS)

installers: windows  ## what the Windows installers do when something fails, and their windows; unsteady under Wine
	$(BIN)/python -m pytest -p no:randomly -n 2 --dist loadfile tests/packaging/windows -m unsteady $(ARGS)

audit: $(VENV)/.supply  ## known vulnerabilities of all that is locked; fails where the advisory service cannot be asked
	$(BIN)/python -m tools.audit $(ARGS)

bench: compiled $(VENV)/.bench $(STORE)/.run  ## the figures of the README, side by side in one run; writes benchmarks/results.md
	$(BIN)/python -m benchmarks $(ARGS)

lock: $(VENV)/.dev  ## renew the lock files from pyproject.toml
	$(BIN)/python tools/lock.py

clean:
	rm -rf $(VENV) $(STORE) $(PACKED) .wheel-venv dist build
