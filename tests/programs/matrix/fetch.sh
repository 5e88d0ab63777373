#!/bin/sh
# Fetches the Kamailio of a suite of the distribution into a directory: the server, its modules and
# all that they link to (root/), its headers (src/), and commands that run it with its own C library
# (bin/kamailio, bin/kamcmd). Installs nothing and needs no root.
#
#     fetch.sh SUITE DIRECTORY
#
# Done once: a second run finds the directory as it is. Exit status 2 with one sentence on standard
# output where the suite cannot be had.
set -eu

suite=$1 dest=$2
here=$(dirname "$0")
glue=$here/../../../kamailio-glue
packages="kamailio kamailio-extra-modules kamailio-lua-modules kamailio-python3-modules
	kamailio-sqlite-modules kamailio-mysql-modules kamailio-postgres-modules
	kamailio-tls-modules kamailio-ims-modules kamailio-presence-modules"

# What is fetched changes with these files.
recipe=$(cat "$here/apt.sh" "$here/fetch.sh" "$glue/unpack-headers.sh" | cksum)
[ "$(cat "$dest/.fetched" 2>/dev/null)" != "$recipe" ] || exit 0

# shellcheck source=tests/programs/matrix/apt.sh
. "$here/apt.sh"
echo "matrix: fetching the server of $suite" >&2
private_apt "$suite" "$dest"
# shellcheck disable=SC2086
fetch_packages $packages

# The headers are in the tarball of the source package. Some archives lack its other files, so only
# the tarball is asked for.
version=$(run apt-cache show --no-all-versions kamailio | sed -n 's/^Version: //p' | head -n 1)
line=$(run apt-get --print-uris --only-source source "kamailio=$version" 2>>"$dest/log" |
	grep '\.orig\.tar\.[a-z0-9]* ' | head -n 1) || unavailable "$suite has no source of kamailio $version"
uri=$(printf '%s\n' "$line" | cut -d' ' -f1 | tr -d "'")
tarball=$apt/source/$(printf '%s\n' "$line" | cut -d' ' -f2)
hash=$(printf '%s\n' "$line" | cut -d' ' -f4)
run /usr/lib/apt/apt-helper download-file "$uri" "$tarball" "$hash" >>"$dest/log" 2>&1 ||
	unavailable "the source of kamailio $version cannot be fetched"
sh "$glue/unpack-headers.sh" "$tarball" "$dest/src" "$version"

# The programs need a C library that is new enough for them and for the module, which is built here:
# the suite's where that is the newer one, with its loader to find it, else the machine's.
fetched=$(run apt-cache show --no-all-versions libc6 | sed -n 's/^Version: //p' | head -n 1)
loader=
if dpkg --compare-versions "$fetched" ge "$(dpkg-query -W -f='${Version}' libc6)"; then
	for candidate in "$dest"/root/lib/*/ld-linux-*.so.* "$dest"/root/usr/lib/*/ld-linux-*.so.*; do
		[ ! -f "$candidate" ] || loader=$candidate
	done
	[ -n "$loader" ] || unavailable "the packages of $suite have no loader of shared objects"
else
	for file in $(dpkg-deb -c "$(ls "$apt"/cache/archives/libc6_*.deb)" | sed -n 's/.* \.\(\/.*\.so[.0-9]*\)$/\1/p'); do
		rm -f "$dest/root$file"
	done
fi
libraries=
for dir in "$dest"/root/lib/*-linux-* "$dest"/root/usr/lib/*-linux-* "$dest"/root/usr/lib/*-linux-*/kamailio; do
	[ ! -d "$dir" ] || libraries=$libraries${libraries:+:}$dir
done
mkdir -p "$dest/bin"
for program in kamailio kamcmd; do
	if [ -n "$loader" ]; then
		start="exec \"$loader\" --library-path \"$libraries\""
	else
		start="LD_LIBRARY_PATH=\"$libraries\" exec"
	fi
	cat >"$dest/bin/$program" <<-END
		#!/bin/sh
		export PYTHONHOME="$dest/root/usr"
		$start "$dest/root/usr/sbin/$program" "\$@"
	END
	chmod 755 "$dest/bin/$program"
done

# All that was wanted of the packages is unpacked.
rm -rf "$apt"
printf '%s\n' "$recipe" >"$dest/.fetched"
