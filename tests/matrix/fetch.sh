#!/bin/sh
# Fetches the Kamailio of another suite of the distribution into a directory: the server, its
# modules and all that they link to (root/), its headers (src/), and commands that run it with its
# own C library (bin/kamailio, bin/kamcmd). Installs nothing and needs no root: apt gets settings of its own.
#
#     fetch.sh SUITE DIRECTORY
#
# Done once: a second run finds the directory as it is. Exit status 2 with one sentence on standard
# output where the suite cannot be had.
set -eu

suite=$1 dest=$2
stamp=$dest/.fetched
packages="kamailio kamailio-extra-modules kamailio-lua-modules kamailio-python3-modules
	kamailio-sqlite-modules kamailio-mysql-modules kamailio-postgres-modules"

# What is fetched changes with this file.
recipe=$(cksum <"$0")
[ "$(cat "$stamp" 2>/dev/null)" != "$recipe" ] || exit 0

unavailable() { # why: no server of this suite
	echo "$1"
	[ ! -s "$dest/log" ] || tail -n 5 "$dest/log" >&2
	exit 2
}

command -v apt-get >/dev/null 2>&1 || unavailable "no apt here"
rm -rf "$dest"
mkdir -p "$dest"
dest=$(cd "$dest" && pwd)
apt=$dest/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/source" "$dest/root" "$dest/bin"
: >"$apt/status"
arch=$(dpkg --print-architecture)

# The archive that the machine's own suite comes from, with the other suite in its place. Where the
# machine has several of that name, the one that has kamailio.
# shellcheck disable=SC1091
here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
archives=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
	awk -v here="$here" '($2 == here || $2 == "stable") && $3 == "main" { print $1 }' | sort -u)
with=$(LC_ALL=C apt-cache policy kamailio 2>/dev/null | sed -n 's/^ *[0-9-]* \([a-z+]*:[^ ]*\) .*/\1/p')
archive=
for candidate in $archives; do
	[ -n "$archive" ] || archive=$candidate
	for uri in $with; do
		[ "${candidate%/}" != "${uri%/}" ] || archive=$candidate
	done
done
[ -n "$archive" ] || unavailable "the machine's apt sources name no archive of $here"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keys" ] || unavailable "no debian-archive-keyring here"
for type in deb deb-src; do
	echo "$type [signed-by=$keys] $archive $suite main"
done >"$apt/sources.list"

run() { # program argument...: with settings of its own; the machine's ways to the archive stay
	program=$1
	shift
	"$program" -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
		-o Dir::Cache="$apt/cache" -o Dir::Log="$apt" -o APT::Architecture="$arch" -o APT::Architectures="$arch" \
		-o APT::Install-Recommends=false -o APT::Sandbox::User=root -o Debug::NoLocking=true \
		-o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 -o DPkg::Post-Invoke= "$@" </dev/null
}

run apt-get update -o APT::Update::Error-Mode=any >"$dest/log" 2>&1 || unavailable "the archive has no index of $suite that can be fetched"

# With an empty list of installed packages, apt takes everything that the server needs.
# shellcheck disable=SC2086
run apt-get install --yes --download-only $packages >"$dest/log" 2>&1 ||
	unavailable "the packages of $suite cannot be fetched"
for package in "$apt"/cache/archives/*.deb; do
	dpkg-deb -x "$package" "$dest/root"
done

# The headers are in the tarball of the source package. Some archives lack its other files, so only
# the tarball is asked for.
version=$(run apt-cache show --no-all-versions kamailio | sed -n 's/^Version: //p' | head -n 1)
line=$(run apt-get --print-uris --only-source source "kamailio=$version" 2>>"$dest/log" | grep '\.orig\.tar\.[a-z0-9]* ' | head -n 1)
uri=$(printf '%s\n' "$line" | cut -d' ' -f1 | tr -d "'")
[ -n "$uri" ] || unavailable "$suite has no source of kamailio $version"
hash=$(printf '%s\n' "$line" | cut -d' ' -f4)
tarball=$apt/source/$(printf '%s\n' "$line" | cut -d' ' -f2)
run /usr/lib/apt/apt-helper download-file "$uri" "$tarball" "$hash" >>"$dest/log" 2>&1 ||
	unavailable "the source of kamailio $version cannot be fetched"
sh "$(dirname "$0")/../../kamailio-glue/unpack-headers.sh" "$tarball" "$dest/src" "$version"

# The suite's programs need the suite's C library, and its loader to find it.
loader=
for candidate in "$dest"/root/lib/*/ld-linux-*.so.* "$dest"/root/usr/lib/*/ld-linux-*.so.* \
	"$dest"/root/lib64/ld-linux-*.so.* "$dest"/root/lib/ld-linux-*.so.* ; do
	[ ! -f "$candidate" ] || { loader=$candidate; break; }
done
[ -n "$loader" ] || unavailable "the packages of $suite have no loader of shared objects"
triplet=$(basename "$(dirname "$(ls "$dest"/root/usr/lib/*/kamailio/modules/tm.so)")")
libraries=
for dir in "$dest"/root/lib/*-linux-* "$dest"/root/usr/lib/*-linux-* "$dest"/root/usr/lib/*-linux-*/kamailio; do
	[ ! -d "$dir" ] || libraries=$libraries${libraries:+:}$dir
done
for program in kamailio kamcmd; do
	cat >"$dest/bin/$program" <<END
#!/bin/sh
exec "$loader" --library-path "$libraries" "$dest/root/usr/sbin/$program" "\$@"
END
	chmod 755 "$dest/bin/$program"
done
printf '%s\n' "${version}" >"$dest/version"

# The archive's packages are unpacked: nothing else of them is needed.
rm -rf "$apt"
printf '%s\n' "$recipe" >"$stamp"
