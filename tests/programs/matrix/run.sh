#!/bin/sh
# Builds the module for each server that can be had and runs the server tests against it, beside
# the C module of that server's package; then prints a table, server by topic.
#
#     MATRIX_SUITES   suites of the distribution whose servers are fetched ("bullseye bookworm trixie")
#     KAMAILIO_SRC, KAMAILIO_BIN   one more server: a source tree and the program built from it;
#                     KAMAILIO_MODULES and KAMCMD where they are not in that tree
#     QUICK=1         a few minutes: fewer tests, and not the version that is installed here, which
#                     `make test` has tested in full
#     MATRIX_TESTS    only the server tests whose path has one of these parts, and "parity" for the
#                     comparisons, such as "rpc:: live::edit parity"
#
# A server that cannot be had is skipped, and the table says why. Exit status 1 if a test failed.
set -eu

cd "$(dirname "$0")/../../.."
here=tests/programs/matrix
out=$PWD/target/matrix
cargo=${CARGO:-cargo}
suites=${MATRIX_SUITES-bullseye bookworm trixie}
quick_tests="algorithms:: call_load:: configs::sample drain:: events::routes kemi:: list::file live::edit
	module:: package:: releases::later_names releases::old_names releases::pairing rpc:: start_and_stop:: states::"
own_src=${KAMAILIO_SRC:-} own_bin=${KAMAILIO_BIN:-} own_modules=${KAMAILIO_MODULES:-} own_kamcmd=${KAMCMD:-}
unset KAMAILIO KAMAILIO_SRC KAMAILIO_BIN KAMAILIO_MODULES KAMCMD DISPATCHER_SO DISPATCHER_PROBE_SO DISPATCHER_C_OPTIONS

mkdir -p "$out"
results=$out/results skips=$out/skips notes=$out/notes failures=$out/failures said=$out/said
: >"$results" && : >"$skips" && : >"$notes" && : >"$failures" && : >"$said"
installed=$(kamailio -v 2>/dev/null | sed -n 's/^version: kamailio \([^ ]*\).*/\1/p') || installed=

say() { echo "matrix: $*" >&2; }

skip_server() { # name, why
	say "$1: skipped: $2"
	printf '%s\t%s\n' "$1" "skipped: $2" >>"$notes"
}

# Runs the tests that were asked for, as `cargo test`; what follows is for the test programs.
run_tests() {
	tests=${MATRIX_TESTS:-}
	[ -n "$tests" ] || [ -z "${QUICK:-}" ] || tests=$quick_tests
	if [ -z "$tests" ]; then
		$cargo test --no-fail-fast --features server-tests --test server --test parity
		return
	fi
	parts=
	for part in $tests; do
		[ "$part" = parity ] || parts="$parts $part"
	done
	# shellcheck disable=SC2086
	[ -z "$parts" ] || $cargo test --features server-tests --test server -- $parts || true
	case " $tests " in *" parity "*) $cargo test --features server-tests --test parity ;; esac
}

# The module for one server, the one that panics, and the options of its compiler, into directory $1;
# KAMAILIO_SRC and KAMAILIO_MODULES say for which server. What is tested is what they do, not how fast:
# built quickly, and what all servers share is built once.
build() {
	export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=false
	mkdir -p "$1/module" "$1/probe"
	for variant in probe module; do
		features=kamailio
		[ "$variant" = module ] || features=kamailio,panic-probe
		CARGO_TARGET_DIR=$out/build $cargo build --release --features "$features" || return 1
		cp "$out/build/release/libdispatcher.so" "$1/$variant/dispatcher.so"
	done
	options=$(ls -t "$out"/build/release/build/dispatcher-*/out/c-options | head -n 1)
	cp "$options" "$1/c-options"
}

# Runs the tests against one server: name, directory, with KAMAILIO_SRC, KAMAILIO, KAMAILIO_MODULES
# and KAMCMD in the environment.
test_server() {
	name=$1 dir=$2
	version=$("$KAMAILIO" -v 2>/dev/null | sed -n 's/^version: [^ ]* \([^ ]*\).*/\1/p') || version=
	if [ -z "$version" ]; then
		skip_server "$name" "the server does not run here"
		return
	fi
	if [ -n "${QUICK:-}" ] && [ "$version" = "$installed" ]; then
		skip_server "$version" "it is installed here: make test has tested it in full"
		return
	fi
	say "$version ($name): building"
	if ! build "$dir" >"$dir/build.log" 2>&1; then
		tail -n 20 "$dir/build.log" >&2
		say "$version ($name): the module does not build"
		printf '%s\tbuild\t0\t1\n' "$version" >>"$results"
		return
	fi
	say "$version ($name): testing, log in $dir/tests.log"
	: >"$dir/skips"
	(
		export DISPATCHER_SO="$dir/module/dispatcher.so" DISPATCHER_PROBE_SO="$dir/probe/dispatcher.so"
		export DISPATCHER_C_OPTIONS="$dir/c-options" SKIPS="$dir/skips"
		run_tests >"$dir/tests.log" 2>&1
	) || true
	# A row is a topic of the server tests, or all of parity.
	awk -v version="$version" '
		/^ *Running / { suite = $2; sub(/^tests\//, "", suite); sub(/\/main\.rs$|\.rs$/, "", suite); ended = 0 }
		/^test result:/ { ended = 1 }
		/^test .* \.\.\. (ok|FAILED)$/ {
			topic = suite
			if (suite == "server") { topic = $2; sub(/::.*/, "", topic) }
			print version "\t" topic "\t" ($NF == "ok") "\t" ($NF != "ok")
			if ($NF != "ok") print version "\t" suite "\t" $2 >"/dev/stderr"
		}
		END { if (!ended) print version "\t" (suite == "" ? "tests" : suite) "\t0\t1" }
	' "$dir/tests.log" >>"$results"
	# What each failed test said: its first lines, which have the assertion.
	awk -v version="$version" '
		/^---- .* stdout ----$/ { print "\n" version ": " $2; left = 12; next }
		/^failures:$/ || /^stack backtrace:$/ { left = 0 }
		left > 0 && NF { print "    " substr($0, 1, 300); left-- }
	' "$dir/tests.log" >>"$failures"
	sed "s/^/$version	/" "$dir/skips" | sort -u >>"$skips"
	[ -z "${MATRIX_TESTS:-}" ] || return 0
	which=all
	[ -z "${QUICK:-}" ] || which=quick
	release=$(echo "$version" | cut -d. -f1,2)
	sh tests/skipped.sh "$release" "$which" "$dir/skips" >"$dir/skipped" ||
		printf '%s\tnumber skipped\t0\t1\n' "$version" >>"$results"
	sed "s/^/$version: /" "$dir/skipped" >>"$said"
}

for suite in $suites; do
	dir=$out/$suite
	status=0
	why=$(sh $here/fetch.sh "$suite" "$dir") || status=$?
	if [ "$status" != 0 ]; then
		skip_server "$suite" "${why:-fetching ended with status $status}"
		continue
	fi
	modules=$(dirname "$(ls "$dir"/root/usr/lib/*/kamailio/modules/tm.so)")
	(
		export KAMAILIO="$dir/bin/kamailio" KAMCMD="$dir/bin/kamcmd" KAMAILIO_MODULES="$modules" KAMAILIO_SRC="$dir/src"
		test_server "$suite" "$dir"
	)
done

if [ -n "$own_bin" ] && [ -n "$own_src" ]; then
	dir=$out/own
	mkdir -p "$dir"
	if [ -z "$own_modules" ]; then
		for candidate in "$own_src/src/modules" "$own_src/modules"; do
			[ ! -f "$candidate/tm/tm.so" ] || own_modules=$candidate
		done
	fi
	[ -n "$own_kamcmd" ] || own_kamcmd=$(dirname "$own_bin")/kamcmd
	[ -x "$own_kamcmd" ] || own_kamcmd=$(command -v kamcmd)
	(
		export KAMAILIO="$own_bin" KAMCMD="$own_kamcmd" KAMAILIO_SRC="$own_src"
		[ -z "$own_modules" ] || export KAMAILIO_MODULES="$own_modules"
		test_server own "$dir"
	)
fi

echo
awk -F '\t' '
	FILENAME ~ /skips$/ { if ($4 == "") skipped[$1, $2]++; next }
	{
		if (!($1 in seen)) { seen[$1] = 1; order[++servers] = $1 }
		if (!($2 in row)) { row[$2] = 1; rows[++count] = $2 }
		passed[$1, $2] += $3; failed[$1, $2] += $4; ran[$1, $2] = 1
		total[$1] += $3; bad[$1] += $4
	}
	function cell(server, suite,   text) {
		if (!((server, suite) in ran)) return "-"
		text = passed[server, suite] - skipped[server, suite] " passed"
		if (failed[server, suite]) text = text ", " failed[server, suite] " FAILED"
		if (skipped[server, suite]) { text = text ", " skipped[server, suite] " skipped"; left[server] += skipped[server, suite] }
		return text
	}
	END {
		if (!servers) exit
		line = "| tests |"; rule = "| --- |"
		for (i = 1; i <= servers; i++) { line = line " " order[i] " |"; rule = rule " --- |" }
		print line; print rule
		for (r = 1; r <= count; r++) {
			line = "| " rows[r] " |"
			for (i = 1; i <= servers; i++) line = line " " cell(order[i], rows[r]) " |"
			print line
		}
		line = "| all |"
		for (i = 1; i <= servers; i++) line = line " " total[order[i]] - left[order[i]] " passed, " bad[order[i]] + 0 " failed, " left[order[i]] + 0 " skipped |"
		print line
	}' "$skips" "$results"
[ ! -s "$notes" ] || { echo; sed 's/\t/: /' "$notes"; }
[ ! -s "$said" ] || { echo; cat "$said"; }
awk -F '\t' '
	FILENAME == ARGV[1] { if ($4 == "") skipped++; next }
	{ passed += $3; failed += $4 }
	END { printf "matrix: %d passed, %d failed, %d skipped\n", passed - skipped, failed, skipped }
' "$skips" "$results"
! awk -F '\t' '$4 > 0 { bad = 1 } END { exit !bad }' "$results" || { cat "$failures"; exit 1; }
