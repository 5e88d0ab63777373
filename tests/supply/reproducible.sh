#!/bin/sh
# Builds the Debian package, and with it the module for each server, in two clones with different paths, and compares
# the packages byte for byte.
set -eu

cd "$(dirname "$0")/../.."
clones=$PWD/target/reproducible
suites=${MATRIX_SUITES-bullseye bookworm trixie}
rm -rf "$clones"
for suite in $suites; do
	sh tests/programs/matrix/fetch.sh "$suite" "target/matrix/$suite"
done

# Builds in a clone at target/reproducible/$1, with the servers that are fetched already.
build() {
	git clone --quiet . "$clones/$1"
	mkdir -p "$clones/$1/target/matrix"
	for suite in $suites; do
		cp -a "target/matrix/$suite" "$clones/$1/target/matrix/$suite"
	done
	env -u KAMAILIO_SRC -u KAMAILIO_MODULES -u CARGO_TARGET_DIR \
		"${MAKE:-make}" --no-print-directory -C "$clones/$1" deb
}

build one
build with/a/longer/path
one=$clones/one/target/deb two=$clones/with/a/longer/path/target/deb
packages=$(cd "$one" && ls -- *.deb)
[ "$packages" = "$(cd "$two" && ls -- *.deb)" ]
for package in $packages; do
	sha256sum "$one/$package" "$two/$package"
	cmp "$one/$package" "$two/$package"
done
size=$(cat "$one"/*.deb | wc -c)
rm -rf "$clones"
echo "reproducible: two clones gave the same $(echo "$packages" | wc -l) packages, $size bytes"
