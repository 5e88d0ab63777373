#!/bin/sh
# Builds the image of contrib/container with buildah, as `make test-container` does, on a bookworm that debootstrap
# makes, and runs it: the server as the image's user, the command for its health, and the program that reloads the list.
#
# Where this machine cannot (no root, no buildah, no network), nothing is checked, and the last line says so.
set -eu

cd "$(dirname "$0")/../.."
out=$PWD/target/package
mkdir -p "$out" target/supply
say() { echo "test-container: $*"; }
fail() { echo "test-container: $*" >&2 && exit 1; }

unchecked() { # why
	say "NOT CHECKED: $1"
	echo container >>target/supply/unchecked
	exit 0
}

# Makes the files of the base image once. Prints why it cannot.
make_base() (
	# shellcheck source=tests/programs/matrix/apt.sh
	. tests/programs/matrix/apt.sh
	private_apt bookworm "$out/base"
	debootstrap --variant=minbase --keyring="$keys" bookworm "$dest/root" "$archive" >"$dest/log" 2>&1 ||
		unavailable "debootstrap cannot make bookworm"
	tar -C "$dest/root" -cf "$dest/system.tar.new" .
	rm -rf "$dest/root" "$apt"
	mv "$dest/system.tar.new" "$dest/system.tar"
)

until_done() { # what, command...
	what=$1 end=$(($(date +%s) + 60))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt $end ] || { cat "$work/server" >&2; fail "not within a minute: $what"; }
		sleep 0.2
	done
}

[ "$(id -u)" = 0 ] || unchecked "it needs root"
command -v buildah >/dev/null 2>&1 || unchecked "there is no buildah"
unshare --net true 2>/dev/null || unchecked "unshare makes no network"
[ -f "$out/base/system.tar" ] || why=$(make_base) || unchecked "$why"

# Images and containers of this run, and nothing else, are below one directory.
work=$(mktemp -d "$out/container.XXXXXX")
: >"$work/server"
started=
finish() {
	for group in $started; do kill -- "-$group" 2>/dev/null || true; done
	wait
	for group in $started; do kill -KILL -- "-$group" 2>/dev/null || true; done
	tool rm --all >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap finish EXIT
tool() { buildah --root "$work/images" --runroot "$work/running" --storage-driver vfs "$@"; }

base=$(tool from scratch)
tool add --quiet "$base" "$out/base/system.tar" / >/dev/null
tool commit --quiet --rm "$base" localhost/bookworm >/dev/null
tool build --isolation chroot --format docker --build-arg BASE=localhost/bookworm --tag kamailio-dispatcher \
	--file contrib/container/Containerfile . >"$work/log" 2>&1 ||
	{ tail -n 30 "$work/log" >&2; fail "the image is not built"; }
say "built: $(grep 'kamailio-dispatcher-rust: kamailio' "$work/log" | tail -n 1)"

# The image's own words: its user, what it runs, and how it is asked whether it is well.
words() { tool inspect --type image --format "$1" kamailio-dispatcher; }
user=$(words '{{.Docker.Config.User}}')
[ "$user" = 5060:5060 ] || fail "the user is $user"
health=$(words '{{index .Docker.Config.Healthcheck.Test 1}}')
command=$(words '{{range .Docker.Config.Cmd}}{{.}} {{end}}')

# The containers of a pod: a network of their own, here with loopback alone, and volumes for config and control socket.
setsid unshare --net sh -c 'ip link set lo up && : >"$1" && exec sleep 3600' sh "$work/network" &
network=$!
started=$network
until_done "a network" test -f "$work/network"
container=$(tool from kamailio-dispatcher)
mkdir "$work/etc" "$work/run"
cp contrib/container/kamailio.cfg contrib/container/dispatcher.list "$work/etc"
chmod 755 "$work" "$work/etc"
chown 5060:5060 "$work/run"
cat >"$work/inside" <<-END
	#!/bin/sh
	exec nsenter --net="/proc/$network/ns/net" buildah --root "$work/images" --runroot "$work/running" --storage-driver vfs \
		run --isolation chroot --volume "$work/etc:/etc/kamailio:ro" --volume "$work/run:/run/kamailio" "$container" -- "\$@"
END
chmod 755 "$work/inside"
inside() { "$work/inside" "$@"; }

# shellcheck disable=SC2086
setsid "$work/inside" $command >"$work/server" 2>&1 &
started="$started $!"
well() { inside sh -c "$health"; }
until_done "the server is well" well >/dev/null 2>&1
say "well: $health"
[ "$(stat -c %u "$work/run/kamailio_ctl")" = 5060 ] || fail "the server runs as $(stat -c %U "$work/run/kamailio_ctl")"
inside kamcmd dispatcher.stats | grep -q WRITERS_WAITING || fail "the server has the packaged module"
inside kamcmd dispatcher.list short | grep URI

setsid "$work/inside" dispatcher-reload /etc/kamailio/dispatcher.list 0.2 >"$work/reload" 2>&1 &
started="$started $!"
until_done "a first reload" grep -q 'KEPT: 2' "$work/reload"
echo '1 sip:192.0.2.12:5060' >>"$work/etc/dispatcher.list"
until_done "a reload of what was added" grep -q 'ADDED: 1' "$work/reload"
inside kamcmd dispatcher.list short | grep -q 'URI: sip:192.0.2.12:5060' || fail "the list has not changed"
say "the list is reloaded"
