.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCKED := dev audit joblib submitit optuna onnx app peft static llm
# Digests are no secrets, nor is what tests and examples call one.
NO_SECRETS := --exclude-lines '"git_commit": "[0-9a-f]{12}"|sha256="[0-9a-f]{64}"|fingerprint\(.* == "[0-9a-f]+"' \
  --exclude-secrets '^(pw|qzx.*|hf_qzx.*|password|REDACTED|hidden|a long random text|only for this test.*|correct-horse.*)$$'

.PHONY: help demo test test-slow torture calibration benchmark bench bench-long lint secrets audit ui serve app lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(INSTALLED): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(INSTALLED) ## Set up, then compare four models on the bundled reviews, offline
	HF_HUB_OFFLINE=1 $(BIN)/python -m textclf.run study=quickstart
	@echo 'before those commands, once in a shell: . $(BIN)/activate'

test: $(INSTALLED) ## Set up, then run the tests; no network but loopback
	$(BIN)/python -m pytest

test-slow: $(INSTALLED) ## Run the tests that take minutes
	$(BIN)/python -m pytest -m slow -n 0

torture: $(INSTALLED) ## Kill, starve, confuse and attack it for some hours, and count what is lost
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.reliability.torture

calibration: $(INSTALLED) ## Simulate how often the tests of a comparison are wrong (20 minutes)
	$(BIN)/python experiments/calibration.py --write experiments/results/calibration.md

benchmark: $(INSTALLED) ## Time a comparison of 200 runs with 25,000 test predictions each
	$(BIN)/python experiments/comparison_benchmark.py

bench: $(INSTALLED) ## Time textclf beside the programs that it would replace (an hour and more)
	$(BIN)/python -m experiments.benchmarks all

bench-long: $(INSTALLED) ## The same with more rows, seeds and sizes (hours)
	$(BIN)/python -m experiments.benchmarks all --long

lint: $(INSTALLED) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

secrets: $(INSTALLED) ## Look for secrets in the tracked files
	@git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --no-verify $(NO_SECRETS) >&2
	@echo 'no secrets in the tracked files'

audit: $(INSTALLED) ## Look for secrets in the tracked files and, on the network, for known holes in what is locked
	@$(MAKE) --no-print-directory secrets || secrets=found; \
	said=$$($(BIN)/pip-audit --strict --progress-spinner off --no-deps --disable-pip -r requirements.lock 2>&1); \
	found=$$?; echo "$$said" | grep -v '^WARNING'; \
	case "$$found$$said" in \
	  0*) test -z "$$secrets" ;; \
	  *'could not be audited'*|*ConnectionError*|*ServiceError*|*'Failed to'*) \
	    echo 'make audit: the service of known vulnerabilities (pypi.org) could not be asked, so nothing is known of the' \
	      'locked versions. Run it where there is a network.' >&2; exit 1 ;; \
	  *) echo 'make audit: a locked version has a known hole; see above.' >&2; exit 1 ;; \
	esac

ui: $(INSTALLED) ## Browse the runs of ./mlruns in MLflow, at the address that it says
	$(BIN)/python -m textclf.ui

serve: $(INSTALLED) ## Serve MODEL, by default models:/reviews@champion, at http://127.0.0.1:5001
	@$(BIN)/python -c 'import textclf.system.exits as e, textclf.tracking.mlflow.store as s; e.cli_errors()(s.store_to_read)(None)'
	MLFLOW_TRACKING_URI=$${MLFLOW_TRACKING_URI:-sqlite:///mlruns/mlflow.db} MLFLOW_DISABLE_TELEMETRY=true \
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false \
	MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false \
	PATH=$(abspath $(BIN)):$$PATH mlflow models serve -m $(or $(MODEL),models:/reviews@champion) \
	  --env-manager local --host 127.0.0.1 --port 5001

app: $(INSTALLED) ## Show the runs of ./outputs at http://127.0.0.1:8501
	$(BIN)/python -m textclf.app

lock: $(INSTALLED) ## Write requirements.lock again from pyproject.toml
	@# The CUDA packages are left out: torch itself names them exactly where its build needs them. So is the
	@# extra ray, which wants older versions of packages that the others share.
	echo 'torch==2.13.0' | $(BIN)/uv pip compile pyproject.toml $(LOCKED:%=--extra %) --python-version 3.11 \
	  --constraint - --no-header --no-annotate --quiet --output-file requirements.lock
	sed -i -E '/^(nvidia-|cuda-|triton)/d; s/\+cpu//' requirements.lock

clean: ## Remove the environment; outputs/ and mlruns/ stay
	rm -rf $(VENV) dist build
