# SPDX-License-Identifier: GPL-2.0-only
#
#	awk -v name=GUEST -f count.awk TRACE
#
# Count exits due to control registers and accesses to MSRs in a trace of one
# guest's kvm_exit and kvm_msr events, the former without those of the firmware.

# How often the firmware goes from one mode to another depends on how long it has
# to wait for something. It does so below 1 MB, where the kernel never is.
function firmware(rip) {
	sub(/^0x/, "", rip)
	sub(/^0+/, "", rip)
	return length(rip) <= 5
}

/ kvm_exit: / {
	for (i = 1; i <= NF; i++)
		if ($i == "rip" && !firmware($(i + 1)))
			n["cr"]++
}

/ kvm_msr: / {
	for (i = 1; i <= NF; i++) {
		if ($i !~ /^msr_(read|write)$/)
			continue
		kind = "msr"
		if ($(i + 1) ~ /^4b564d(09|0[a-e])$/)
			kind = $i == "msr_read" ? "pin-reads" : "pin-writes"
		n[kind]++
	}
}

END {
	split("cr msr pin-reads pin-writes", kinds)
	for (i = 1; i <= 4; i++)
		print "linux", name, kinds[i], n[kinds[i]] + 0
}
