# Each target works by itself on a fresh machine with Python 3.11+, git and make.
.PHONY: demo test pictures bite vectors charts soak lint bench docs sbom format lock
.DEFAULT_GOAL := test

BIN := .venv/bin
# Most tests wait for brokers and clouds: two for each core keep it at work.
WORKERS ?= $(shell expr 2 '*' $$(nproc))

.venv/.demo: requirements.lock pyproject.toml
	.ci/venv requirements.lock
	touch $@

.venv/.test: requirements-test.lock pyproject.toml
	.ci/venv requirements-test.lock
	touch $@ .venv/.demo

.venv/.vectors: .venv/.test requirements-vectors.lock
	.ci/venv requirements-vectors.lock
	touch $@

.venv/.charts: .venv/.test requirements-charts.lock
	.ci/venv requirements-charts.lock
	touch $@

# The peers that the benchmarks measure against stay out of the product's own environment.
.venv-bench/.bench: requirements-bench.lock pyproject.toml
	.ci/venv requirements-bench.lock .venv-bench
	touch $@

demo: .venv/.demo
	$(BIN)/rotation-worker demo

test: .venv/.test
	.ci/services
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

# The pictures of the status page that the README shows, of what the tests look at.
pictures: .venv/.test
	.ci/services
	$(BIN)/python -m tests.web.pictures

# Makes every fault of tests/bite in a copy of the worker, and asks whether its test fails. BITE_ARGS: names of single ones.
bite: .venv/.test
	.ci/services
	$(BIN)/python -m tests.bite $(BITE_ARGS)

lint: .venv/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Figures go to benchmarks/results.json. BENCH_ARGS: names of single ones, --quick.
bench: .venv-bench/.bench
	.ci/services
	.venv-bench/bin/python -m benchmarks $(BENCH_ARGS)

# cryptography's own test vectors (56 MB) through everything that reads certificates and keys: docs/conformance.md. Once
# they are there, `make test` has them too.
vectors: .venv/.vectors
	$(BIN)/python -m pytest tests/bad_inputs/test_vectors.py $(PYTEST_ARGS)

# The manifests and the chart against Helm and Kubernetes' schemas (97 MB). Once they are there, `make test` has them too.
charts: .venv/.charts
	$(BIN)/python -m pytest tests/deploy/test_kubernetes.py tests/deploy/test_chart.py $(PYTEST_ARGS)

# Everything broken at random under load, and the books at the end. MINUTES, SEED, NODES=3 for a cluster, SOAK_ARGS.
MINUTES ?= 10
NODES ?= 1
soak: .venv/.test
	.ci/services
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --nodes $(NODES) $(if $(SEED),--seed $(SEED)) $(SOAK_ARGS)

# What is made from code among the documents: settings, metrics, AsyncAPI, schemas, bad inputs. A test fails where they are stale.
docs: .venv/.test
	$(BIN)/python -m tests.docs

# What the product is made of, with hashes, licences and what needs what: CycloneDX, at build/sbom.cdx.json.
sbom: .venv/.test
	mkdir -p build
	$(BIN)/python .ci/sbom.py build/sbom.cdx.json

format: .venv/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Run after a change of the dependencies in pyproject.toml; needs uv.
lock:
	uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock
	uv pip compile pyproject.toml --extra build --extra test --extra tracing --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements-test.lock
	uv pip compile pyproject.toml --extra build --extra test --extra bench --extra uvloop --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements-bench.lock
