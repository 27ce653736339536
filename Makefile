# The one entry point. `make help` lists what it can do; CI calls the same targets.

CARGO ?= cargo
FEATURES = --features pilotlight/aws,pilotlight-aws/sdk,pilotlight-lambda/aws
AWS = --package pilotlight --package pilotlight-aws --package pilotlight-lambda $(FEATURES)
# Tests that want these fail where they are missing; all others are skipped with a reason. Empty: every one is skipped.
export PILOTLIGHT_REQUIRE ?= etcd,moto,postgres
# CI has asked it already when it comes to test-aws.
TERRAFORM ?= scripts/test-terraform.sh
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help demo build test lint lint-all fmt tidy bench simulate docs clean tools postgres engines test-aws build-aws-tests test-terraform moto

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | \
		while IFS="$$(printf '\t')" read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

demo: tools postgres build ## lose a region on real PostgreSQL and be back (ARGS="--fault agent" for variants)
	@$(TARGET_DIR)/release/pilotlight demo $(ARGS)

build: tools ## build the release binary
	@$(CARGO) build --release --locked --package pilotlight

# Tests mostly wait, for leases and servers: one more than there are processors.
test: export RUST_TEST_THREADS ?= $(shell expr $$(nproc 2>/dev/null || echo 1) + 1)
test: tools postgres engines ## run every test, those on real PostgreSQL included
	PATH="$$PATH:$(abspath $(TARGET_DIR))/moto/bin" $(CARGO) test --workspace --locked $(ARGS)

test-aws: tools moto ## run the tests of AWS drivers, of the function and of Terraform, offline
	$(CARGO) test --locked $(AWS) --lib $(ARGS)
	# These mostly wait for the phases of the test server.
	RUST_TEST_THREADS=4 $(CARGO) test --locked $(AWS) --test aws --test lambda $(ARGS)
	# Each has a server of its own in Python, and waits five seconds for an answer.
	RUST_TEST_THREADS=3 $(CARGO) test --locked $(AWS) --test server $(ARGS)
	@$(TERRAFORM)

build-aws-tests: tools moto # what takes longest of the above; no binary, so that tests of the other one may run
	$(CARGO) test --locked $(AWS) --lib --no-run

test-terraform: ## test the Terraform modules with mocked providers, where terraform is installed
	@$(TERRAFORM)

lint: tools ## check formatting, clippy with warnings as errors, and tidy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	$(CARGO) xtask tidy

lint-all: tools ## clippy with the drivers of AWS too; they take minutes to build the first time
	$(CARGO) clippy --workspace --all-targets --locked $(FEATURES) -- --deny warnings

fmt: tools ## format the code
	$(CARGO) fmt --all

tidy: tools ## check the rules of the house that the compiler does not know
	$(CARGO) xtask tidy

bench: tools postgres ## measure failover and engine (minutes; needs a quiet machine)
	$(CARGO) xtask bench engine
	$(CARGO) xtask bench failover

simulate: tools ## live through 10,000 seeded worlds (ARGS="--first S --seeds N" for others)
	$(CARGO) run --release --locked --package xtask -- simulate $(ARGS)

docs: tools ## build the documentation of the crates
	$(CARGO) doc --workspace --no-deps --locked

clean: ## remove what was built
	$(CARGO) clean

tools: # say what is missing before a build fails half-way
	@scripts/check-tools.sh

postgres: # find PostgreSQL 15 or newer, or install it
	@scripts/ensure-postgres.sh

engines: # find etcd and moto for the tests of several controllers, or install them
	@scripts/ensure-engines.sh

moto: # make the Python environment of the AWS test server
	@scripts/ensure-moto.sh
