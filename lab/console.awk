# SPDX-License-Identifier: GPL-2.0-only
#
#	awk -v machine=NAME -f console.awk known-console CONSOLE
#
# Print each line on the console in which a kernel complains, and exit with 1 if there
# is one that known-console does not have, or lacks one that this machine always shows.
# A line that begins with a name in brackets is another machine's.

FILENAME == ARGV[1] {
	split($0, entry, "\t")
	if (entry[1] == machine)
		known[entry[3]] = entry[2]
	next
}

/^\[[^]]*[a-z]/ { next }

/\[ *[0-9]+\.[0-9]+\] .*(WARNING: |BUG: |kernel BUG at |Oops|UBSAN: |[Gg]eneral protection fault|[Kk]ernel panic|unchecked MSR access|soft lockup|hard LOCKUP|detected stalls?|self-detected stall|task .* blocked for more than|possible recursive locking|inconsistent lock state|bad unlock balance|suspicious RCU usage|DEBUG_LOCKS_WARN|refcount_t: |scheduling while atomic|irq .*: nobody cared)/ {
	for (string in known)
		if (index($0, string)) {
			seen[string]
			next
		}
	sub(/\r$/, "")
	print
	bad = 1
}

END {
	for (string in known)
		if (known[string] == "always" && !(string in seen)) {
			print "missing, although lab/known-console says always: " string
			bad = 1
		}
	exit bad
}
