# SPDX-License-Identifier: GPL-2.0-only
#
#	awk -f judge.awk -v verdicts=FILE RESULTS
#
# Prints what a guest with CET reported, one line a step, and writes "pass cet: STEP"
# or "fail cet: STEP REASON" to FILE for each step that there should have been.
# Exits with 1 if one fails.

# Is the bit of that weight set in a hexadecimal number?
function has(value, bit) {
	return int(number(value) / bit) % 2
}

function number(hex,    i, n) {
	hex = tolower(hex)
	if (hex !~ /^0x[0-9a-f]+$/)
		return 0
	for (i = 3; i <= length(hex); i++)
		n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
	return n
}

# Are all bits of one in the other, too?
function within(some, all,    bit) {
	for (bit = 1; bit <= number(some); bit *= 2)
		if (has(some, bit) && !has(all, bit))
			return 0
	return 1
}

function complain(what) {
	reason = reason (reason == "" ? "" : "; ") what
}

function judge(step, cpus,    cpu, at, f) {
	reason = ""
	if (!(step in cet))
		complain("the kernel doesn't say that it found CET")
	if (!(step in pins))
		complain("the kernel doesn't say that it pinned")
	else if (!has(pins0[step], WP) || !has(pins4[step], CET))
		complain("the kernel doesn't pin WP and CET")
	for (cpu = 0; cpu < cpus; cpu++) {
		at = step " " cpu
		if (!(at in msr) || !(at in seen)) {
			complain("nothing of CPU " cpu)
			continue
		}
		split(msr[at], f)
		if (number(f[1]) != number(pins0[step]) ||
		    number(f[2]) != number(pins4[step]))
			complain("CPU " cpu " has pinned " f[1] " " f[2])
		if (!has(f[3], ENDBR_EN))
			complain("CPU " cpu " has no IBT, S_CET is " f[3])
		split(seen[at], f)
		if (!has(f[1], CET) || !within(pins4[step], f[1]))
			complain("CPU " cpu " has CR4 " f[1])
		if (number(f[2]) != number(pins0[step]) ||
		    number(f[3]) != number(pins4[step]))
			complain("QEMU says that CPU " cpu " has pinned " f[2] " " f[3])
	}
	verdict(step, reason, cpus (cpus > 1 ? " CPUs" : " CPU") ", CR4 " f[1] ", pinned " pins0[step] " and " pins4[step])
}

function verdict(name, reason, seen) {
	if (reason == "") {
		printf "%-14s  %s\n", name, seen
		print "pass cet: " name >verdicts
	} else {
		printf "%-14s  FAILED: %s\n", name, reason
		print "fail cet: " name " " reason >verdicts
		failed = 1
	}
}

BEGIN {
	WP = 65536
	CET = 8388608
	ENDBR_EN = 4
}

$2 == "kernel" && /CET detected: Indirect Branch Tracking enabled/ { cet[$1] = 1 }
$2 == "kernel" && match($0, /pinned CR0 bits 0x[0-9a-f]+, CR4 bits 0x[0-9a-f]+/) {
	split(substr($0, RSTART, RLENGTH), word, /[ ,]+/)
	pins[$1] = 1
	pins0[$1] = word[4]
	pins4[$1] = word[7]
}
$2 == "msr" { msr[$1 " " $3] = $4 " " $5 " " $6 }
$2 == "cpu" { seen[$1 " " $3] = $4 " " $5 " " $6 }
# The host has an exit status, too, later.
$1 == "exit" && qemu == "" { guest = $2 }
$1 == "qemu" { qemu = $2 }
$1 == "refused" && refused == "" { refused = $0 }

# What the pretence of lab/cet/host/cet.c costs, once each: there is nothing in CPUID
# to tell guests of, and in the FPU's state no place for what INIT resets.
$1 == "host" && !/ __do_cpuid_func| fpstate_clear_xstate_component/ {
	sub(/^host /, "")
	complaint = $0
}

END {
	split("first next", kernel)
	for (i = 1; i <= 2; i++) {
		judge(kernel[i] "-boot", 2)
		judge(kernel[i] "-offline", 1)
		judge(kernel[i] "-online", 2)
	}
	verdict("end", qemu != "0" ? "QEMU ended with status " qemu : \
		guest != "0" ? "the guest ended with status " guest : \
		refused != "" ? "KVM " refused : \
		complaint != "" ? "the host says: " complaint : "", \
		"the guest is done, KVM refused nothing")
	exit failed
}
