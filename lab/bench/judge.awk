# SPDX-License-Identifier: GPL-2.0-only
#
#	awk -v tap=FILE -f judge.awk RESULTS
#
# Print the results, "VENDOR KERNEL PINS WHAT N", as one table, and to FILE for each
# row whether it is as it has to be. What was not measured is not.

{ value[$1, $2, $3, $4] = $5 }

function ratio(n) {
	return n != "" && before > 0 ? sprintf("%.4f", n / before) : ""
}

# row VENDOR WHAT TITLE LIMIT EXTRA: the patched kernel needs at most LIMIT times as many
# as the one before pinning, and a guest that pins EXTRA more. Linux guests don't run on
# that one, they are compared with the base.
function row(vendor, what, title, limit, extra,    base, unpinned, pinned, good) {
	base = before = value[vendor, "base", "unpinned", what]
	if ((vendor, "fixes", "unpinned", what) in value)
		before = value[vendor, "fixes", "unpinned", what]
	unpinned = value[vendor, "patched", "unpinned", what]
	pinned = value[vendor, "patched", "pinned", what]
	if (what ~ /^pin-/)
		# Guests of the base don't know them.
		good = base == "0" && unpinned != "" && pinned == unpinned + extra
	else
		good = before != "" && unpinned != "" && unpinned <= before * limit &&
			(vendor == "size" || pinned != "" && pinned - extra <= before * limit)
	if (limit == 1)
		good = good && unpinned == before && pinned == before + extra
	printf "  %-40s %8s %8s %8s %7s %8s %7s\n", title, base, before, unpinned,
		ratio(unpinned), pinned, ratio(pinned)
	print (good ? "ok " : "not ok ") ++rows " - " vendor ": " title \
		(good ? "" : " # " before ", " unpinned ", " pinned ": wanted at most " limit " times as many, and " extra + 0) >tap
}

END {
	printf "  %-40s %8s %8s %8s %7s %8s %7s\n", "", "base", "before", "patched", "ratio",
		"pinned", "ratio"
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
	# compiler make others elsewhere. The measurement itself has no error.
	for (i = split("intel amd", vendors); i; i--) {
		v = vendors[i]
		print "instructions of the host per exit, " v
		row(v, "cpuid", "CPUID", 1.001)
		row(v, "hypercall", "hypercall that does nothing", 1.001)
		row(v, "rdmsr", "RDMSR", 1.001)
		row(v, "wrmsr", "WRMSR", 1.001)
		row(v, "cr0", "MOV to CR0", 1.005)
		row(v, "cr4", "MOV to CR4", 1.005)
		row(v, "lmsw", "LMSW", 1.005)
		# VMX: VM-Entry looks at the host state in vmcs12, and up what L2 owns of CR4.
		row(v, "nested", "VM-Entry to L2 and VM-Exit to L1", 1.003)
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
