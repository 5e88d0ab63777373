#!/bin/sh
# Runs inside of a clean system: what the unit does before the start, the server, calls through it, and its answers.
set -eu

unit=/usr/lib/systemd/system/kamailio.service.d/dispatcher-rust.conf
if [ -f "$unit" ]; then
	sh -c "$(sed -n 's/^ExecStartPre=+-//p' "$unit")"
fi

mkdir -p /run/kamailio && chown kamailio:kamailio /run/kamailio
kamailio -DD -E -u kamailio -g kamailio -P /run/kamailio/kamailio.pid -f /etc/kamailio/kamailio.cfg -m 64 -M 8 \
	>/test/log 2>&1 &
server=$!
end=$(($(date +%s) + 30))
until kamcmd core.version >/dev/null 2>&1; do
	kill -0 $server 2>/dev/null || { echo "the server has ended"; exit 1; }
	[ "$(date +%s)" -lt $end ] || { echo "the server does not answer"; exit 1; }
	sleep 0.1
done

sipp -sn uas -i 127.0.0.1 -p 7001 -nostdin >/dev/null 2>&1 &
one=$!
sipp -sn uas -i 127.0.0.1 -p 7002 -nostdin >/dev/null 2>&1 &
two=$!
calls=20
sipp -sn uac -i 127.0.0.1 -p 7070 -nostdin -m $calls -r 20 -d 100 -timeout 60 127.0.0.1:5060 >/test/calls 2>&1 ||
	{ tail -n 40 /test/calls; exit 1; }
echo "calls: $calls of $calls"

# The packaged module has no such command. kamcmd ends well after an error.
if kamcmd dispatcher.stats 2>&1 | grep -q '^error'; then echo "module: packaged"; else echo "module: ours"; fi
kamcmd dispatcher.list
kill $one $two $server
wait $server
