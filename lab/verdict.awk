# SPDX-License-Identifier: GPL-2.0-only
#
# Compare results of the selftests without and with the patches. Files: the known
# failures, "NAME REASON"; the results on the unpatched kernel and those on the
# patched one, "VERDICT NAME REASON". Prints "pass|fail|skip NAME REASON" for each
# test, and the counts.

FNR == 1 { file++ }
/^#/ || NF == 0 { next }

file == 1 {
	name = $1
	sub(/^[^ \t]+[ \t]+/, "")
	known[name] = $0
	tests[name]
	next
}

{
	verdict = $1
	name = $2
	sub(/^[^ ]+ [^ ]+ ?/, "")
	result[file, name] = verdict
	reason[file, name] = $0
	tests[name]
	count[file, verdict == "pass" || verdict == "skip" ? verdict : "fail"]++
}

function bad(verdict) {
	return verdict != "pass" && verdict != "skip"
}

function judge(name,	base, patched) {
	base = result[2, name]
	patched = result[3, name]

	# What the list says is about the emulator only.
	if (accel == "kvm")
		delete known[name]

	if (name in known) {
		if (base == "" && patched == "")
			return "fail " name " is a known failure, but no test"
		if (base != "" && !bad(base))
			return "fail " name " is a known failure, but the verdict without the patches is: " base
		if (!bad(patched))
			return "fail " name " is a known failure, but the verdict with the patches is: " patched
		return "skip " name " fails because of the emulator (" known[name] ")"
	}
	if (base == "" && patched == "pass")
		return "pass " name " " reason[3, name]
	if (base == "")
		return "fail " name " is new and must pass: " patched ", " reason[3, name]
	if (patched == "")
		return "fail " name " is gone with the patches"
	if (bad(base) && accel != "kvm")
		return "fail " name " without the patches, and is no known failure: " base ", " reason[2, name]
	if (bad(base) && bad(patched))
		return "skip " name " fails without the patches, too (" reason[2, name] ")"
	if (patched == "pass")
		return "pass " name " " reason[3, name]
	if (patched == "skip" && base == "skip")
		return "skip " name " " (reason[3, name] ? reason[3, name] : "without a reason")
	return "fail " name " with the patches: " patched ", " reason[3, name] " (without: " base ")"
}

END {
	for (name in tests)
		print judge(name) | "sort"
	close("sort")
	print "count unpatched", count[2, "pass"] + 0, count[2, "fail"] + 0, count[2, "skip"] + 0
	print "count patched", count[3, "pass"] + 0, count[3, "fail"] + 0, count[3, "skip"] + 0
}
