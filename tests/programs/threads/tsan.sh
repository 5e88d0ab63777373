#!/bin/sh
# Runs the tests of the shared memory under ThreadSanitizer, those with threads for longer than usual, and then the
# deliberate faults, each of which must be reported.
#
#     SHM_ROUNDS=N tsan.sh [ARGUMENTS OF THE TESTS]
#
# The standard library is built with the sanitizer as well, so no access escapes it. Nothing is suppressed. With
# arguments, the script runs only the tests that they name, and no faults. If the tools are missing, it ends with status
# 2 and one sentence.
set -eu

cd "$(dirname "$0")/../../.."
cargo=${CARGO:-cargo}
# shellcheck source=tests/programs/threads/faults.sh
. tests/programs/threads/faults.sh

sysroot=$(rustc +nightly --print sysroot 2>/dev/null) && [ -d "$sysroot/lib/rustlib/src/rust/library" ] || {
	echo "tsan: first run: rustup toolchain install nightly --component rust-src" >&2
	exit 2
}
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/tsan
RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=thread"
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
SHM_ROUNDS=${SHM_ROUNDS:-10}
export CARGO_TARGET_DIR RUSTFLAGS SHM_ROUNDS TSAN_OPTIONS=halt_on_error=1

# ThreadSanitizer does not follow a fork.
tests() {
	"$cargo" +nightly test -Zbuild-std --target "$host" --lib -- \
		--skip shm::tests::forked --skip shm::tests::processes "$@"
}

if [ $# -gt 0 ]; then
	tests "$@"
	exit
fi
tests shm::
expect_faults tsan 'WARNING: ThreadSanitizer: (data race|heap-use-after-free)'
