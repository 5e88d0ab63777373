#!/bin/sh
# Puts a release together, as `make release` does, in target/release-VERSION: the sources, the packages, the bill of
# materials, and the checksums of all. The same commit gives the same bytes.
set -eu

cd "$(dirname "$0")/.."
make=${MAKE:-make}
[ -z "$(git status --porcelain)" ] || { echo "release: commit or remove what git status shows" >&2; exit 1; }
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
name=kamailio-dispatcher-rust-$version
out=target/release-$version
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

$make --no-print-directory deb headers
sh tests/supply/run.sh bill

rm -rf "$out"
mkdir -p "$out"
git archive --prefix="$name/" HEAD | gzip -9n >"$out/$name.tar.gz"
cp target/deb/*.deb "$out"
cp target/dispatcher.cdx.json "$out/$name.cdx.json"
(cd "$out" && sha256sum -- * >../SHA256SUMS && mv ../SHA256SUMS .)
echo "release: $out"
cat "$out/SHA256SUMS"
