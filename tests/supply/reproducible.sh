#!/bin/sh
# Builds the module in two clones with different paths, as `make build` does, and compares the results byte for byte.
set -eu

cd "$(dirname "$0")/../.."
clones=$PWD/target/reproducible
rm -rf "$clones"

# Builds in a clone at target/reproducible/$1. The server's headers are copied to where `make headers` puts them.
build() {
	git clone --quiet . "$clones/$1"
	mkdir -p "$clones/$1/target"
	cp -a "${KAMAILIO_SRC:-target/kamailio-src}" "$clones/$1/target/kamailio-src"
	env -u KAMAILIO_SRC -u CARGO_TARGET_DIR "${MAKE:-make}" --no-print-directory -C "$clones/$1" build
}

build one
build with/a/longer/path
one=$clones/one/target/release/dispatcher.so two=$clones/with/a/longer/path/target/release/dispatcher.so
sha256sum "$one" "$two"
cmp "$one" "$two"
size=$(wc -c <"$one")
rm -rf "$clones"
echo "reproducible: two clones gave the same $size bytes"
