#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Job in the host: run the KVM selftests one after the other. One line each for
# the results: pass, fail, skip or timeout, the test's name, and the reason. The
# console gets all they print.

limit=${LIMIT:-60}
out=/tmp/out

# Those that measure and load memory are told to take little of it: an emulator
# has no speed to measure.
arguments()
{
	case $1 in
	access_tracking_perf_test|demand_paging_test|dirty_log_perf_test) echo "-b 16M" ;;
	kvm_page_table_test) echo "-b 64M" ;;
	memslot_modification_stress_test) echo "-b 16M -i 1" ;;
	memslot_perf_test) echo "-l 1 -s 64" ;;
	mmu_stress_test) echo "-m 8 -s 1" ;;
	esac
}

# The reason for a skip, as the harness gives it
skip_reason()
{
	sed -n 's/.*# SKIP *-* *//p; s/.*skipping test.*/&/p; s/.*not enabled.*/&/p' $out |
		head -n 1
}

# The failed assertion, or the first test case that is not ok
fail_reason()
{
	awk '/Test Assertion Failure/ { on = 1; next }
	     on && /^  [^ ].*:[0-9]+: / { print; exit }
	     /^not ok/ { print; exit }' $out | sed 's/^ *//'
}

run()
{
	test=$1
	echo "=== $test"
	begin=$(date +%s)
	# Only this test's messages shall be there to look at below.
	dmesg -c >/dev/null
	dir=$(dirname "tests/$test")
	# shellcheck disable=SC2046 # words
	(cd "$dir" && exec timeout -s KILL $limit "./${test##*/}" $(arguments "$test")) >$out 2>&1 </dev/null 3>&-
	status=$?
	# What it left behind would take the processors from the next one.
	kill -KILL -1
	cat $out
	case $status in
	0) verdict=pass reason= ;;
	4) verdict=skip reason=$(skip_reason) ;;
	137) verdict=timeout reason="no end within $limit s" ;;
	*) verdict=fail reason="status $status, $(fail_reason)" ;;
	esac
	# A kernel that complains has failed, whatever the test thinks.
	bad=$(dmesg | grep -E -m 1 'WARNING: |BUG: |Oops: |UBSAN: |general protection fault')
	if [ -n "$bad" ]; then
		verdict=fail
		reason="the kernel says: $bad"
	fi
	echo "=== $verdict $test $reason ($(($(date +%s) - begin)) s)"
	echo "$verdict $test $reason" >&3
}

while read -r test; do
	run "$test"
done <list
