#!/bin/sh
# Writes configs to copy, and their lists, into a directory: those that the tests play calls with, with addresses and paths
# of an installed server.
set -eu

configs=$(dirname "$0")/../tests/server/configs
mkdir -p "$1"
for name in carrier edge freeswitch registrar; do
	sed -e 's|{{LISTEN}}|listen=udp:192.0.2.1:5060|' -e 's|{{LIST}}|/etc/kamailio/dispatcher.list|' \
		-e 's|^mpath=.*|import_file "/run/kamailio-dispatcher-rust/kamailio.cfg"|' \
		-e 's|{{DIR}}/ctl|/run/kamailio/kamailio_ctl|' -e 's|{{DIR}}/rpc|/run/kamailio/kamailio_rpc.sock|' \
		-e 's|\("ds_ping_interval"\), 1)|\1, 10)|' "$configs/$name.cfg" >"$1/$name.cfg"
	awk '{ while (match($0, /[{][{][a-z0-9]+[}][}]/))
		$0 = substr($0, 1, RSTART - 1) "192.0.2." (10 + n++) ":5060" substr($0, RSTART + RLENGTH)
		print }' "$configs/$name.list" >"$1/$name.list"
done
