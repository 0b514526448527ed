#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Boot a kernel as a virtualization host, have it run a job, return the job's
# exit status. See usage() below for the options.
#
# The machine runs under KVM where /dev/kvm can run a guest that runs a guest
# itself, and under QEMU's own emulator, as an AMD machine with SVM, everywhere
# else. LAB_ACCEL=tcg or LAB_ACCEL=kvm in the environment decides it by hand.

set -eu

usage()
{
	cat >&2 <<-END
	usage: run.sh -k BZIMAGE -i INITRAMFS -j JOBDIR -l CONSOLE_LOG -r RESULTS -t SECONDS
	              [-a CMDLINE] [-m MEMORY] [-c CPUS] [-e amd|intel]

	  -k, -i   kernel and initramfs to boot
	  -j       directory that becomes /job; its "run" is executed (symbolic links
	           are followed, so that it can point to what is large)
	  -l, -r   files that receive the console and the results (the job's fd 3)
	  -t       limit for the whole run
	  -a       words added to the kernel's command line
	  -m, -c   memory (4G) and CPUs (2)
	  -e       vendor the machine's CPU must be of; default: whatever is fastest

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
kernel='' initramfs='' job='' log='' results='' limit='' append='' memory=4G cpus=2 vendor=''
while getopts k:i:j:l:r:t:a:m:c:e: opt; do
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
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
if [ $# -ne 0 ] || [ -z "$kernel" ] || [ -z "$initramfs" ] || [ -z "$job" ] ||
   [ -z "$log" ] || [ -z "$results" ] || [ -z "$limit" ]; then
	usage
fi

for tool in qemu-system-x86_64 cpio timeout; do
	command -v "$tool" >/dev/null || die "$tool is missing: make packages"
done
[ -r "$kernel" ] || die "no kernel $kernel: make kernel"
[ -r "$initramfs" ] || die "no initramfs $initramfs: make initramfs"
[ -x "$job/run" ] || die "$job/run is missing or not executable"
case $limit in
''|*[!0-9]*) die "-t wants seconds, not \"$limit\"" ;;
esac
case $vendor in
''|amd) ;;
*) die "-e $vendor: only amd is emulated so far" ;;
esac

mkdir -p "$(dirname "$log")" "$(dirname "$results")"
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

case ${LAB_ACCEL-} in
kvm|tcg) accel=$LAB_ACCEL ;;
'') accel=$("$here/accel.sh" "$kernel" "$initramfs" "$vendor") ;;
*) die "LAB_ACCEL=$LAB_ACCEL: kvm or tcg" ;;
esac

# The kernel unpacks archives that follow each other as if they were one.
mkdir "$tmp"
ln -s "$(cd "$job" && pwd)" "$tmp/job"
(cd "$tmp" && find -L job | LC_ALL=C sort |
	cpio -o -L -H newc -R 0:0 --quiet) >"$tmp/job.cpio"
cat "$initramfs" "$tmp/job.cpio" >"$tmp/initrd"
rm "$tmp/job.cpio"

: >"$log"
: >"$results"
case $accel in
kvm) set -- -cpu host ;;
# Everything that the emulator knows.
tcg) set -- -cpu max,+svm,+npt ;;
esac
timeout -k 5 "$limit" qemu-system-x86_64 -machine q35,accel="$accel",smm=on "$@" \
	-m "$memory" -smp "$cpus" \
	-nodefaults -no-user-config -display none -no-reboot \
	-serial file:"$log" -serial file:"$results" \
	-kernel "$kernel" -initrd "$tmp/initrd" \
	-append "console=ttyS0 panic=-1 tsc=reliable $append" \
	</dev/null >"$tmp/qemu" 2>&1 &
pid=$!
status=0
wait "$pid" || status=$?
pid=

fail()
{
	sed 's/^/qemu: /' "$tmp/qemu" >>"$log"
	echo "run.sh: $2; the end of $log:" >&2
	tail -n 30 "$log" | sed 's/^/    /' >&2
	exit "$1"
}

case $status in
124|137) fail 124 "the machine did not finish within $limit seconds" ;;
esac
code=$(sed -n '$s/^exit \([0-9][0-9]*\)$/\1/p' "$results")
[ -n "$code" ] || fail 125 "the machine ended without a result"
[ "$code" -eq 0 ] || fail "$code" "the job failed with status $code"
exit 0
