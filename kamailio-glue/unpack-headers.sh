#!/bin/sh
# Unpacks what the build needs of a Kamailio source tarball, headers and Makefile.defs, into a
# directory. What is there is replaced, at once: never half of it.
set -eu

tarball=$1 dest=$2 version=$3

rm -rf "$dest.new"
mkdir -p "$dest.new"
tar -xf "$tarball" -C "$dest.new" --strip-components=1 --wildcards --no-wildcards-match-slash \
	'*/src/Makefile.defs' '*/src/core' '*/src/lib' '*/src/modules/tm'
printf '%s\n' "$version" >"$dest.new/.version"
rm -rf "$dest"
mv "$dest.new" "$dest"
