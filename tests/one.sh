#!/bin/sh
# Runs the tests whose name has a text in it, wherever they are, as `make test-one T=text` does. Builds what they
# need: the module only where they run the server. Fails if no test ran.
set -eu

cd "$(dirname "$0")/.."
make=${MAKE:-make} cargo=${CARGO:-cargo}
[ -n "${1:-}" ] || { echo "make test-one T=name: the name of a test, or a part of it" >&2; exit 2; }

# Runs tests with these arguments of cargo.
run() {
	log=target/test-one.log
	mkdir -p target
	{ $cargo test "$@" 2>&1 && echo passed >$log.end || echo failed >$log.end; } | tee $log
	[ "$(cat $log.end)" = passed ] || exit 1
	grep -q '^test result: ok\. [1-9]' $log || { echo "test-one: no test ran" >&2; exit 1; }
	exit 0
}

# The file that defines the test says which program has it. `models!` or `rows!` makes a test of each name in it.
function=${1##*::}
found=$(find src tests/server tests/parity tests/manual tests/fuzz tests/simulator tests/programs/garbage tests/programs/cluster check tests/*.rs -name '*.rs' -exec awk -v name="$function" '
	/^ *#\[test\]/ { test = 1 }
	/^[a-z:]*(models|rows)! {/ { models = 1 }
	/^}/ { models = 0 }
	models && /^ *[a-z_]*:/ && index($1, name) { print FILENAME }
	test && /^ *fn / { if (index($2, name)) print FILENAME; test = 0 }
' {} + | sort -u)
[ -n "$found" ] || { echo "test-one: no test has $function in its name" >&2; exit 2; }
case $found in *tests/fuzz/*) run --profile fuzz -p dispatcher-fuzz -- "$1" ;; esac
case $found in *tests/simulator/*) run --profile fuzz -p dispatcher-simulator -- "$1" ;; esac
case $found in *tests/programs/*)
	$make --no-print-directory setup-tests build
	run -p dispatcher-programs --bin garbage --bin cluster -- "$1" ;;
esac
case $found in check/*)
	$make --no-print-directory setup-tests build
	exec $cargo test -p dispatcher-check --features dispatcher-check/server-tests -- "$1" ;;
esac
programs=$(echo "$found" | sed 's!^src/.*!--lib!; s!^tests/\([a-z]*\)[/.].*!--test \1!' | sort -u | tr '\n' ' ')
case $programs in *manual*) $make --no-print-directory book ;; esac
case $programs in *server* | *parity* | *manual*) $make --no-print-directory setup-tests build ;; esac
features=server-tests
case $found in *src/shm/tests/models/*) features=$features,models ;; esac
case $found in *src/kamailio/*) $make --no-print-directory headers && features=$features,kamailio ;; esac
case $found in *tests/server/module/panic.rs*) $make --no-print-directory probe ;; esac
# shellcheck disable=SC2086
run --features $features $programs -- "$1"
