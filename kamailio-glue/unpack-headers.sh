#!/bin/sh
# Unpacks what the build needs of a Kamailio source tarball, headers and Makefile.defs, into a
# directory, and writes the stamp that it is known by. What is there is replaced, at once: never half of it.
set -eu

tarball=$1 dest=$2 stamp=$3

rm -rf "$dest.new"
mkdir -p "$dest.new"
tar -xf "$tarball" -C "$dest.new" --strip-components=1 --wildcards --no-wildcards-match-slash \
	'*/src/Makefile.defs' '*/src/core' '*/src/lib' '*/src/modules/tm' '*/src/modules/dmq'
printf '%s\n' "$stamp" >"$dest.new/.version"
rm -rf "$dest"
mv "$dest.new" "$dest"
