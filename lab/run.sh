#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Boot a kernel as a virtualization host, have it run a job, return the job's status:
#
#	run.sh -k BZIMAGE -i INITRAMFS -j JOBDIR -l CONSOLE -r RESULTS -t SECONDS
#		[-a CMDLINE] [-m MEMORY] [-c CPUS] [-e amd|intel] [-n]
#
#	-k, -i	kernel and initramfs to boot
#	-j	directory that becomes /job; its "run" is executed (symbolic links are
#		followed, so that it can point to what is large)
#	-l, -r	files that receive the console and the results (the job's fd 3)
#	-t	limit for the whole run
#	-a	words added to the kernel's command line
#	-m, -c	MB of memory and CPUs; default: what suits the machine
#	-e	vendor that the machine's CPU is of; default: amd
#	-n	have the machine's clock count instructions: it is emulated and has one
#		CPU, so that nothing depends on what else runs here
#
# The status is 3 if the job's was 0 but the kernel complained on the console, 124 when
# the time was over, 125 when the machine ended without a result.
#
# AMD's machine, with SVM, is emulated by QEMU, Intel's, with VMX, by Bochs. ACCEL=kvm in
# the environment has it run under KVM instead if this machine's CPU is of that vendor.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

kernel='' initramfs='' job='' log='' results='' limit='' append='' memory='' cpus='' vendor=amd count=''
while getopts k:i:j:l:r:t:a:m:c:e:n opt; do
	case $opt in
	k) kernel=$OPTARG ;;
	i) initramfs=$OPTARG ;;
	j) job=$OPTARG ;;
	l) log=$OPTARG ;;
	r) results=$OPTARG ;;
	t) limit=$OPTARG ;;
	a) append=$OPTARG ;;
	m) memory=$OPTARG ;;
	c) cpus=$OPTARG ;;
	e) vendor=$OPTARG ;;
	n) count=y cpus=1 ;;
	*) exit 2 ;;
	esac
done
if [ $# -ge $OPTIND ] || [ -z "$log" ] || [ -z "$results" ] || [ -z "$limit" ]; then
	die "usage: see $0"
fi
[ -r "$kernel" ] || die "no kernel $kernel: make kernel"
[ -r "$initramfs" ] || die "no initramfs $initramfs: make kernel"
[ -x "$job/run" ] || die "$job/run is missing or not executable"

[ -z "$count" ] || ACCEL=
accel=$(accel_of "$vendor")
case $accel in
kvm)
	if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
		die "ACCEL=kvm, but /dev/kvm cannot be opened"
	elif grep -qs '^[N0]' "/sys/module/kvm_$vendor/parameters/nested"; then
		die "ACCEL=kvm, but the module kvm_$vendor has nested=0"
	fi
	;;
*) [ -z "${ACCEL-}" ] || say "this CPU is not of $vendor: emulated in spite of ACCEL=kvm" ;;
esac

# absolute FILE: a machine has a directory of its own
absolute()
{
	mkdir -p "$(dirname "$1")"
	echo "$(cd "$(dirname "$1")" && pwd)/${1##*/}"
}
build=$PWD/build
kernel=$(absolute "$kernel")
log=$(absolute "$log")
results=$(absolute "$results")
tmp=$log.tmp

# The machine does not outlive this script, or not by much.
pid=
# shellcheck disable=SC2317 # called by the trap
cleanup()
{
	[ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || :
	rm -rf "$tmp"
}
on_exit cleanup
# limited COMMAND...: it ends when the time is over, and when this script is killed
limited()
{
	exec setpriv --pdeathsig TERM timeout -k 1 "$limit" setpriv --pdeathsig KILL "$@"
}
# shellcheck source=lab/machine-qemu.sh
. "$PWD/lab/machine-$(case $accel in bochs) echo bochs ;; *) echo qemu ;; esac).sh"

# The kernel unpacks archives that follow each other as if they were one.
rm -rf "$tmp"
mkdir "$tmp"
ln -s "$(cd "$job" && pwd)" "$tmp/job"
cp "$initramfs" "$tmp/initrd"
(cd "$tmp" && find -L job | sort | cpio -o -L -H newc -R 0:0 --quiet) >>"$tmp/initrd"

: >"$log"
: >"$results"
machine </dev/null >"$tmp/machine" 2>&1 &
pid=$!
status=0
wait "$pid" || status=$?
pid=

# fail STATUS WHAT: with the end of the console, and what the emulator says
fail()
{
	say "$2; the end of $log:" >&2
	{
		tail -n 30 "$log"
		echo
		emulator_says | tail -n 15 | sed 's/^/machine: /' | tee -a "$log"
	} | tr -d '\r' | sed 's/^/    /' >&2
	exit "$1"
}

case $status in
124|137) fail 124 "the machine did not finish within $limit seconds" ;;
esac
code=$(sed -n '$s/^exit \([0-9][0-9]*\)$/\1/p' "$results")
[ -n "$code" ] || fail 125 "the machine ended without a result"
bad=$(awk -v machine="$accel" -f lab/console.awk lab/known-console "$log") || {
	say "the kernel complains in $log:"
	echo "$bad" | sed 's/^/    /' >&2
	[ "$code" -ne 0 ] || code=3
}
[ "$code" -eq 0 ] || [ "$code" -eq 3 ] || fail "$code" "the job failed with status $code"
exit "$code"
