#!/bin/sh
# Runs the fuzz targets under libFuzzer, as `make fuzz` does. TARGET selects one target, and SECONDS is the time for
# each. INPUT is a file on which TARGET runs once instead. target/fuzz-corpus keeps the inputs that reached new code for
# the next run, and target/fuzz-failures those that broke a rule.
set -eu

# Cargo runs tests in the folder of their package, so the path of the input must not depend on the folder.
case ${INPUT:-} in "" | /*) ;; *) INPUT=$PWD/$INPUT ;; esac
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo} target=${TARGET:-} seconds=${SECONDS_EACH:-60}

if [ -n "${INPUT:-}" ]; then
	[ -n "$target" ] && [ -f "$INPUT" ] || { echo "fuzz: INPUT=$INPUT needs a file, and TARGET= its target" >&2; exit 1; }
	FUZZ_TARGET=$target FUZZ_INPUT=$INPUT exec "$cargo" test --quiet --profile fuzz -p dispatcher-fuzz -- \
		--ignored --exact one_file
fi
"$cargo" +nightly --version >/dev/null 2>&1 ||
	{ echo "fuzz: first run: rustup toolchain install nightly --component rust-src" >&2; exit 1; }
command -v c++ >/dev/null 2>&1 || sh kamailio-glue/setup.sh fuzz

# With --target, build scripts are not instrumented.
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="-Awarnings -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing" \
	"$cargo" +nightly build --quiet --profile fuzz --target "$host" -p dispatcher-fuzz --features coverage --bin fuzz
program=${CARGO_TARGET_DIR:-target}/$host/fuzz/fuzz
mkdir -p target/fuzz-failures target/fuzz-logs
names=${target:-$($program 2>/dev/null)} && [ -n "$names" ] || { echo "fuzz: $program names no targets" >&2; exit 1; }

bad= blind=
form='%-12s %12s %9s %7s %9s %8s\n'
# shellcheck disable=SC2059
printf "$form" target executions "exec/s" seconds coverage crashes
for name in $names; do
	corpus=target/fuzz-corpus/$name log=target/fuzz-logs/$name
	status=0
	FUZZ_TARGET=$name FUZZ_SEEDS=$corpus $program -dict="$corpus.words" -max_total_time="$seconds" -max_len=4096 \
		-timeout=20 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="target/fuzz-failures/$name-" \
		${RUNS:+-runs="$RUNS"} "$corpus" >"$log" 2>&1 || status=$?
	[ "$status" = 0 ] || bad="$bad $name"
	# libFuzzer prints no coverage if it sees none.
	awk -v form="$form" -v name="$name" -v crashes="$([ "$status" = 0 ] && echo 0 || echo 1)" '
		{ for (at = 1; at < NF; at++) if ($at == "cov:") coverage = $(at + 1) }
		/^stat::number_of_executed_units:/ { runs = $2 }
		/^stat::average_exec_per_sec:/ { rate = $2 }
		/^Done / { seconds = $5 }
		END { printf form, name, runs, rate, seconds, coverage, crashes; exit !(runs && coverage) }
	' "$log" || [ "$status" != 0 ] || blind="$blind $name"
	if [ "$status" != 0 ]; then
		grep -m 1 -A 3 'panicked at\|ERROR: libFuzzer' "$log" || true
		sed -n "s!^artifact_prefix=.*Test unit written to !  make fuzz TARGET=$name INPUT=!p" "$log"
	fi
done
[ -z "$bad" ] || echo "fuzz: a rule was broken in:$bad" >&2
[ -z "$blind" ] || echo "fuzz: no coverage was measured in:$blind" >&2
[ -z "$bad$blind" ]
