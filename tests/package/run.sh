#!/bin/sh
# Installs the Debian package in clean systems of bookworm and trixie, as `make test-deb` does: install, start, calls,
# an upgrade of the server to one without a build, back, remove, purge. PACKAGE_SUITES names other suites.
#
# A suite that this machine cannot make (no root, no network) is not checked; the last line says so.
set -eu

cd "$(dirname "$0")/../.."
here=tests/package
out=$PWD/target/package
package=kamailio-dispatcher-rust
deb=$(ls "$PWD"/target/deb/${package}_*.deb)
mkdir -p "$out" target/supply
work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

say() { echo "test-deb: $*"; }
fail() { echo "test-deb: $suite: $*" >&2 && exit 1; }
has() { # what was said, the part that it must have
	case $1 in *"$2"*) say "$suite: $2" ;; *) fail "expected: $2, but found: $1" ;; esac
}

# Makes a system with the server once and keeps it as a tarball; a run gets a fresh copy. Prints why it cannot.
make_system() (
	# shellcheck source=tests/programs/matrix/apt.sh
	. tests/programs/matrix/apt.sh
	[ "$(id -u)" = 0 ] || unavailable "a system of its own needs root"
	private_apt "$suite" "$out/$suite"
	debootstrap --variant=minbase --keyring="$keys" --include=kamailio,systemd,sip-tester,iproute2 "$suite" \
		"$dest/root" "$archive" >"$dest/log" 2>&1 || unavailable "debootstrap cannot make $suite"
	(cd "$dest" && run apt-get download kamailio >>"$dest/log" 2>&1) || unavailable "no package of kamailio in $suite"
	mv "$dest"/kamailio_*.deb "$dest/server.deb"
	tar -C "$dest/root" -cf "$dest/system.tar.new" .
	rm -rf "$dest/root" "$apt"
	mv "$dest/system.tar.new" "$dest/system.tar"
)

# The package of the server with another patch level, in the program and in all modules: no build fits it.
changed_server() { # package, changed package
	dpkg-deb -R "$1" "$work/changed"
	number=$(dpkg-deb -f "$1" Version | sed 's/[-+~].*//')
	other=${number%?}9
	[ "$other" != "$number" ] || other=${number%?}8
	find "$work/changed/usr" -type f \( -name kamailio -o -name '*.so*' \) \
		-exec sed -i "s/\(kamailio \)$number \(([^)]*)\)/\1$other \2/g" {} +
	sed -i 's/^Version: .*/&+changed/' "$work/changed/DEBIAN/control"
	dpkg-deb --root-owner-group -b "$work/changed" "$2" >/dev/null
	rm -rf "$work/changed"
}

# Runs a command in the system, in a network of its own that has nothing but the loopback interface.
inside() {
	unshare --net --mount --pid --fork --kill-child sh -euc '
		ip link set lo up
		mount -t proc proc "$0/proc"
		mount -t tmpfs none "$0/dev/shm"
		mount -t devpts none "$0/dev/pts"
		exec chroot "$0" env -i TERM=vt100 PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
	' "$root" "$@"
}

install() { inside apt-get -q -y --allow-downgrades install "$@" 2>&1; }

# Starts the server as its unit does, makes calls, and stops it: prints what the selector said, whose module ran, and
# the answer of dispatcher.list.
serve() { inside sh /test/serve.sh 2>&1 || { cat "$root/test/log" >&2; fail "the server: see above"; }; }

files() { (cd "$root" && find . -path ./test -prune -o -path ./proc -prune -o -print | grep -v \
	-e '^./var/cache/' -e '^./var/lib/apt' -e '^./var/lib/dpkg' -e '^./var/log' -e '^./tmp' -e '^./dev' -e '^./run/systemd/' | sort); }

test_suite() {
	root=$work/$suite
	mkdir -p "$root"
	tar -C "$root" -xf "$out/$suite/system.tar"
	# No package may start a service here.
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod 755 "$root/usr/sbin/policy-rc.d"
	mkdir -p "$root/test" && cp "$here/serve.sh" "$root/test" && cp "$here/kamailio.cfg" "$root/etc/kamailio/kamailio.cfg"
	printf '1 sip:127.0.0.1:7001 0 0 duid=one\n1 sip:127.0.0.1:7002 0 0 duid=two\n' >"$root/etc/kamailio/dispatcher.list"
	cp "$deb" "$root/test/module.deb"
	cp "$out/$suite/server.deb" "$root/test/server.deb"
	changed_server "$out/$suite/server.deb" "$root/test/changed.deb"
	version=$(inside kamailio -v | sed -n 's/^version: *\(.*[^ ]\) *$/\1/p')
	number=$(echo "$version" | cut -d' ' -f2)
	files >"$work/before"

	has "$(serve)" "module: packaged"

	has "$(install /test/module.deb)" "$version: $number-"
	said=$(serve)
	has "$said" "$version: $number-"
	has "$said" "module: ours"
	has "$said" "calls: 20 of 20"
	has "$said" "URI: sip:127.0.0.1:7002"
	case $said in *"other build"*) fail "the build was tested with another server: $said" ;; esac
	has "$(inside kamailio-dispatcher-check /etc/kamailio/dispatcher.list)" "taken: 2 destinations"
	for name in carrier edge freeswitch registrar; do
		inside kamailio-dispatcher-check "/usr/share/doc/$package/examples/$name.list" >/dev/null || fail "$name.list"
	done
	verified=$(inside systemd-analyze verify --man=no kamailio.service 2>&1) || fail "systemd-analyze: $verified"
	[ -z "$verified" ] || fail "systemd-analyze: $verified"
	say "$suite: systemd-analyze verify is silent"
	has "$(inside systemd-delta --no-pager --type=extended)" "kamailio.service.d/dispatcher-rust.conf"

	# An upgrade of the server to one that no build fits, and back.
	has "$(install /test/changed.deb)" "no build for kamailio "
	said=$(serve)
	has "$said" "with its flags: the packaged module is used"
	has "$said" "module: packaged"
	has "$said" "calls: 20 of 20"
	has "$(install /test/server.deb)" "$version: $number-"
	has "$(serve)" "module: ours"

	# Removing is moving back, and nothing is left.
	inside apt-get -q -y remove $package >/dev/null 2>&1
	has "$(serve)" "module: packaged"
	install /test/module.deb >/dev/null
	inside apt-get -q -y purge $package >/dev/null 2>&1
	files >"$work/after"
	diff "$work/before" "$work/after" >&2 || fail "purge leaves files"
	say "$suite: purge leaves nothing"
}

lintian --allow-root --fail-on error --suppress-tags bad-distribution-in-changes-file "$deb"
say "lintian finds no error"
unchecked=
for suite in ${PACKAGE_SUITES-bookworm trixie}; do
	if [ ! -f "$out/$suite/system.tar" ] && ! why=$(make_system); then
		say "$suite: NOT CHECKED: $why"
		echo "package in $suite" >>target/supply/unchecked
		unchecked="$unchecked $suite"
		continue
	fi
	test_suite
done
[ -z "$unchecked" ] || say "not checked:$unchecked"
