#!/bin/sh
# Runs the tests with AddressSanitizer, UndefinedBehaviorSanitizer (the glue) and the checks that a release of the
# module leaves out (debug assertions, overflow), as `make asan` does: first the unit tests, then the server tests.
# With an argument, it runs only the server tests with that text in their name.
#
# Neither the module nor the server contains the runtime of the sanitizers, so the harness preloads it. The compilers'
# LLVMs may be of different versions, because the interface of the runtime is the same.
set -eu

cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
rustc +nightly --version >/dev/null 2>&1 && [ -d "$(rustc +nightly --print sysroot)/lib/rustlib/src" ] ||
	{ echo "asan: first run: rustup toolchain install nightly --component rust-src" >&2; exit 1; }
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
out=$PWD/target/asan
export KAMAILIO_SRC="${KAMAILIO_SRC:-$PWD/target/kamailio-src}"

# Runs cargo with the sanitizer for the code and the standard library. With --target, build scripts have none.
instrumented() {
	CARGO_TARGET_DIR=$out CC=clang RUSTFLAGS="${RUSTFLAGS:-} -Zsanitizer=address -Cforce-frame-pointers=yes -Adeprecated" \
		CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true \
		$cargo +nightly "$@" --release --target "$host" -Zbuild-std
}

[ -n "${1:-}" ] || instrumented test --lib

# The functions that panic on purpose are in the same build.
instrumented build --features kamailio,panic-probe,sanitizers
cp "$out/$host/release/libdispatcher.so" "$out/dispatcher.so"
export DISPATCHER_SO="$out/dispatcher.so" DISPATCHER_PROBE_SO="$out/dispatcher.so"
SANITIZER=$(clang -print-file-name="libclang_rt.asan-$(uname -m).so")
export SANITIZER
DISPATCHER_C_OPTIONS=$(find "$out/$host/release/build" -name c-options -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
export DISPATCHER_C_OPTIONS

# Not here: module::exports is about the release; in limits::memory the tests deny processes address space, and the
# runtime then starts its symbolizer as one more process of the server. The last one fills the pool to the byte, and knows
# nothing of red zones.
$cargo test --features server-tests,sanitizers --test server -- ${1:+"$1"} \
	--skip module::exports --skip limits::memory \
	--skip mode_4_tries_again_what_found_no_memory
