#!/bin/sh
# Builds the unit and shared-memory tests for aarch64 and runs them under qemu's user emulation.
# Compiler, C library and qemu are the distribution's packages, unpacked below target/; nothing is
# installed, except Rust's standard library for aarch64 where rustup can fetch it.
#
#     aarch64.sh [ARGUMENTS OF THE TESTS]
#
# Exit status 2 with one sentence where the tools cannot be had.
set -eu

cd "$(dirname "$0")/../../.."
here=tests/programs/matrix
dest=$PWD/target/matrix/aarch64
target=aarch64-unknown-linux-gnu
recipe=$(cat $here/apt.sh $here/aarch64.sh | cksum)

if [ "$(cat "$dest/.fetched" 2>/dev/null)" != "$recipe" ]; then
	# shellcheck source=tests/programs/matrix/apt.sh
	. $here/apt.sh
	echo "aarch64: fetching the compiler and qemu" >&2
	private_apt "" "$dest"
	fetch_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
	mkdir -p "$dest/bin"
	# The compiler's own libraries are beside it.
	libraries=
	for dir in "$dest"/root/usr/lib/*-linux-gnu; do libraries=$libraries${libraries:+:}$dir; done
	cat >"$dest/bin/linker" <<-END
		#!/bin/sh
		LD_LIBRARY_PATH="$libraries" exec "$dest/root/usr/bin/aarch64-linux-gnu-gcc" --sysroot="$dest/root" "\$@"
	END
	chmod 755 "$dest/bin/linker"
	rm -rf "$apt"
	printf '%s\n' "$recipe" >"$dest/.fetched"
fi

sysroot=$(rustc --print sysroot)
if [ ! -d "$sysroot/lib/rustlib/$target" ]; then
	command -v rustup >/dev/null 2>&1 && rustup target add $target >&2 || {
		echo "aarch64: no standard library for $target: install it (rustup target add $target)"
		exit 2
	}
fi

CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$dest/bin/linker
CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$dest/root/usr/bin/qemu-aarch64-static -L $dest/root/usr/aarch64-linux-gnu"
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER
# An emulated processor is slow: let the compiler work for it.
export CARGO_PROFILE_TEST_OPT_LEVEL=2
exec "${CARGO:-cargo}" test --target $target --lib -- "$@"
