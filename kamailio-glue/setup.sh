#!/bin/sh
# Installs what building needs, with the argument `tests` what testing needs, with `docs` what `make book` needs, with
# `fuzz` what `make fuzz` needs, with `sanitizers` what `make asan` needs, with `deb` what `make deb` and
# `make test-deb` need, or with `container` what `make test-container` needs, from the distribution's own packages.
# Quick and silent when all of it is there.
set -eu

RUST=1.85            # as rust-version in Cargo.toml

missing=
need() { # package...: note those that are not installed
	for package in "$@"; do
		state=$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null || true)
		case $state in ?i*) ;; *) missing="$missing $package" ;; esac
	done
}

at_least() { # version, wanted: is it that new?
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

rust_on_path() {
	for tool in cargo rustc; do
		version=$($tool --version 2>/dev/null | cut -d' ' -f2) || return 1
		at_least "${version:-0}" "$RUST" || return 1
	done
}

candidate() { # package: the version that apt would install; empty if none
	LC_ALL=C apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -v '(none)' || true
}

has_libclang() {
	[ -n "${LIBCLANG_PATH:-}" ] ||
		ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang-[0-9]*.so* >/dev/null 2>&1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		echo "setup: run as root, or install:$missing" >&2
		exit 1
	fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		-o APT::Install-Recommends=false "$@" </dev/null
}

# A broken third-party source must not stop us: what counts is whether the packages can be had.
refresh() { apt update >&2 || true; }

choose_rust() {
	if at_least "$(candidate rustc)" "$RUST"; then
		need cargo rustc
		linters="rustfmt rust-clippy"
	elif at_least "$(candidate rustc-web)" "$RUST"; then
		need cargo-web rustc-web
		linters="rustfmt-web rust-web-clippy"
	else
		echo "setup: no Rust $RUST in this distribution: install it (https://rustup.rs), then make again" >&2
		exit 1
	fi
	for linter in $linters; do
		[ -z "$(candidate "$linter")" ] || need "$linter"
	done
}

# The libclang of the distribution's default clang; another one would pull in another LLVM.
choose_libclang() {
	version=$(LC_ALL=C apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')
	need "libclang1-${version:-14}"
}

# A compiler, the runtime of its sanitizers, and what names the places in their reports.
choose_sanitizers() {
	choose_libclang
	need clang "libclang-rt-${version:-14}-dev" llvm
}

# Prometheus and promtool. Their package starts a service where it is installed, so it is unpacked, not installed. The
# tests that need them are skipped where it cannot be had.
unpack_prometheus() {
	dest=target/prometheus
	if [ -x "$dest/usr/bin/promtool" ] || command -v promtool >/dev/null 2>&1; then
		return
	fi
	echo "setup: unpacking prometheus into $dest"
	rm -rf "$dest"
	mkdir -p "$dest"
	if ! (cd "$dest" && apt-get -q download prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb) >&2; then
		rm -rf "$dest"
		echo "setup: no prometheus here: the tests that need it are skipped" >&2
	fi
}

has_postgres() { ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null 2>&1; }

# Databases for the tests, which start servers of their own: the programs are enough. MariaDB's are
# a package without a service.
choose_databases() {
	[ -n "${KAMAILIO_MODULES:-}" ] ||
		need kamailio-sqlite-modules kamailio-mysql-modules kamailio-postgres-modules
	need sqlite3 kamcli
	command -v mariadbd >/dev/null 2>&1 || [ -x /usr/sbin/mariadbd ] || need mariadb-server-core
	command -v mariadb >/dev/null 2>&1 || need mariadb-client-core
}

# Script engines for the tests of KEMI; app_jsdt comes with the server.
choose_engines() {
	[ -n "${KAMAILIO_MODULES:-}" ] || need kamailio-lua-modules kamailio-python3-modules
}

# A browser for the tests of the page, without a window. Where there is none, they are skipped and counted.
choose_browser() {
	for package in chromium chromium-driver; do
		[ -z "$(candidate "$package")" ] || need "$package"
	done
}

# What the configs of tests/server/configs load: TLS with certificates made by openssl, and the IMS
# samples, whose documentation comes with the server.
choose_configs() {
	[ -n "${KAMAILIO_MODULES:-}" ] ||
		need kamailio-tls-modules kamailio-ims-modules kamailio-presence-modules
	command -v openssl >/dev/null 2>&1 || need openssl
}

# PostgreSQL's programs come with a service, whose first installation makes a database and starts
# it. Where it is we who install it, it must not; the machine's own settings stay as they are.
install_postgres() {
	version=$(LC_ALL=C apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p')
	if [ -z "$version" ]; then
		echo "setup: no PostgreSQL in this distribution" >&2
		exit 1
	fi
	echo "setup: installing postgresql-$version, without a database of its own"
	apt install postgresql-common
	settings=/etc/postgresql-common/createcluster.d
	as_root mkdir -p "$settings"
	echo "create_main_cluster = false" | as_root tee "$settings/dispatcher-tests.conf" >/dev/null
	status=0
	apt install "postgresql-$version" || status=$?
	as_root rm -f "$settings/dispatcher-tests.conf"
	as_root rmdir --ignore-fail-on-non-empty "$settings"
	return "$status"
}

if ! command -v apt-get >/dev/null 2>&1; then
	echo "setup: no apt here: see README.md for what to install by hand" >&2
	exit 0
fi

[ -n "${KAMAILIO_MODULES:-}" ] || need kamailio
need gcc libc6-dev binutils make valgrind ca-certificates xz-utils
need netbase         # /etc/protocols: without it the server has no TCP
if ! rust_on_path || ! has_libclang; then
	[ -n "$(candidate kamailio)" ] || refresh
	rust_on_path || choose_rust
	has_libclang || choose_libclang
fi

tests=${1:-}
if [ "$tests" = tests ]; then
	choose_databases
	choose_engines
	choose_configs
	need gdb         # what a server that ends slowly waits for (make torture)
	need python3-yaml # the manifests of contrib/container
	need iproute2    # addresses and devices of the tests' networks
	need curl        # examples of the manual
	choose_browser
fi
[ "$tests" != docs ] || need pandoc groff-base
[ "$tests" != fuzz ] || need g++
[ "$tests" != sanitizers ] || choose_sanitizers
[ "$tests" != container ] || [ -z "$(candidate buildah)" ] || need buildah debootstrap
[ "$tests" != deb ] || need dpkg-dev debhelper lintian debootstrap

if [ -n "$missing" ]; then
	echo "setup: installing$missing"
	# shellcheck disable=SC2086
	apt install $missing || { refresh; apt install $missing; }
fi
if [ "$tests" = tests ] && ! has_postgres; then
	[ -n "$(candidate postgresql)" ] || refresh
	install_postgres
fi
[ "$tests" != tests ] || unpack_prometheus

if ! rust_on_path; then
	echo "setup: $(command -v cargo) is older than Rust $RUST and comes before /usr/bin on PATH" >&2
	exit 1
fi
