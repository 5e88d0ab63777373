# Sourced by miri.sh and tsan.sh, which define `tests`: runs the deliberate faults of
# src/shm/tests/threads/faults.rs one by one. Each must be reported.
#
#     expect_faults TOOL 'TEXT OF A REPORT'

expect_faults() {
	faults=$(sed -n '/#\[ignore = /,/fn /s/^fn \([a-z_]*\).*/\1/p' src/shm/tests/threads/faults.rs)
	[ "$(echo "$faults" | wc -l)" -ge 4 ] || { echo "$1: the deliberate faults were not found" >&2; return 1; }
	missed=
	for fault in $faults; do
		report=$(tests --ignored "$fault" 2>&1) && missed="$missed $fault" && continue
		told=$(echo "$report" | grep -m 1 -o -E "$2") || { missed="$missed $fault"; echo "$report" | tail -n 20; continue; }
		echo "$1: $fault: $told"
	done
	[ -z "$missed" ] || { echo "$1: deliberate faults that were not reported:$missed" >&2; return 1; }
}
