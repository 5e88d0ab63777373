#!/bin/sh
# Puts the headers of the installed Kamailio into a directory, from the distribution's source
# package. Does nothing when they are there. Changes no apt setting of the machine.
set -eu

dest=$1          # what is there is replaced
version=$(dpkg-query -W -f='${source:Version}' kamailio 2>/dev/null) || version=
if [ -z "$version" ]; then
	echo "headers: no kamailio package is installed; set KAMAILIO_SRC to your server's source tree" >&2
	exit 1
fi
# What is unpacked changes with that script: headers that an older one has left are fetched anew.
unpack=$(dirname "$0")/unpack-headers.sh
stamp="$version $(cksum <"$unpack")"
[ "$(cat "$dest/.version" 2>/dev/null)" != "$stamp" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial" "$work/source"

# The machine's own sources, turned into source-package ones. Only those files that name the
# archive that kamailio came from: a broken third-party source must not stop us.
archive=$(LC_ALL=C apt-cache policy kamailio |
	sed -n 's/^ *[0-9-]* \([a-z+]*:[^ ]*\) .*/\1/p' | sed 's:/*$::' | sort -u)
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
	[ -f "$file" ] || continue
	[ -z "$archive" ] || grep -q -F "$archive" "$file" || continue
	name=$work/sources/$(basename "$file")
	case $file in
	*.sources) sed 's/^Types:.*/Types: deb-src/' "$file" >"$name" ;;
	*) sed -n 's/^[[:space:]]*deb\(-src\)\{0,1\}[[:space:]]/deb-src /p' "$file" >"${name%.list}.list" ;;
	esac
done

apt() {
	apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" \
		-o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" "$@" </dev/null
}

echo "headers: fetching the source of kamailio $version"
# Some archives lack a file of the source package; the tarball alone is enough.
if ! (apt update; cd "$work/source" && apt source --download-only "kamailio=$version") >"$work/log" 2>&1; then
	echo "headers: apt reported trouble; looking for the tarball" >&2
fi
tarball=$(ls "$work"/source/kamailio_*.orig.tar.* 2>/dev/null | grep -v '\.asc$' | head -n 1)
if [ -z "$tarball" ]; then
	tail -n 5 "$work/log" >&2
	echo "headers: cannot fetch the source of kamailio $version; unpack it yourself and set KAMAILIO_SRC" >&2
	exit 1
fi

sh "$unpack" "$tarball" "$dest" "$stamp"
