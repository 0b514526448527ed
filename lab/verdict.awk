# SPDX-License-Identifier: GPL-2.0-only
#
#	awk -v vendor=VENDOR -v accel=ACCEL -f verdict.awk file=1 KNOWN_FAILURES \
#		file=2 NOT_RUN file=3 UNPATCHED.tap file=4 PATCHED.tap
#
# Judge the selftests on the patched kernel by those on the unpatched one. Prints TAP.
#
# A test that passes without the patches must pass with them, one that only the patched
# tree has must pass. What fails because of the emulator is a known failure, TEST, STRING
# and WHY, with tabs between: each part of the reason has to contain a STRING of the
# test's, and each of them has to be in one, with and without the patches.

function see(name) {
	if (!(name in seen))
		order[++n] = name
	seen[name]
}

/^#/ || NF == 0 { next }

file == 1 {
	split($0, field, "\t")
	see(field[1])
	strings[field[1], ++entries[field[1]]] = field[2]
	why[field[1]] = field[3]
	next
}

file == 2 {
	name = $1
	sub(/^[^ ]+ /, "")
	see(name)
	not_run[name] = $0
	next
}

match($0, /^(not )?ok [0-9]+ - /) {
	verdict = /^ok/ ? "pass" : "fail"
	$0 = substr($0, RLENGTH + 1)
	text = ""
	if (i = index($0, " # ")) {
		text = substr($0, i + 3)
		$0 = substr($0, 1, i - 1)
	}
	if (sub(/^SKIP /, "", text))
		verdict = "skip"
	see($0)
	result[file, $0] = verdict
	reason[file, $0] = text
	count[file, verdict]++
	again += text ~ /^at the second start/
}

# Is the failure of a test just what is known of it? If not, why
function unknown(file, name,    parts, k, i, j, found, hit) {
	if (result[file, name] != "fail")
		return "it is a known failure, but the result is: " result[file, name]
	k = split(reason[file, name], parts, " [|] ")
	for (i = 1; i <= k; i++) {
		found = 0
		for (j = 1; j <= entries[name]; j++)
			if (index(parts[i], strings[name, j]))
				found = hit[j] = 1
		if (!found)
			return "it is known to fail, but otherwise than: " parts[i]
	}
	for (j = 1; j <= entries[name]; j++)
		if (!hit[j])
			return "it is known to fail with " strings[name, j] ", too"
}

function judge(name,    base, patched, b, p) {
	base = result[3, name]
	patched = result[4, name]
	b = reason[3, name]
	p = reason[4, name]

	if (name in not_run)
		return "ok # SKIP not run: " not_run[name]
	if (name in entries) {
		if (base == "" && patched == "")
			return "not ok # a known failure, but no test"
		if (base != "" && (b = unknown(3, name)))
			return "not ok # without the patches: " b
		if (p = unknown(4, name))
			return "not ok # with the patches: " p
		return "not ok # TODO the emulator: " why[name]
	}
	if (patched == "")
		return "not ok # gone with the patches"
	if (base == "fail" && accel != "kvm")
		return "not ok # without the patches, and is no known failure: " b
	if (base == "fail" && patched == "fail" && b == p)
		return "not ok # TODO fails without the patches, too: " b
	if (patched == "pass")
		return "ok" (p ? " # " p : "")
	if (patched == "skip" && base == "skip")
		return "ok # SKIP " p
	# What is about the other vendor's CPUs is run there.
	if (base == "" && patched == "skip" &&
	    p ~ (vendor == "amd" ? "X86_FEATURE_VMX" : "X86_FEATURE_SVM"))
		return "ok # SKIP " p
	if (base == "")
		return "not ok # is new and must pass: " patched ", " p
	return "not ok # with the patches: " patched ", " p " (without: " base ")"
}

END {
	for (i = 1; i <= n; i++) {
		line = judge(order[i])
		sub(/ok/, "ok " i " - " vendor ": " order[i], line)
		print line
	}
	print "1.." n
	for (file = 3; file <= 4; file++)
		printf "# %s, %s kernel: %d pass, %d fail, %d skip\n", vendor, file == 3 ? "unpatched" : "patched",
			count[file, "pass"], count[file, "fail"], count[file, "skip"]
	if (again)
		print "# " vendor ": " again " passed at the second start"
}
