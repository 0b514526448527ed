# SPDX-License-Identifier: GPL-2.0-only
#
#	awk -v tap=FILE -f judge.awk RESULTS
#
# Print the results, "VENDOR KERNEL PINS WHAT N", as one table, and to FILE for each
# row whether it is as it has to be. What was not measured is not.

{ value[$1, $2, $3, $4] = $5 }

function ratio(n) {
	return base > 0 ? sprintf("%.4f", n / base) : "-"
}

# row VENDOR WHAT TITLE LIMIT EXTRA: the patched kernel needs at most LIMIT times as many
# as the base, and a guest that pins EXTRA more
function row(vendor, what, title, limit, extra,    unpinned, pinned, good) {
	base = value[vendor, "base", "unpinned", what]
	unpinned = value[vendor, "patched", "unpinned", what]
	pinned = value[vendor, "patched", "pinned", what]
	if (what ~ /^pin-/)
		# Guests of the base don't know them.
		good = base == "0" && unpinned != "" && pinned == unpinned + extra
	else
		good = base != "" && unpinned != "" && unpinned <= base * limit &&
			(vendor == "size" || pinned != "" && pinned - extra <= base * limit)
	if (limit == 1)
		good = good && unpinned == base && pinned == base + extra
	printf "  %-40s %8s %8s %7s %8s %7s\n", title, base, unpinned, ratio(unpinned),
		pinned, pinned == "" ? "" : ratio(pinned)
	print (good ? "ok " : "not ok ") ++rows " - " vendor ": " title \
		(good ? "" : " # " base ", " unpinned ", " pinned ": wanted at most " limit " times as many, and " extra + 0) >tap
}

END {
	printf "  %-40s %8s %8s %7s %8s %7s\n", "", "base", "patched", "ratio", "pinned", "ratio"
	for (i = split("intel amd", vendors); i; i--) {
		v = vendors[i]
		print "exits, " v
		row(v, "exits", "fixed load, all but interrupts", 1, 2)
		row(v, "cr", "Linux, control registers", 1)
		row(v, "msr", "Linux, MSRs but the APIC's and the pins'", 1)
		# To look at what is held, and, if it asks, at what is allowed and there already
		row(v, "pin-reads", "Linux, reads of the pins' MSRs", "", 4)
		row(v, "pin-writes", "Linux, writes of the pins' MSRs", "", 2)
	}
	# Pinning may add so many instructions to a write of CR0 or CR4, and may have the
	# compiler make others elsewhere. The measurement itself has no error. LMSW can be
	# refused now, and no guest of today uses it.
	for (i = split("intel amd", vendors); i; i--) {
		v = vendors[i]
		print "instructions of the host per exit, " v
		row(v, "cpuid", "CPUID", 1.001)
		row(v, "hypercall", "hypercall that does nothing", 1.001)
		row(v, "rdmsr", "RDMSR", 1.001)
		row(v, "wrmsr", "WRMSR", 1.001)
		row(v, "cr0", "MOV to CR0", 1.005)
		row(v, "cr4", "MOV to CR4", 1.005)
		row(v, "lmsw", "LMSW", 1.02)
		# VMX: a fix has KVM look up what L2 owns of CR4 for each entry.
		row(v, "nested", "VM-Entry to L2 and VM-Exit to L1", 1.002)
		# SVM: it exits, and is a write of CR0 for KVM.
		row(v, "l2-cr0", "MOV to CR0 by L2, of WP", 1.005)
		# It looks at the pins of all others.
		row(v, "sipi", "INIT, SIPI, and the first exit", 1.05)
	}
	print "bytes of code and data"
	for (i = split("kvm-intel.ko kvm-amd.ko kvm.ko vmlinux", files); i; i--)
		row("size", files[i], files[i], 1.01)
	print "1.." rows >tap
}
