#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Boot a kernel as a virtualization host, have it run a job, return the job's
# exit status. See usage() below for the options.
#
# The machine runs under KVM where /dev/kvm can run a guest that runs a guest
# itself. Everywhere else it is emulated: an AMD machine with SVM by QEMU, an Intel
# machine with VMX by Bochs, which can be AMD's, too. LAB_ACCEL=kvm, tcg or bochs in
# the environment decides it by hand.

set -eu

usage()
{
	cat >&2 <<-END
	usage: run.sh -k BZIMAGE -i INITRAMFS -j JOBDIR -l CONSOLE_LOG -r RESULTS -t SECONDS
	              [-a CMDLINE] [-m MEMORY] [-c CPUS] [-e amd|intel] [-n]

	  -k, -i   kernel and initramfs to boot
	  -j       directory that becomes /job; its "run" is executed (symbolic links
	           are followed, so that it can point to what is large)
	  -l, -r   files that receive the console and the results (the job's fd 3)
	  -t       limit for the whole run
	  -a       words added to the kernel's command line
	  -m, -c   MB of memory and CPUs; default: what suits the machine
	  -e       vendor the machine's CPU must be of; default: whatever is fastest
	  -n       have the machine's clock count instructions: it is emulated and has
	           one CPU, so that nothing depends on what else runs here

	The exit status is the job's, 124 when the time was over, 125 when the machine
	ended without a result.
	END
	exit 2
}

die()
{
	echo "run.sh: $*" >&2
	exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
kernel='' initramfs='' job='' log='' results='' limit='' append='' memory='' cpus='' vendor='' count=''
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
	n) count=y ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
if [ $# -ne 0 ] || [ -z "$kernel" ] || [ -z "$initramfs" ] || [ -z "$job" ] ||
   [ -z "$log" ] || [ -z "$results" ] || [ -z "$limit" ]; then
	usage
fi

[ -r "$kernel" ] || die "no kernel $kernel: make kernel"
[ -r "$initramfs" ] || die "no initramfs $initramfs: make initramfs"
[ -x "$job/run" ] || die "$job/run is missing or not executable"
case $limit in
''|*[!0-9]*) die "-t wants seconds, not \"$limit\"" ;;
esac
case $vendor in
''|amd|intel) ;;
*) usage ;;
esac
accel=$("$here/accel.sh" "$kernel" "$initramfs" "$vendor")
if [ -n "$count" ]; then
	[ "$accel" != kvm ] || die "-n needs an emulator: LAB_ACCEL=tcg"
	cpus=1
fi
if [ "$accel" = bochs ]; then
	# shellcheck source=lab/machine-bochs.sh
	. "$here/machine-bochs.sh"
else
	# shellcheck source=lab/machine-qemu.sh
	. "$here/machine-qemu.sh"
fi
for tool in $tools cpio timeout; do
	command -v "$tool" >/dev/null || die "$tool is missing: make packages"
done

# absolute FILE: a machine has a directory of its own
absolute()
{
	echo "$(cd "$(dirname "$1")" && pwd)/${1##*/}"
}
mkdir -p "$(dirname "$log")" "$(dirname "$results")"
kernel=$(absolute "$kernel")
log=$(absolute "$log")
results=$(absolute "$results")
tmp=$log.tmp.$$
pid=
# shellcheck disable=SC2317 # called by the trap
cleanup()
{
	if [ -n "$pid" ]; then
		kill "$pid" 2>/dev/null || :
		wait "$pid" || :
	fi
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The kernel unpacks archives that follow each other as if they were one.
mkdir "$tmp"
ln -s "$(cd "$job" && pwd)" "$tmp/job"
(cd "$tmp" && find -L job | LC_ALL=C sort |
	cpio -o -L -H newc -R 0:0 --quiet) >"$tmp/job.cpio"
cat "$initramfs" "$tmp/job.cpio" >"$tmp/initrd"
rm "$tmp/job.cpio"

: >"$log"
: >"$results"
machine </dev/null >"$tmp/machine" 2>&1 &
pid=$!
status=0
wait "$pid" || status=$?
pid=

fail()
{
	echo "run.sh: $2; the end of $log:" >&2
	{
		tail -n 30 "$log"
		echo
		tail -n 5 "$tmp/machine" | sed 's/^/machine: /'
	} | sed 's/^/    /' >&2
	sed 's/^/machine: /' "$tmp/machine" >>"$log"
	exit "$1"
}

case $status in
124|137) fail 124 "the machine did not finish within $limit seconds" ;;
esac
code=$(sed -n '$s/^exit \([0-9][0-9]*\)$/\1/p' "$results")
[ -n "$code" ] || fail 125 "the machine ended without a result"
[ "$code" -eq 0 ] || fail "$code" "the job failed with status $code"
exit 0
