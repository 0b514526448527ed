# SPDX-License-Identifier: GPL-2.0-only
#
#	awk -f judge.awk RESULTS
#
# Print the results as one table, and for each requirement whether it is met. What
# was not measured meets nothing. Exits with 1 if a requirement is missed.

BEGIN {
	# The instructions that pinning may add to an exit due to a write of CR0 or
	# CR4, and what may come or go elsewhere when the compiler is given
	# different code. The measurement itself has no error.
	cr_limit = 1.01
	null_limit = 1.001
	# It can now be refused, and no guest of today uses it.
	lmsw_limit = 1.02
}

# VENDOR KERNEL insns PINS OP N; VENDOR KERNEL exits PINS N WRITES
$3 == "insns" { value[$1, $2, $4, $5] = $6; next }
$3 == "exits" {
	value[$1, $2, $4, "exits"] = $5
	value[$1, $2, $4, "writes"] = $6
	next
}
# VENDOR KERNEL linux GUEST WHAT N...
$3 == "linux" {
	value[$1, $2, $4, "linux-" $5] = $6
	next
}
# size KERNEL FILE BYTES
$1 == "size" { value["size", $2, $3] = $4; files[$3] }

function ratio(base, patched) {
	return base > 0 ? sprintf("%.4f", patched / base) : "-"
}

function row(title, base, patched, pinned) {
	printf "  %-40s %8s %8s %7s", title, base, patched, ratio(base, patched)
	if (pinned != "")
		printf " %8s %7s", pinned, ratio(base, pinned)
	print ""
}

# What was measured, or else a complaint
function get(vendor, kernel, pins, what,    key) {
	key = vendor SUBSEP kernel SUBSEP pins SUBSEP what
	if (!(key in value)) {
		miss("no result: " vendor ", " kernel " kernel, " pins ", " what)
		return 0
	}
	return value[key]
}

function miss(what) {
	missed[requirement] = missed[requirement] "\n    " what
}

function equal(what, a, b) {
	if (a != b)
		miss(what ": " a " and " b)
}

# A row of instructions, of which there may not be more than LIMIT times as many
function insns(vendor, op, title, limit,    base, patched, pinned) {
	base = get(vendor, "base", "unpinned", op)
	patched = get(vendor, "patched", "unpinned", op)
	pinned = get(vendor, "patched", "pinned", op)
	row(title, base, patched, pinned)
	if (base <= 0 || patched <= 0 || patched > base * limit)
		miss(name[vendor] ", " title ": " ratio(base, patched))
	if (base <= 0 || pinned <= 0 || pinned > base * limit)
		miss(name[vendor] ", " title ", pinned: " ratio(base, pinned))
}

# A row of exits: the same number, but for EXTRA of a guest that pins
function exits(vendor, what, title, extra,    base, unpinned, pinned, of) {
	of = name[vendor] ", " title
	base = get(vendor, "base", "unpinned", what)
	unpinned = get(vendor, "patched", "unpinned", what)
	pinned = get(vendor, "patched", "pinned", what)
	row(title, base, unpinned, pinned)
	if (base <= 0)
		miss(of ": none")
	equal(of ", base and patched", base, unpinned)
	equal(of ", unpinned and pinned less the pin writes", unpinned, pinned - extra)
}

function judge_exits(vendor,    writes, base, unpinned, pinned) {
	requirement = "exits"
	writes = get(vendor, "patched", "pinned", "writes")
	if (writes <= 0)
		miss(name[vendor] ": the fixed load did not pin")
	exits(vendor, "exits", "fixed load, all but interrupts", writes)

	base = get(vendor, "base", "unpinned", "linux-exit")
	unpinned = get(vendor, "patched", "unpinned", "linux-exit")
	pinned = get(vendor, "patched", "pinned", "linux-exit")
	equal(name[vendor] ", Linux, status of the guests' jobs", "0 0 0",
	      base " " unpinned " " pinned)
	exits(vendor, "linux-cr", "Linux, control registers", 0)
	exits(vendor, "linux-msr", "Linux, MSRs but the APIC's and the pins'", 0)

	base = get(vendor, "base", "unpinned", "linux-pin-reads")
	unpinned = get(vendor, "patched", "unpinned", "linux-pin-reads")
	pinned = get(vendor, "patched", "pinned", "linux-pin-reads")
	row("Linux, reads of the pins' MSRs", base, unpinned, pinned)
	equal(name[vendor] ", Linux, reads of the pins' MSRs, unpinned and pinned",
	      unpinned, pinned)

	base = get(vendor, "base", "unpinned", "linux-pin-writes")
	unpinned = get(vendor, "patched", "unpinned", "linux-pin-writes")
	pinned = get(vendor, "patched", "pinned", "linux-pin-writes")
	row("Linux, writes of the pins' MSRs", base, unpinned, pinned)
	equal(name[vendor] ", Linux, writes of the pins' MSRs, unpinned", unpinned, 0)
	equal(name[vendor] ", Linux, writes of the pins' MSRs, pinned", pinned, 2)
	if (get(vendor, "patched", "pinned", "linux-pins") !~ /^0x/)
		miss(name[vendor] ", Linux, does not say that it has pinned")
}

function judge_insns(vendor) {
	requirement = "null"
	insns(vendor, "cpuid", "CPUID", null_limit)
	insns(vendor, "hypercall", "hypercall that does nothing", null_limit)
	insns(vendor, "rdmsr", "RDMSR", null_limit)
	insns(vendor, "wrmsr", "WRMSR", null_limit)
	requirement = "cr"
	insns(vendor, "cr0", "MOV to CR0", cr_limit)
	insns(vendor, "cr4", "MOV to CR4", cr_limit)
	insns(vendor, "lmsw", "LMSW", lmsw_limit)
}

function verdict(which, what) {
	if (missed[which] == "") {
		print "pass bench: " what
	} else {
		print "FAILED bench: " what missed[which]
		failed = 1
	}
}

END {
	name["amd"] = "AMD"
	name["intel"] = "Intel"
	n = split("amd intel", vendors)

	printf "  %-40s %8s %8s %7s %8s %7s\n", "", "base", "patched", "ratio",
	       "pinned", "ratio"
	for (i = 1; i <= n; i++) {
		print "exits, " name[vendors[i]]
		judge_exits(vendors[i])
	}
	for (i = 1; i <= n; i++) {
		print "instructions of the host per exit, " name[vendors[i]]
		judge_insns(vendors[i])
	}
	requirement = "size"
	print "bytes of code and data"
	n = split("vmlinux kvm.ko kvm-amd.ko kvm-intel.ko", order)
	for (i = 1; i <= n; i++) {
		if (value["size", "base", order[i]] <= 0 || value["size", "patched", order[i]] <= 0)
			miss("no size of " order[i])
		row(order[i], value["size", "base", order[i]], value["size", "patched", order[i]])
	}

	print ""
	verdict("exits", "a guest that pins exits more often only to write the pins")
	verdict("null", "exits that are not due to CR0 or CR4 take no more instructions")
	verdict("cr", "those due to MOV to CR0 or CR4 take at most " cr_limit " times as many, LMSW " lmsw_limit)
	verdict("size", "sizes are known")
	exit failed
}
