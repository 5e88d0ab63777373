# Sourced: apt with settings of its own, for packages that are unpacked and not installed. Nothing of
# the machine changes, and root is not needed.
#
#     private_apt SUITE DIRECTORY   chooses the suite ("" is the machine's own); apt's files go below it
#     run PROGRAM ARGUMENT...       runs an apt program so
#     fetch_packages PACKAGE...     downloads them with all that they depend on, and unpacks into $dest/root
#
# Each ends the script through `unavailable` where the archive cannot give what is asked for; the
# log is $dest/log.

unavailable() { # why
	echo "$1"
	[ ! -s "$dest/log" ] || tail -n 5 "$dest/log" >&2
	exit 2
}

private_apt() {
	suite=$1 dest=$2
	command -v apt-get >/dev/null 2>&1 || unavailable "no apt here"
	rm -rf "$dest"
	mkdir -p "$dest"
	dest=$(cd "$dest" && pwd)
	apt=$dest/apt
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/source" "$dest/root"
	: >"$apt/status"
	arch=$(dpkg --print-architecture)

	# The archive that the machine's own suite comes from, with the suite in its place. Where the
	# machine has several archives of that name, the one that has kamailio.
	# shellcheck disable=SC1091
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	archives=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		awk -v here="$codename" '($2 == here || $2 == "stable") && $3 == "main" { print $1 }' | sort -u)
	with=$(LC_ALL=C apt-cache policy kamailio 2>/dev/null | sed -n 's/^ *[0-9-]* \([a-z+]*:[^ ]*\) .*/\1/p')
	archive=
	for candidate in $archives; do
		[ -n "$archive" ] || archive=$candidate
		for uri in $with; do
			[ "${candidate%/}" != "${uri%/}" ] || archive=$candidate
		done
	done
	[ -n "$archive" ] || unavailable "the machine's apt sources name no archive of $codename"
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -f "$keys" ] || unavailable "no debian-archive-keyring here"
	for type in deb deb-src; do
		echo "$type [signed-by=$keys] $archive ${suite:-$codename} main"
	done >"$apt/sources.list"
	run apt-get update -o APT::Update::Error-Mode=any >"$dest/log" 2>&1 ||
		unavailable "the archive has no index of ${suite:-$codename} that can be fetched"
}

# The machine's own ways to the archive, a proxy say, stay.
run() {
	program=$1
	shift
	"$program" -q -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
		-o Dir::Cache="$apt/cache" -o Dir::Log="$apt" -o APT::Architecture="$arch" -o APT::Architectures="$arch" \
		-o APT::Install-Recommends=false -o APT::Sandbox::User=root -o Debug::NoLocking=true \
		-o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 -o DPkg::Post-Invoke= "$@" </dev/null
}

# With an empty list of installed packages, apt takes everything that they need.
fetch_packages() {
	run apt-get install --yes --download-only "$@" >"$dest/log" 2>&1 ||
		unavailable "the packages cannot be fetched: $*"
	for package in "$apt"/cache/archives/*.deb; do
		dpkg-deb -x "$package" "$dest/root"
	done
}
