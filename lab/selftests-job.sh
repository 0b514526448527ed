#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Job in the host: run the KVM selftests of "list", one after the other:
#
#	NAME:TEST[PARAMETER=N] [ARGUMENT...]
#
# with what modules/NAME has of KVM's modules, and that parameter for the vendor's; without
# these, with KVM as it is. The results get TAP, with the reason behind the name; the
# console gets what the tests print.

limit=120
out=/tmp/out
vendor=amd
grep -qw vmx /proc/cpuinfo && vendor=intel
loaded=:

# module NAME MODULE PARAMETER...: load it
module()
{
	file=modules/$1/$2.ko
	[ -e "$file" ] || file=/lib/modules/$2.ko
	shift 2
	insmod "$file" "$@"
}

# reload NAME PARAMETER: nothing if they are loaded
reload()
{
	[ "$1:$2" != "$loaded" ] || return 0
	# A test that was killed takes a moment to let go.
	for _ in 1 2 3 4 5; do
		rmmod "kvm_$vendor" 2>$out && break
		sleep 1
	done
	if [ "$1" != "${loaded%%:*}" ]; then
		loaded=unknown:
		rmmod kvm 2>>$out
		# shellcheck disable=SC2046 # none or one
		module "$1" kvm $(grep -o 'force_emulation_prefix=.' /proc/cmdline) 2>>$out || return
	fi
	loaded=$1:unknown
	# shellcheck disable=SC2086 # none or one
	module "$1" "kvm-$vendor" $2 2>>$out || return
	[ -z "$2" ] || case ${2#*=}:$(cat "/sys/module/kvm_$vendor/parameters/${2%%=*}") in
	0:N|0:0|1:Y|1:1) ;;
	*) echo "$2 had no effect" >>$out; return 1 ;;
	esac
	loaded=$1:$2
}

# Why a test failed: the assertion and its message, of each case that is not ok
why_failed()
{
	awk '
		function part(name) {
			parts = parts (parts ? " | " : "") name text
			text = ""
			on = 0
		}
		/Test Assertion Failure/ { on = 1; next }
		/^not ok/ { sub(/^not ok [0-9]* (- )?/, ""); part($0 ": "); next }
		/^ok/ { text = ""; on = 0; next }
		/^# .*:[0-9]+:/ || on && !/^  pid=|^ +[0-9]+\t|^#|^$|addr2line/ {
			sub(/^[# ]+/, "")
			if (length(text) < 250)
				text = text (text ? ", " : "") $0
		}
		END {
			if (!parts)
				part("")
			print parts
		}' $out
}

# try NAME PROGRAM PARAMETER ARGUMENT...: set verdict and reason
try()
{
	name=$1 program=$2 parameter=$3
	shift 3
	# Only this test's messages shall be there to look at below.
	dmesg -c >/dev/null
	if ! reload "$name" "$parameter"; then
		verdict=unloaded reason="cannot load kvm-$vendor: $(head -n 1 $out)"
		return
	fi
	(cd "tests/${program%/*}" &&
		exec timeout -s KILL "$limit" "./${program##*/}" "$@") >$out 2>&1 </dev/null 3>&-
	status=$?
	# What it left behind would take the processors from the next one.
	kill -KILL -1
	cut -c 1-300 $out | tail -n 300
	case $status in
	0)	# What it has left out all the same
		verdict=ok
		reason=$(sed -n 's/^ok [0-9]* \(.*\) *# SKIP *-* *\(.*\)/without \1 (\2)/p' $out | paste -s -d ,)
		;;
	4)	verdict="ok SKIP"
		reason=$(sed -n 's/.*# SKIP *-* *//p; s/.*skipping test.*/&/p; s/.*not enabled.*/&/p' $out | head -n 1)
		;;
	137)	verdict=hung reason="no end within $limit s" ;;
	*)	verdict=failed reason=$(why_failed) reason=${reason:-status $status} ;;
	esac
	# A kernel that complains has failed, whatever the test thinks.
	# shellcheck disable=SC2154 # the kernel's command line sets machine
	bad=$(dmesg | awk -v "machine=$machine" -f console.awk known-console - | head -n 1)
	[ -z "$bad" ] || verdict=complaint reason="the kernel says: $bad${reason:+, and the test: $reason}"
}

n=0
while read -r test arguments; do
	n=$((n + 1))
	program=${test#*:}
	name=${test%"$program"}
	parameter=${program#"${program%%\[*}"}
	parameter=${parameter#\[}
	set -- "${name%:}" "${program%%\[*}" "${parameter%\]}"
	echo "=== $test $arguments"
	# shellcheck disable=SC2086 # a list
	try "$@" $arguments
	# An emulator that has to wait for a processor breaks what a test assumes about
	# time: then it is started once more, and that is said. The tests of pinning are not.
	case $machine:$verdict:$test in
	*/cr_pin*) ;;
	tcg:failed:*|bochs:failed:*)
		first=$reason
		echo "=== again, after $first"
		# shellcheck disable=SC2086 # a list
		grep -qxF "$test" known || try "$@" $arguments
		[ "$verdict" != ok ] || reason="at the second start; the first: $first"
		;;
	esac
	line="$n - $test${arguments:+ $arguments}"
	case $verdict in
	ok) line="ok $line${reason:+ # $reason}" ;;
	'ok SKIP') line="ok $line # SKIP ${reason:-without a reason}" ;;
	*) line="not ok $line # $reason" ;;
	esac
	echo "=== $line"
	echo "$line" >&3
done <list
