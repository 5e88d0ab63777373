# Kamailio's dispatcher module in Rust. `make` alone prints what can be made.

CARGO ?= cargo
PREFIX ?= /usr/local
# Where `make install` puts the module: a directory of its own, never the server's.
MODULE_DIR ?= $(PREFIX)/lib/kamailio-rust/modules
# The loadable module, and one whose script function panics on purpose (for one test).
MODULE := target/release/dispatcher.so
PROBE := target/probe/dispatcher.so
CHECKER := target/release/kamailio-dispatcher-check

export CARGO_TARGET_DIR ?= $(CURDIR)/target
export DISPATCHER_SO := $(CURDIR)/$(MODULE)
export DISPATCHER_PROBE_SO := $(CURDIR)/$(PROBE)

# The server's own modules; asked when used, because `setup` may just have installed them.
SERVER_MODULES = $${KAMAILIO_MODULES:-$$(dirname "$$(ls -d /usr/lib/*/kamailio/modules/tm.so \
	/usr/lib*/kamailio/modules/tm.so /usr/local/lib*/kamailio/modules/tm.so 2>/dev/null | head -n 1)")}

# The product is built by older Rusts, but three parts of the tests need a newer one. Empty where Rust is older.
RECENT_RUST := 1.95
RECENT := $(shell $(CARGO) --version 2>/dev/null | awk '{ print $$2; print "$(RECENT_RUST)" }' | sort -V | \
	head -n 1 | grep -Fx '$(RECENT_RUST)')
# Says why a part is not tested where Rust is older, and counts it as skipped: name of the part, reason.
older = @echo "$(1): $(2)"; printf '$(1)\tall\tall\ta recent Rust\t$(2)\n' >>"$${SKIPS:-/dev/null}"

.PHONY: help setup setup-tests headers build probe checker install deb release server test-deb test-container demo test \
	test-one test-unit test-seam test-server test-parity book docs-check test-fuzz test-simulator simulate models \
	models-full test-matrix test-aarch64 \
	supply reproducible \
	prove lint cluster limits bench bench-compare bench-live bench-growth bench-calls bench-traffic bench-hostile bench-ping \
	bench-domain bench-all farm passive torture garbage race fuzz miri tsan test-miri asan valgrind clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install the distribution's packages that the other targets need (apt, sudo)
	@sh kamailio-glue/setup.sh

setup-tests: setup ## install what the tests need besides: drivers, databases, a browser, kamcli, Lua, Python, TLS, IMS
	@sh kamailio-glue/setup.sh tests
	@sh tests/harness/axe.sh

headers: setup ## fetch the installed server's headers into target/kamailio-src
	@[ -n "$$KAMAILIO_SRC" ] || sh kamailio-glue/headers.sh target/kamailio-src

# No path of this machine is in the module: two checkouts give the same one. The last prefix that fits counts.
REMAPPED = RUSTFLAGS="$$RUSTFLAGS --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=cargo \
	--remap-path-prefix=$(CARGO_TARGET_DIR)=target --remap-path-prefix=$(CURDIR)=."

build: headers ## build the module: target/release/dispatcher.so
	$(REMAPPED) $(CARGO) build --locked --release --features kamailio
	@mkdir -p $(dir $(MODULE))
	@cp $(CARGO_TARGET_DIR)/release/libdispatcher.so $(MODULE).new && mv $(MODULE).new $(MODULE)

# After `build`: cargo leaves both at one place. Built quickly, because only one test has it.
probe: build
	$(REMAPPED) CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		$(CARGO) build --locked --release --features kamailio,panic-probe
	@mkdir -p $(dir $(PROBE))
	@cp $(CARGO_TARGET_DIR)/release/libdispatcher.so $(PROBE)

checker: setup ## build the offline checker of list files: target/release/kamailio-dispatcher-check
	$(REMAPPED) $(CARGO) build --locked --release -p dispatcher-check
	@mkdir -p $(dir $(CHECKER))
	@[ $(CARGO_TARGET_DIR)/release/$(notdir $(CHECKER)) -ef $(CHECKER) ] || \
		cp $(CARGO_TARGET_DIR)/release/$(notdir $(CHECKER)) $(CHECKER)

install: ## install the module into its own directory, and the checker (PREFIX, DESTDIR, MODULE_DIR)
	@[ -f $(MODULE) ] || $(MAKE) build
	@[ -f $(CHECKER) ] || $(MAKE) checker
	@[ ! -e $(DESTDIR)$(MODULE_DIR)/tm.so ] || \
		{ echo "$(MODULE_DIR) is the server's own: choose another MODULE_DIR" >&2; exit 1; }
	install -D -m 644 $(MODULE) $(DESTDIR)$(MODULE_DIR)/dispatcher.so
	install -D -m 755 $(CHECKER) $(DESTDIR)$(PREFIX)/bin/$(notdir $(CHECKER))
	strip --strip-unneeded $(DESTDIR)$(MODULE_DIR)/dispatcher.so $(DESTDIR)$(PREFIX)/bin/$(notdir $(CHECKER))
	@echo "In kamailio.cfg, before loadmodule: mpath=\"$(MODULE_DIR):$(SERVER_MODULES)\""

deb: setup ## build the Debian package, with a module for each server (KAMAILIO_SRC, KAMAILIO_MODULES: one more server)
	@sh kamailio-glue/setup.sh deb
	@MAKE="$(MAKE)" CARGO="$(CARGO)" sh debian/build.sh

release: setup ## put a release together in target/release-VERSION: sources, packages, bill of materials, checksums
	@sh kamailio-glue/setup.sh deb
	@MAKE="$(MAKE)" CARGO="$(CARGO)" sh debian/release.sh

# A tree that is built: KAMAILIO_SRC, KAMAILIO_BIN, and KAMAILIO_MODULES with its tm.so.
server: ## prove a new release of Kamailio with the matrix, and add its build to the package (VERSION=6.1.4)
	@"$${KAMAILIO_BIN:?names the program of that server}" -v | grep -q -F "kamailio $(VERSION) (" || \
		{ echo "server: $$KAMAILIO_BIN is not kamailio $(VERSION)" >&2; exit 1; }
	@$(MAKE) --no-print-directory test-matrix MATRIX_SUITES=
	@$(MAKE) --no-print-directory deb

test-deb: deb ## install the Debian package in clean systems of bookworm and trixie (needs root)
	@sh tests/package/run.sh

test-container: setup ## build the image of contrib/container with buildah, and run it (needs root; after make deb)
	@sh kamailio-glue/setup.sh container
	@[ -n "$$(ls target/deb/kamailio-dispatcher-rust_*.deb 2>/dev/null)" ] || $(MAKE) --no-print-directory deb
	@sh tests/package/container.sh

demo: build ## balance calls over three destinations, one of which is killed half-way (PAGE=1: then show the page)
	@$(CARGO) run --quiet -p dispatcher-programs --bin demo

test: ## run everything that must pass
	@MAKE="$(MAKE)" sh tests/run.sh

test-one: ## run the tests with T in their name, wherever they are (make test-one T=a_cancelled_call_ends)
	@MAKE="$(MAKE)" CARGO="$(CARGO)" sh tests/one.sh "$(T)"

# The feature is that of the other tests: so nothing is built twice.
test-unit: ## test the domain and the shared memory; needs no Kamailio
	$(CARGO) test --features server-tests --lib --test differences --test documents --test layout --test supply --test argument
	$(CARGO) test -p dispatcher-check

models: ## explore models of the shared memory with loom and shuttle, as far as fits into a minute (doc/dev/models.md)
ifeq ($(RECENT),)
	$(call older,models,loom and shuttle need Rust $(RECENT_RUST))
else
	$(CARGO) test --features server-tests,models --lib shm::tests::models:: -- --nocapture
endif

models-full: ## explore those models with more preemptions, and try what is said to make no difference
	MODELS=full CARGO_PROFILE_TEST_OPT_LEVEL=2 \
		$(CARGO) test --features server-tests,models --lib shm::tests::models:: -- --nocapture

test-seam: headers ## test what in the seam needs the server's headers, but no server
ifeq ($(RECENT),)
	$(call older,seam,an older cargo links the tests of the seam with libraries of the server)
else
	$(CARGO) test --features server-tests,kamailio --lib kamailio::
endif

# These tests mostly wait, so more of them run than there are processors.
test-server test-parity test-matrix asan: export RUST_TEST_THREADS ?= 4

# The checker gets all lists that the tests write.
test-server: KEEP_LISTS := $(CURDIR)/target/lists
test-server: setup-tests probe ## test the module inside the real Kamailio
	rm -rf $(KEEP_LISTS)
	KEEP_LISTS=$(KEEP_LISTS) $(CARGO) test --features server-tests --test server
	$(CARGO) test -p dispatcher-programs --bin garbage --bin cluster
	KEEP_LISTS=$(KEEP_LISTS) $(CARGO) test -p dispatcher-check --features dispatcher-check/server-tests --test server \
		-- --nocapture

test-parity: setup-tests build ## compare the module with the packaged C module (PARITY_SEED: other random cases)
	$(CARGO) test --features server-tests --test parity

book: ## make the manual as one page, target/book/dispatcher.html, and as man pages, target/man (needs pandoc)
	@sh kamailio-glue/setup.sh docs
	@sh doc/book/make.sh

docs-check: setup-tests build book ## run every example of the manual, and hold its names against the code (PAGE=: one page)
	$(CARGO) test -p dispatcher-check --no-run
	PATH="$(CARGO_TARGET_DIR)/debug:$$PATH" $(CARGO) test --features server-tests --test documents --test manual

test-fuzz: ## run the fuzz targets on mutated inputs (FUZZ_INPUTS=, FUZZ_SEED=, FUZZ_TARGET=: others)
	$(CARGO) test --profile fuzz -p dispatcher-fuzz

test-simulator: ## run 10,000 seeds of the simulated cluster, and show that wrong rules are found
	$(CARGO) test --profile fuzz -p dispatcher-simulator

# SEEDS=, FROM=: which ones. NODES=: with this many nodes. TRACE=1: says what happens.
simulate: ## run many seeds of the simulated cluster (SEEDS=100000, FROM=0, NODES=, TRACE=1); with DESTINATIONS=100000 what 100 nodes send
	$(CARGO) run --quiet --profile fuzz -p dispatcher-simulator --bin simulate

supply: headers ## check other people's crates: licences, versions, advisories; write a bill of materials
	@CARGO="$(CARGO)" sh tests/supply/run.sh

reproducible: setup ## make a release in two clones with different paths, and compare the bytes
	@sh kamailio-glue/setup.sh deb
	@MAKE="$(MAKE)" sh tests/supply/reproducible.sh

test-miri: ## run a part of the tests with threads under Miri (skipped where there is none)
	@CARGO="$(CARGO)" sh tests/programs/threads/miri.sh quick

# One after the other, whatever becomes of one.
prove: ## run what takes longer than `make test`: all of the matrix, aarch64, models, Miri, TSan, ASan, torture, supply ...
	@rm -f target/supply/unchecked
	@failed=; for part in supply reproducible test-deb test-container test-matrix test-aarch64 models-full fuzz miri tsan asan \
			torture garbage race cluster limits passive valgrind; do \
		echo "== $$part"; $(MAKE) --no-print-directory $$part || failed="$$failed $$part"; done; \
		[ ! -s target/supply/unchecked ] || echo "prove: not checked here: $$(paste -s -d , target/supply/unchecked)"; \
		[ -z "$$failed" ] || { echo "prove: failed:$$failed" >&2; exit 1; }

# Fetched servers, and where KAMAILIO_SRC and KAMAILIO_BIN are set, that one too: doc/dev/versions.md.
test-matrix: setup-tests ## test with the servers of other distribution suites; QUICK=1: a part of it
	@CARGO="$(CARGO)" sh tests/programs/matrix/run.sh

test-aarch64: ## run the unit and shared-memory tests for aarch64, under qemu
	@CARGO="$(CARGO)" sh tests/programs/matrix/aarch64.sh

lint: headers ## check format and clippy, with and without the seam
	@if $(CARGO) fmt --version >/dev/null 2>&1; then set -x; $(CARGO) fmt --all --check; \
		else echo "lint: no rustfmt here, format not checked"; fi
ifeq ($(RECENT),)
	$(call older,lint,the lints are those of Rust $(RECENT_RUST))
else
	@if $(CARGO) clippy --version >/dev/null 2>&1; then set -x; \
		$(CARGO) clippy --all-targets \
			--features dispatcher/server-tests,dispatcher/models,dispatcher/sanitizers,dispatcher-fuzz/libfuzzer,dispatcher-check/server-tests \
			-p dispatcher -p dispatcher-check -p dispatcher-harness -p dispatcher-programs -p dispatcher-fuzz -p dispatcher-simulator \
			-- -D warnings && \
		$(CARGO) check -p dispatcher-bench --benches && \
		$(CARGO) clippy --release --lib --features kamailio,panic-probe,sanitizers -- -D warnings && \
		$(CARGO) clippy --release --lib --features kamailio,memcheck -- -D warnings; \
		else echo "lint: no clippy here, lints not checked"; fi
endif

BENCH = $(CARGO) run --quiet -p dispatcher-programs --bin bench --
bench-all: CALLS ?= million

# CASES="alg4 mark*" takes single cases (keys are in doc/dev/reports/bench.md) and writes nothing.
# DISPATCHER_SO=path/dispatcher.so measures another build of the module. ALLOCATOR=qm (or fm) gives each part but
# bench-live, which has all three, another allocator than tlsf; PARAMETER=counters=2 sets a parameter of our module (of a
# comparison: of the build under test). The part is then only printed.
bench: build ## measure the instructions of calls beside the packaged C module (CASES="alg4 ...": only these)
	@$(BENCH) $(if $(CASES),only $(CASES),instructions)

# PART=live or growth compares that part; CASES takes single cases.
bench-compare: build ## print the rows that differ by more than 3 % from another build (BASE=path/dispatcher.so)
	@[ -n "$(BASE)" ] || { echo "bench-compare: BASE=path/to/the/other/dispatcher.so" >&2; exit 1; }
	@$(BENCH) compare $(BASE) $(or $(PART),instructions) $(CASES)

bench-live: build ## measure start, reload, edits, memory and list output of lists up to 100,000 destinations
	@$(BENCH) live

bench-growth: build ## measure picks with more destinations, sets and workers
	@$(BENCH) growth

bench-calls: build ## measure call load with 100,000 calls up (CALLS=million: 1,000,000)
	@$(BENCH) calls $(CALLS)

bench-hostile: build ## measure what hostile peers cost (SECONDS=300: how long they flood each module)
	@$(BENCH) hostile $(SECONDS)

farm: setup-tests build ## calls lost while one of four destinations fails, with passive health, pings, and the C module
	@DISPATCHER_SO=$(MODULE) $(CARGO) test --features server-tests --test server four_destinations -- --ignored --nocapture

bench-traffic: build ## measure what calls through a proxy cost
	@$(BENCH) traffic

bench-ping: build ## measure how fast silence is seen, and what 5,000 pinged destinations cost
	@$(BENCH) ping

bench-domain: ## measure the domain alone with criterion, without a server
	$(CARGO) bench -p dispatcher-bench
	@$(BENCH) domain

# One after the other, whatever becomes of one: each needs the machine for itself.
bench-all: build ## take all figures of doc/dev/reports/bench.md (CALLS=: with 100,000 calls up, not 1,000,000)
	@failed=; for part in bench bench-live bench-growth bench-traffic bench-ping bench-domain bench-calls bench-hostile; do \
		echo "== $$part"; $(MAKE) --no-print-directory $$part CASES= CALLS=$(CALLS) || failed="$$failed $$part"; done; \
		[ -z "$$failed" ] || { echo "bench-all: failed:$$failed" >&2; exit 1; }

torture: setup-tests build ## faults of all kinds under load, beside a model (TORTURE_SECONDS, default 600; TORTURE_SEED)
	@$(CARGO) run --quiet -p dispatcher-programs --bin torture

limits: setup-tests build ## hold the limits of destinations five times, with bursts, rates and loads that take minutes
	@for n in 1 2 3 4 5; do ADMISSION_BURSTS=60 ADMISSION_SECONDS=30 ADMISSION_CALLS=2000 \
		$(CARGO) test --features server-tests --test server admission:: -- --nocapture || exit 1; done

passive: setup-tests build ## watch a million calls, after which shared memory is as before (CALLS=100000: fewer); times of ejections; slow start by the second
	@PASSIVE_CALLS=$(or $(CALLS),1000000) $(CARGO) test --features server-tests --test server passive:: -- --nocapture
	@$(CARGO) test --features server-tests --test server -- --ignored --nocapture ejections_end each_second

garbage: setup-tests build ## garbage from callers, operators, scripts, DNS, databases (GARBAGE_SECONDS, default 300; GARBAGE_SEED)
	@$(CARGO) run --quiet -p dispatcher-programs --bin garbage

race: build ## let reloads and edits meet calls, in the C module and in ours (RACE_SECONDS, default 60)
	@$(CARGO) run --quiet -p dispatcher-programs --bin race

# The row of two releases needs what `make test-matrix` fetches and builds.
cluster: setup-tests build ## run three and five servers as one dispatcher, at a switch that loses and cuts (ROWS=killed,split: these; ROWS=hour: everything at random)
	@$(CARGO) run --quiet -p dispatcher-programs --bin cluster

# An input that breaks a rule is kept, and run again by TARGET=name INPUT=file: doc/dev/fuzzing.md.
fuzz: ## fuzz what is read from text, with coverage (TARGET=: one, SECONDS=60: each; needs rustup's nightly and g++)
	@CARGO="$(CARGO)" TARGET="$(TARGET)" INPUT="$(INPUT)" SECONDS_EACH="$(SECONDS)" sh tests/fuzz/run.sh

# What each sees, and what it does not: doc/dev/threads.md.
miri: ## run the tests of the shared memory under Miri, those with threads by MIRI_SEEDS (8) seeds (needs rustup's nightly with miri)
	@CARGO="$(CARGO)" sh tests/programs/threads/miri.sh

tsan: ## run the shared-memory tests under ThreadSanitizer, SHM_ROUNDS (10) times as long (needs rustup's nightly)
	@CARGO="$(CARGO)" sh tests/programs/threads/tsan.sh

# T=name: only the server tests with it in their name.
asan: setup-tests headers ## run the unit and server tests with AddressSanitizer, UndefinedBehaviorSanitizer and overflow checks
	@sh kamailio-glue/setup.sh sanitizers
	@CARGO="$(CARGO)" sh tests/asan.sh $(T)

# Not under memcheck: limits::memory denies processes address space, which memcheck needs for itself; the server of
# a_directory_that_can_only_be_written_to runs as a user who cannot write memcheck's logs; those of held stop a process
# anywhere, and under memcheck that is often while it holds a lock of the server's own; serving_cscf copies, before it calls
# the module, a message that another process has left in shared memory.
MEMCHECK_SKIP := limits::memory a_directory_that_can_only_be_written_to \
	held::a_reader_that_is_stopped held::a_writer_that_is_stopped serving_cscf

# Memcheck looks at one process, so this build tells it what others have written: doc/dev/sanitizers.md.
valgrind: export DISPATCHER_SO := $(CURDIR)/target/memcheck/dispatcher.so
valgrind: setup-tests probe ## run the demo and the server tests with the server under memcheck (T=name: these tests)
	$(REMAPPED) $(CARGO) build --locked --release --features kamailio,memcheck
	@mkdir -p $(dir $(DISPATCHER_SO))
	@cp $(CARGO_TARGET_DIR)/release/libdispatcher.so $(DISPATCHER_SO)
	$(if $(T),,VALGRIND=1 $(CARGO) run --quiet -p dispatcher-programs --bin demo)
	VALGRIND=1 $(CARGO) test --features server-tests --test server -- $(T) $(MEMCHECK_SKIP:%=--skip %)

clean: ## remove all that was built
	$(CARGO) clean
	rm -rf target
