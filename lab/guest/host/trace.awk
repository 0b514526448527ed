# SPDX-License-Identifier: GPL-2.0-only
#
#	awk -v pins=N|none -v gates=N -v violations=N -f trace.awk TRACE
#
# Read a trace of the kvm_cr, kvm_msr and kvm_cr_pin_violation events of a guest, and
# print what should not be there: another number of violations, fewer writes that pin,
# fewer times that paging was turned on with pins, and a moment in which a vCPU with paging
# on lacks a bit that it has pinned. "reset" in the trace says that all vCPUs were, or are
# before they run again, "restored THREAD CR0 CR4 PINNED0 PINNED4" how one goes on.
#
# KVM traces no write that it has to emulate, which are all on an AMD CPU without decode
# assists, as the emulated one is. There this sees the pins and the violations only;
# /tmp/writes is there if it has seen more.

function hex(s,    n, i) {
	sub(/^0x/, "", s)
	for (i = 1; i <= length(s); i++)
		n = n * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
	return n + 0
}

function paging(vcpu) {
	return cr[vcpu, 0] >= 2147483648
}

function lacks(a, b) {
	return and(a + 0, b + 0) != b + 0
}

# A violation is traced before it is refused, and looks like a gap.
function check(register) {
	if (paging(vcpu) && !violations && lacks(cr[vcpu, register], pin[vcpu, register]))
		print "a gap in CR" register ": " $0
}

/ tracing_mark_write: reset/ { split("", pin); next }

/ tracing_mark_write: restored/ {
	sub(/.*restored /, "")
	cr[$1, 0] = hex($2)
	cr[$1, 4] = hex($3)
	pin[$1, 0] = hex($4)
	pin[$1, 4] = hex($5)
	next
}

/ kvm_cr_pin_violation: / {
	if (++refused > violations)
		print "a violation: " $0
	next
}

# The thread is the vCPU; its name may have spaces, and the numbers after it don't.
!match($0, /-[0-9]+ +\[[0-9]+\]/) { next }
{
	vcpu = substr($0, RSTART + 1)
	sub(/ .*/, "", vcpu)
	value = hex($NF)
}

/ kvm_cr: cr_write [04] = / {
	writes++
	was_paging = paging(vcpu)
	cr[vcpu, / cr_write 0 / ? 0 : 4] = value
	if (paging(vcpu) && !was_paging && pin[vcpu, 4])
		gated++
	check(0)
	check(4)
}

/ kvm_msr: msr_write 4b564d0[bc] = / && !/#GP/ {
	pinned++
	register = / 4b564d0b / ? 0 : 4
	if (lacks(value, pin[vcpu, register]))
		print "pins given back: " $0
	pin[vcpu, register] = value
}

END {
	if (refused < violations)
		print refused + 0 " violations, not " violations
	if (pins == "none" ? pinned : pinned < pins)
		print pinned + 0 " writes that pin, not " pins
	if (writes && gated < gates)
		print "paging turned on with pins " gated + 0 " times, not " gates
	if (writes)
		print writes >"/tmp/writes"
}
