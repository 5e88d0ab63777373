#!/bin/sh
# Runs the unit tests of the shared memory under Miri, those with threads by many seeds, and then the deliberate faults,
# each of which must be reported. The domain forbids unsafe code: Miri has nothing to find there, and takes hours.
#
#     MIRI_SEEDS=N miri.sh
#     miri.sh quick
#
# Each seed gives another schedule, other old values where the memory order allows them, and other addresses. Miri
# checks borrows by both models, Stacked Borrows and Tree Borrows, and allows no pointer that is made from an integer
# (strict provenance). It isolates the tests from the machine, so the same seed always gives the same run.
#
# `quick` is the part that `make test` runs. If Miri is not installed, that part counts as skipped, and any other use
# ends with status 2 and one sentence.
set -eu

cd "$(dirname "$0")/../../.."
cargo=${CARGO:-cargo}
seeds=${MIRI_SEEDS:-8}
# shellcheck source=tests/programs/threads/faults.sh
. tests/programs/threads/faults.sh

# Runs tests with more flags of Miri ($1) and the arguments of tests.
tests_with() {
	flags=$1
	shift
	MIRIFLAGS="-Zmiri-strict-provenance $flags" "$cargo" +nightly miri test --lib -- "$@"
}

# Runs tests as above, whose arguments are names, and fails if no test has one of the names: it may have been renamed.
named() {
	log=target/miri.log
	mkdir -p target
	{ tests_with "$@" 2>&1 && echo passed >$log.end || echo failed >$log.end; } | tee $log
	shift
	[ "$(cat $log.end)" = passed ] || return 1
	for name; do
		grep -q "^test .*$name.* ok$" $log || { echo "miri: no test has $name in its name" >&2; return 1; }
	done
}

if ! "$cargo" +nightly miri --version >/dev/null 2>&1; then
	echo "miri: first run: rustup toolchain install nightly --component miri,rust-src" >&2
	[ "${1:-}" = quick ] || exit 2
	printf 'miri\tthreads::queues\tall\tMiri\tno nightly toolchain with Miri\n' >>"${SKIPS:-/dev/null}"
	exit 0
fi
# The first use builds the standard library for Miri.
setup=$("$cargo" +nightly miri setup 2>&1) || {
	echo "miri: cannot build the standard library for Miri: $(echo "$setup" | tail -n 1)" >&2
	exit 2
}
if [ "${1:-}" = quick ]; then
	named "" threads::queues threads_look_for_addresses_while_others_edit threads_count_move_and_end_calls
	exit
fi

# Runs a command under a heading, and says how long it took.
phase() {
	echo "== $1"
	begin=$(date +%s)
	shift
	"$@"
	took=$(($(date +%s) - begin))
	echo "miri: took $((took / 60)) min $((took % 60)) s"
}

more=$((seeds / 4 + 1))
phase "shared memory without threads, Stacked Borrows" tests_with "" --skip threads:: --skip dispatch::
phase "threads, $seeds seeds, Stacked Borrows" named "-Zmiri-many-seeds=0..$seeds" threads::
phase "threads, $more more seeds that switch at every tenth step, Stacked Borrows" \
	named "-Zmiri-many-seeds=1000..$((1000 + more)) -Zmiri-preemption-rate=0.1" threads::
phase "shared memory, Tree Borrows" named -Zmiri-tree-borrows shm::
# A fault leaves its memory behind; that is not what must be reported. Some need more switches than Miri makes by itself.
tests() {
	tests_with "-Zmiri-many-seeds=0..8 -Zmiri-ignore-leaks" "$@" &&
		tests_with "-Zmiri-many-seeds=0..8 -Zmiri-ignore-leaks -Zmiri-preemption-rate=0.1" "$@"
}
phase "deliberate faults" expect_faults miri 'Undefined Behavior: .*'
