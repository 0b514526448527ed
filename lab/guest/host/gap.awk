# SPDX-License-Identifier: GPL-2.0-only
#
#	awk -f gap.awk TRACE
#
# Read a trace of the kvm_cr, kvm_msr and kvm_cr_pin_violation events of a guest, and
# look for moments in which a vCPU with paging on lacks a bit that it has pinned, from
# when it has pinned it until it is reset, which userspace does and the trace does not
# show: a line "reset" says that all vCPUs were, or are before they run again.
#
# "restored THREAD CR0 CR4 PINNED0 PINNED4" says that a vCPU continues in this thread.
#
# KVM traces no write that it has to emulate, which are all on an AMD CPU without decode
# assists, as the emulated one is. There this sees the pins and the violations only.
#
# Prints "writes N", of CR0 and CR4 traced, "pins N", of successful writes that pin, "gates N", how often paging was turned
# on with pins, "violations N", and "gap ..." for each.

function hex(s,    n, i) {
	sub(/^0x/, "", s)
	for (i = 1; i <= length(s); i++)
		n = n * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
	return n + 0
}

# Is a bit of B missing in A?
function lacks(a, b) {
	return and(a + 0, b + 0) != b + 0
}

function gap(what) {
	print "gap line " NR ": " what ": " $0
}

/ tracing_mark_write: reset/ {
	split("", pin0)
	split("", pin4)
	next
}

/ tracing_mark_write: restored/ {
	sub(/.*restored /, "")
	paging[$1] = hex($2) >= 2147483648
	cr4[$1] = hex($3)
	pin0[$1] = hex($4)
	pin4[$1] = hex($5)
	next
}

/ kvm_cr_pin_violation: / { violations++; next }

# The thread is the vCPU; its name may have spaces, and the numbers after it don't.
{
	if (!match($0, /-[0-9]+ +\[[0-9]+\]/))
		next
	vcpu = substr($0, RSTART + 1)
	sub(/ .*/, "", vcpu)
	value = hex($NF)
}

/ kvm_cr: cr_write [04] = / { writes++ }

/ kvm_cr: cr_write 0 = / {
	if (value >= 2147483648 && !paging[vcpu] && pin4[vcpu])
		gates++
	paging[vcpu] = value >= 2147483648
	if (paging[vcpu] && lacks(value, pin0[vcpu]))
		gap("CR0")
	if (paging[vcpu] && lacks(cr4[vcpu], pin4[vcpu]))
		gap("CR4 is " cr4[vcpu] " when paging is turned on")
	# What turns paging off with pins that forbid it is a violation, and an
	# AP that was sent INIT is found to be without paging here.
}

/ kvm_cr: cr_write 4 = / {
	cr4[vcpu] = value
	if (paging[vcpu] && lacks(value, pin4[vcpu]))
		gap("CR4")
}

/ kvm_msr: msr_write 4b564d0b = / && !/#GP/ {
	pins++
	if (lacks(value, pin0[vcpu]))
		gap("pins are given back")
	pin0[vcpu] = value
}

/ kvm_msr: msr_write 4b564d0c = / && !/#GP/ {
	pins++
	if (lacks(value, pin4[vcpu]))
		gap("pins are given back")
	pin4[vcpu] = value
}

END {
	print "writes " writes + 0
	print "pins " pins + 0
	print "gates " gates + 0
	print "violations " violations + 0
}
