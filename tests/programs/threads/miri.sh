#!/bin/sh
# Runs the unit tests of the domain and of the shared memory under Miri, those with threads by many seeds, and then the
# deliberate faults, each of which must be reported.
#
#     MIRI_SEEDS=N miri.sh
#     miri.sh quick
#
# Each seed is another schedule, other old values that weak orders may give, and other addresses. Borrows are checked
# by both models, Stacked Borrows and Tree Borrows, and no integer becomes a pointer (strict provenance). Isolated from
# the machine, whose clock and load change nothing: a seed always does the same.
#
# `quick` is the part that `make test` runs. Without Miri it is skipped, and counted as that; everything else ends with
# status 2 and one sentence.
set -eu

cd "$(dirname "$0")/../../.."
cargo=${CARGO:-cargo}
seeds=${MIRI_SEEDS:-8}
# shellcheck source=tests/programs/threads/faults.sh
. tests/programs/threads/faults.sh

# Runs tests: flags of Miri besides, arguments of the tests.
tests_with() {
	flags=$1
	shift
	MIRIFLAGS="-Zmiri-strict-provenance $flags" "$cargo" +nightly miri test --lib -- "$@"
}

# The standard library for Miri is built with the first use.
if ! "$cargo" +nightly miri setup >/dev/null 2>&1; then
	echo "miri: first run: rustup toolchain install nightly --component miri,rust-src" >&2
	[ "${1:-}" = quick ] || exit 2
	printf 'miri\tthreads::queues\tall\tMiri\tno nightly toolchain with Miri\n' >>"${SKIPS:-/dev/null}"
	exit 0
fi
if [ "${1:-}" = quick ]; then
	tests_with "" threads::queues threads_look_for_addresses_while_others_edit threads_count_move_and_end_calls
	exit
fi
echo "== all tests without threads, Stacked Borrows"
tests_with "" --skip threads::
echo "== threads, $seeds seeds, Stacked Borrows"
tests_with "-Zmiri-many-seeds=0..$seeds" threads::
echo "== threads, $((seeds / 4 + 1)) more seeds that switch at every tenth step, Stacked Borrows"
tests_with "-Zmiri-many-seeds=1000..$((1000 + seeds / 4 + 1)) -Zmiri-preemption-rate=0.1" threads::
echo "== shared memory, Tree Borrows"
tests_with -Zmiri-tree-borrows shm::
echo "== deliberate faults"
tests() { tests_with -Zmiri-many-seeds=0..8 "$@"; }
expect_faults miri 'Undefined Behavior: .*'
