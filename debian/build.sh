#!/bin/sh
# Builds the Debian package, as `make deb` does: a module for each server, the checker, and debhelper around them. The
# result is in target/deb.
#
#     MATRIX_SUITES   suites of the distribution whose servers are fetched ("bullseye bookworm trixie")
#     KAMAILIO_SRC, KAMAILIO_MODULES   one more server: its source tree, and the directory with its tm.so;
#                     KAMAILIO_BIN its program, of which the package notes the build-id
set -eu

cd "$(dirname "$0")/.."
make=${MAKE:-make} cargo=${CARGO:-cargo}
out=$PWD/target/deb
stage=$out/stage/kamailio-dispatcher-rust
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
suites=${MATRIX_SUITES-bullseye bookworm trixie}
own_src=${KAMAILIO_SRC:-} own_modules=${KAMAILIO_MODULES:-} own_bin=${KAMAILIO_BIN:-}
unset KAMAILIO_SRC KAMAILIO_MODULES

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
[ "$version" = "$(dpkg-parsechangelog -SVersion)" ] ||
	{ echo "deb: debian/changelog must begin with version $version, as Cargo.toml has it" >&2; exit 1; }

rm -rf "$out/stage"
mkdir -p "$stage/builds"

# Builds the module for a server: source tree, directory of its modules, its program.
module() {
	echo "deb: building for the server of $2"
	$make --no-print-directory build MODULE="$out/dispatcher.so" CARGO_TARGET_DIR="$out/cargo" \
		KAMAILIO_SRC="$1" KAMAILIO_MODULES="$2" KAMAILIO_RUNPATH="/usr/lib/$multiarch/kamailio"
	server=$(ls -t "$out"/cargo/release/build/dispatcher-*/out/server | head -n 1)
	number=$(sed -n '1s/^[^ ]* \([^ ]*\) .*/\1/p' "$server")
	build=$stage/builds/$number-$(sed -n 2p "$server" | sha256sum | cut -c -8)
	mkdir "$build"
	mv "$out/dispatcher.so" "$build/dispatcher.so"
	id=
	[ -z "$3" ] || id=$(readelf -n "$3" | sed -n 's/^ *Build ID: //p')
	{ cat "$server" && echo "$id"; } >"$build/server"
}

for suite in $suites; do
	dir=target/matrix/$suite
	why=$(sh tests/programs/matrix/fetch.sh "$suite" "$dir") || {
		echo "deb: no server of $suite: $why; MATRIX_SUITES names the suites" >&2
		exit 1
	}
	module "$PWD/$dir/src" "$(dirname "$(ls "$PWD/$dir"/root/usr/lib/*/kamailio/modules/tm.so)")" \
		"$PWD/$dir/root/usr/sbin/kamailio"
done
[ -z "$own_src" ] || [ -n "$own_modules" ] || { echo "deb: set KAMAILIO_MODULES beside KAMAILIO_SRC" >&2; exit 1; }
[ -z "$own_src" ] || module "$own_src" "$own_modules" "$own_bin"

$make --no-print-directory checker CHECKER="$stage/kamailio-dispatcher-check" CARGO_TARGET_DIR="$out/cargo"

# The crates in the programs, each with its licences.
tree() { "$cargo" tree --locked --edges normal --prefix none --format '{p}	{l}' "$@"; }
{ tree -p dispatcher --features kamailio && tree -p dispatcher-check; } | grep -v ' (.*)	' | sort -u |
	while IFS='	' read -r crate licence; do
		name=${crate%% *} release=${crate##* v}
		printf '%s %s: %s\n' "$name" "$release" "$licence"
		for text in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$name-$release"/*; do
			case ${text##*/} in
			LICENSE* | LICENCE* | COPYING* | COPYRIGHT* | NOTICE* | UNLICENSE*) printf '\n%s:\n\n' "${text##*/}" && cat "$text" ;;
			esac
		done
		printf '\n%s\n\n' "--------"
	done >"$stage/crates.txt"

$make --no-print-directory book
cp -r debian README.md doc target/man "$stage"
cp target/book/dispatcher.html "$stage"
sh debian/examples.sh "$stage/examples"
[ ! -d contrib ] || cp -r contrib "$stage"
cd "$stage"
dpkg-buildpackage -b -us -uc >"$out/log" 2>&1 || { tail -n 30 "$out/log" >&2; exit 1; }
rm -f "$out"/*.deb
mv ../*.deb "$out"
echo "deb: $(ls "$out"/kamailio-dispatcher-rust_*.deb), with builds for $(ls builds | paste -s -d ' ')"
