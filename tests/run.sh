#!/bin/sh
# Runs everything that must pass, part by part, as `make test` does. The end says how long each part took, and how
# many tests passed, failed and were skipped. A failed build ends the run; any other failure does not.
set -u

cd "$(dirname "$0")/.."
make=${MAKE:-make}
out=$PWD/target/test
mkdir -p "$out"
: >"$out/parts"
bad=

# Runs a part: name, targets of make.
part() {
	name=$1
	shift
	echo "== $name"
	begin=$(date +%s)
	: >"$out/skips"
	{ SKIPS=$out/skips $make --no-print-directory "$@" 2>&1 && echo passed >"$out/end" || echo FAILED >"$out/end"; } |
		tee "$out/$name.log"
	end=$(cat "$out/end") took=$(($(date +%s) - begin))
	[ "$end" = passed ] || bad="$bad $name"
	cat "$out/skips" >>"$out/all-skips"
	# Parts of tests do not count here: those tests went on.
	skipped=$(sort -u "$out/skips" | awk -F '\t' '$3 == ""' | wc -l)
	awk -v name="$name" -v end="$end" -v took="$took" -v skipped="$skipped" '
		/^test result:/ { passed += $4; failed += $6 }
		/^matrix: [0-9]+ passed,/ { passed += $2; failed += $4; skipped += $6; counted = 1 }
		END {
			if (!counted) passed -= skipped
			printf "%s\t%s\t%d:%02d\t%d\t%d\t%d\n", name, end, took / 60, took % 60, passed, failed, skipped
		}
	' "$out/$name.log" >>"$out/parts"
}

finish() {
	took=$(($(date +%s) - start))
	echo
	awk -F '\t' -v took="$took" '
		BEGIN { form = "%-9s %-7s %6s %7s %7s %8s\n"; printf form, "part", "", "time", "passed", "failed", "skipped" }
		{ printf form, $1, $2, $3, $4, $5, $6; passed += $4; failed += $5; skipped += $6 }
		END {
			time = sprintf("%d:%02d", took / 60, took % 60)
			printf form, "all", "", time, passed, failed, skipped
			printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
		}
	' "$out/parts"
	[ -z "$bad" ] || { echo "FAILED:$bad"; exit 1; }
	exit 0
}

start=$(date +%s)
: >"$out/all-skips"
part build build probe
[ -z "$bad" ] || finish
part lint lint
part unit test-unit test-seam
part models models
part fuzz test-fuzz
part simulator test-simulator
part miri test-miri
part server test-server
part parity test-parity
part docs docs-check
part torture torture TORTURE_SECONDS=20 TORTURE_SEED=1
release=$("${KAMAILIO:-kamailio}" -v | sed -n 's/^version: [^ ]* \([0-9]*\.[0-9]*\).*/\1/p')
echo "== skipped"
sh tests/skipped.sh "$release" all "$out/all-skips" || bad="$bad skipped"
part matrix test-matrix QUICK=1
grep -ho 'docs-check: .* examples.*' "$out/docs.log" | tail -n 1
grep -h 'of the lists from tests' "$out/server.log" | sed 's/^/checker: /'
grep -h '^parity: so far' "$out/parity.log" | tail -n 1 | sed 's/so far //'
finish
