#!/bin/sh
# Holds the tests that a run has skipped against the numbers of tests/expected-skips.
#
#     skipped.sh RELEASE all|quick FILE
#
# FILE has a line for each: topic, test, part of it, what the machine lacks, reason. Prints each skipped
# test. Exit status 1 with a sentence where the number is another one.
set -eu

awk -F '\t' -v release="$1" -v which="$2" '
	FILENAME != ARGV[2] {
		split($0, word, " ")
		if ($0 ~ /^without /) {
			lack = $0; sub(/^without /, "", lack); sub(/: [0-9]+$/, "", lack)
			needed[lack] = $0; sub(/.*: /, "", needed[lack])
		} else if (word[1] == release && word[2] == which)
			expected = word[3]
		next
	}
	seen[$0]++ { next }
	{
		text = $1 ": " $2 ($3 == "" ? "" : ": " $3) ": " $5
		print "skipped: " text
		if ($4 == "") skipped++; else lacking[$4]++
	}
	END {
		if (expected == "")
			print "No number of skipped tests is expected of " release ", " which ": it has " skipped + 0 "."
		else if (skipped + 0 != expected) {
			print "Skipped on " release ", " which ": " skipped + 0 ", but " expected " are expected (tests/expected-skips)."
			bad = 1
		}
		for (lack in lacking)
			if (lacking[lack] != needed[lack]) {
				print "Skipped without " lack ": " lacking[lack] ", but " needed[lack] + 0 " are expected (tests/expected-skips)."
				bad = 1
			}
		exit bad
	}
' "$(dirname "$0")/expected-skips" "$3"
