# SPDX-License-Identifier: GPL-2.0-only
#
#	awk -f judge.awk -v cpus=N -v verdicts=FILE attacks RESULTS
#
# Prints the table of what the attacks came to, and writes a line for each that
# should have been made to FILE: "pass demo: NAME" or "fail demo: NAME REASON".
# Judges by the values of the registers; the words are for the table. Exits with
# 1 if one fails.

# What a line says: the attack "won", "lost", or neither, which is never right.
function outcome(name, text,    on_msr) {
	on_msr = name ~ /-msr$/
	if (text ~ /ERROR/ || value["before"] == "" ||
	    value["before"] == value["wrote"])
		return "neither"
	if (value["fault"] == "0" && value["after"] == value["wrote"] &&
	    (!on_msr || (value["msr-fault"] == "0" &&
			 value["msr-after"] == value["msr-wrote"])))
		return "won"
	if (value["fault"] == "1" && value["after"] == value["before"] &&
	    (!on_msr || (value["msr-fault"] == "1" &&
			 value["msr-wrote"] != value["msr-before"] &&
			 value["msr-after"] == value["msr-before"])))
		return "lost"
	return "neither"
}

function verdict(name, reason) {
	if (reason == "") {
		print "pass demo: " name >verdicts
	} else {
		print "fail demo: " name " " reason >verdicts
		failed = 1
	}
}

# Judge an attack in a guest, return what the table shows for it.
function judge(guest, name, expected,    cpu, at, reason, shown) {
	for (cpu = 0; cpu < cpus; cpu++) {
		at = guest " " name " cpu" cpu
		if (!(at in text)) {
			reason = reason "; no result on CPU " cpu
			text[at] = "(nothing)"
		} else if (count[at] > 1) {
			reason = reason "; more than one result on CPU " cpu
		} else if (result[at] != expected) {
			reason = reason "; should have " expected " on CPU " cpu \
				", but: " text[at]
		}
		if (cpu == 0)
			shown = text[at]
		else if (text[at] != text[guest " " name " cpu0"])
			shown = shown " | CPU " cpu ": " text[at]
	}
	sub(/^; /, "", reason)
	verdict(guest "/" name, reason)
	return shown
}

# A guest has to live through everything.
function judge_end(guest,    reason) {
	if (!(guest in ended))
		reason = "died before it was done"
	else if (ended[guest] != "0")
		reason = "its job ended with status " ended[guest]
	verdict(guest "/guest", reason)
}

function row(a, b, c) {
	printf "%-" width[1] "s  %-" width[2] "s  %s\n", a, b, c
}

/^#/ { next }

FNR == NR {
	order[++attacks] = $1
	title[$1] = $0
	sub(/^[^\t]*\t/, "", title[$1])
	next
}

$2 == "attack" {
	at = $1 " " $3 " " $4
	split("", value)
	for (i = 5; i <= NF && $i ~ /^[a-z-]+=[0-9a-fx]+$/; i++) {
		split($i, pair, "=")
		# Concatenated, it is a string and not a number.
		value[pair[1]] = pair[2] ""
	}
	text[at] = $i
	for (i++; i <= NF; i++)
		text[at] = text[at] " " $i
	result[at] = outcome($3, text[at])
	count[at]++
	next
}

$2 == "exit" { ended[$1] = $3 }

END {
	head[1] = "attack"
	head[2] = "guest with no-kvmcrpin"
	head[3] = "guest that pins"
	for (i = 1; i <= attacks; i++) {
		cell[i, 1] = title[order[i]]
		cell[i, 2] = judge("unpinned", order[i], "won")
		cell[i, 3] = judge("pinned", order[i], "lost")
	}
	judge_end("unpinned")
	judge_end("pinned")

	for (j = 1; j <= 2; j++) {
		width[j] = length(head[j])
		for (i = 1; i <= attacks; i++)
			if (length(cell[i, j]) > width[j])
				width[j] = length(cell[i, j])
	}
	row(head[1], head[2], head[3])
	row(dashes(width[1]), dashes(width[2]), dashes(length(head[3])))
	for (i = 1; i <= attacks; i++)
		row(cell[i, 1], cell[i, 2], cell[i, 3])
	exit failed
}

function dashes(n,    s) {
	while (length(s) < n)
		s = s "-"
	return s
}
