#!/bin/sh
# Makes a release in two clones with different paths, and compares the files byte for byte: sources, packages with the
# module for each server, and the bill of materials.
set -eu

cd "$(dirname "$0")/../.."
clones=$PWD/target/reproducible
suites=${MATRIX_SUITES-bullseye bookworm trixie}
rm -rf "$clones"
for suite in $suites; do
	sh tests/programs/matrix/fetch.sh "$suite" "target/matrix/$suite"
done
sh tests/supply/run.sh bill

# Makes a clone at target/reproducible/$1, with the servers and the tool that are here already.
make_clone() {
	git clone --quiet . "$clones/$1"
	mkdir -p "$clones/$1/target/matrix" "$clones/$1/target/supply"
	for suite in $suites; do
		cp -a "target/matrix/$suite" "$clones/$1/target/matrix/$suite"
	done
	cp -a target/supply/bin target/supply/.crates.toml "$clones/$1/target/supply"
}

make_release() {
	env -u KAMAILIO_SRC -u KAMAILIO_MODULES -u CARGO_TARGET_DIR \
		"${MAKE:-make}" --no-print-directory -C "$clones/$1" release
}

# Both of the same commit, whatever is committed meanwhile.
make_clone one
make_clone with/a/longer/path
make_release one
make_release with/a/longer/path
one=$(ls -d "$clones"/one/target/release-*) two=$(ls -d "$clones"/with/a/longer/path/target/release-*)
diff -r "$one" "$two"
(cd "$two" && sha256sum --check --quiet SHA256SUMS)
say="$(ls "$one" | wc -l) files, $(cat "$one"/* | wc -c) bytes"
rm -rf "$clones"
echo "reproducible: two clones gave the same $say"
