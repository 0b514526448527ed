#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Job in the host: run the KVM selftests of "list", one after the other. One line
# each for the results: pass, fail, skip or timeout, the test's name, and the
# reason. The console gets what they print. With TEST[PARAM=N], the vendor's module
# of KVM is loaded with that parameter.

limit=120
out=/tmp/out

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

# What a test that passes has left out all the same
left_out()
{
	sed -n 's/^ok [0-9]* \(.*\)# SKIP *-* */without \1(/p' $out |
		sed 's/$/)/' | paste -s -d ' '
}

vendor=amd
grep -qw vmx /proc/cpuinfo && vendor=intel
loaded=

# reload PARAMETER: nothing if it is empty
reload()
{
	[ "$1" != "$loaded" ] || return 0
	loaded=unknown
	# A test that was killed takes a moment to let go.
	for _ in 1 2 3 4 5; do
		rmmod "kvm_$vendor" 2>$out && break
		sleep 1
	done
	# shellcheck disable=SC2086 # none or one
	insmod "/lib/modules/kvm-$vendor.ko" $1 2>>$out || return 1
	[ -z "$1" ] || case ${1#*=}:$(cat "/sys/module/kvm_$vendor/parameters/${1%%=*}") in
	0:N|0:0|1:Y|1:1) ;;
	*) echo "$1 had no effect" >>$out; return 1 ;;
	esac
	loaded=$1
}

# try TEST: set verdict and reason
try()
{
	# Only this test's messages shall be there to look at below.
	dmesg -c >/dev/null
	program=${1%%\[*}
	parameter=${1#"$program"}
	parameter=${parameter#\[}
	if ! reload "${parameter%\]}"; then
		verdict=fail reason="cannot load kvm-$vendor: $(head -n 1 $out)"
		return
	fi
	(cd "tests/${program%/*}" &&
		exec timeout -s KILL "$limit" "./${program##*/}") >$out 2>&1 </dev/null 3>&-
	status=$?
	# What it left behind would take the processors from the next one.
	kill -KILL -1
	cut -c 1-300 $out | tail -n 300
	case $status in
	0) verdict=pass reason=$(left_out) ;;
	4) verdict=skip reason=$(skip_reason) ;;
	137) verdict=timeout reason="no end within $limit s" ;;
	*) verdict=fail reason="status $status, $(fail_reason)" ;;
	esac
	# A kernel that complains has failed, whatever the test thinks.
	bad=$(dmesg | grep -E -m 1 'WARNING: |BUG: |Oops: |UBSAN: |general protection fault')
	if [ -n "$bad" ]; then
		verdict=kernel
		reason="the kernel says: $bad"
	fi
}

# An emulator that has to wait for a processor breaks what a test assumes about
# time: such a test may try again, and that is said. The test of pinning may not.
run()
{
	echo "=== $1"
	begin=$(date +%s)
	try "$1"
	for again in second third; do
		case $verdict:$1 in
		*cr_pin*) break ;;
		fail:*|timeout:*) ;;
		*) break ;;
		esac
		first=$reason
		echo "=== again, after $reason"
		try "$1"
		[ "$verdict" != pass ] || reason="at the $again try, first: $first"
	done
	echo "=== $verdict $1 $reason ($(($(date +%s) - begin)) s)"
	echo "$verdict $1 $reason" >&3
}

while read -r test; do
	run "$test"
done <list
