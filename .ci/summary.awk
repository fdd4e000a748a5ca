# SPDX-License-Identifier: Apache-2.0
#
# Reads what "make test TESTFLAGS=-v" prints: first "go test -v" of some packages, then "vm suite". Prints each skipped test with
# its reason, each failed one, and as the last line how many passed, failed and were skipped. A test with subtests is not
# counted beside them, unless it failed by itself.

# The suite counts its own tests; its last line says how many.
/^=== kernel / { suite = 1 }
suite && /^(skipped|failed)\t/ { notes[++n] = $0 }
suite && /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { last = $0 }
suite { next }

# Whose output follows.
/^=== (RUN|CONT|NAME) / { current = $3; next }
# The last thing that a test logs before it is skipped is why.
/^ +[^ :]+\.go:[0-9]+: / {
	line = $0
	sub(/^ +[^ :]+\.go:[0-9]+: /, "", line)
	reason[current] = line
	next
}
/^ *--- (PASS|FAIL|SKIP): / {
	match($0, /--- /)
	split(substr($0, RSTART + 4), word, " ")
	verdict = word[1]
	sub(/:$/, "", verdict)
	result[word[2]] = verdict
	order[++tests] = word[2]
	next
}
# A package is over.
/^(ok  |FAIL)\t/ {
	bad = 0
	for (i = 1; i <= tests; i++) {
		name = order[i]
		up = name
		while (sub(/\/[^\/]*$/, "", up)) {
			hasSubtests[up] = 1
			if (result[name] == "FAIL") explained[up] = 1
		}
	}
	for (i = 1; i <= tests; i++) {
		name = order[i]
		if (result[name] == "SKIP") {
			skipped++
			notes[++n] = "skipped\t" $2 " " name ": " (reason[name] != "" ? reason[name] : "no reason given")
		} else if (result[name] == "FAIL") {
			bad = 1
			if (!(name in explained)) {
				failed++
				notes[++n] = "failed\t" $2 " " name
			}
		} else if (!(name in hasSubtests)) passed++
	}
	# It was not built, or ended in the middle of a test.
	if ($1 == "FAIL" && !bad) {
		failed++
		notes[++n] = "failed\t" $2 ": " (NF > 2 ? $3 " " $4 : "")
	}
	split("", result); split("", order); split("", reason); split("", hasSubtests); split("", explained)
	tests = 0
}
END {
	split(last, word, " ")
	for (i = 1; i <= n; i++) print notes[i]
	printf "%d passed, %d failed, %d skipped\n", passed + word[1], failed + word[3], skipped + word[5]
}
