#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Print how a lab machine should run here, "kvm", or the emulator, "tcg" (QEMU's
# own) or "bochs", which alone emulates Intel's VMX:
#
#	accel.sh BZIMAGE INITRAMFS [amd|intel]
#
# A /dev/kvm that opens may still be unable to run guests that are hosts
# themselves, so try exactly that: boot the given host under KVM and have it run
# a small guest. The answer is kept until the next boot of this machine.
# LAB_ACCEL in the environment decides it by hand, as far as there is a choice.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=$here/../build
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown)
emulator=tcg
[ "${3-}" != intel ] || emulator=bochs
case ${LAB_ACCEL-} in
'') ;;
tcg) echo $emulator; exit 0 ;;
kvm|bochs) echo "$LAB_ACCEL"; exit 0 ;;
*) echo "accel.sh: LAB_ACCEL=$LAB_ACCEL: kvm, tcg or bochs" >&2; exit 2 ;;
esac

# Who may open /dev/kvm depends on who asks.
answer=$build/accel.$(id -u)

# no REASON: only the first time, the answer is remembered
no()
{
	echo "accel.sh: no nested guests under KVM here ($1): using an emulator" >&2
	echo "$boot no $1" >"$answer.new"
	mv "$answer.new" "$answer"
	echo $emulator
	exit 0
}

# The vendor to be tested must be this machine's own.
case ${3-} in
amd) grep -qw svm /proc/cpuinfo || { echo $emulator; exit 0; } ;;
intel) grep -qw vmx /proc/cpuinfo || { echo $emulator; exit 0; } ;;
esac

if [ -r "$answer" ] && read -r when what rest <"$answer" && [ "$when" = "$boot" ]; then
	: "$rest"
	case $what in
	kvm) echo kvm ;;
	*) echo $emulator ;;
	esac
	exit 0
fi

mkdir -p "$build"
[ -e /dev/kvm ] || no "no /dev/kvm"
if [ ! -r /dev/kvm ] || [ ! -w /dev/kvm ]; then
	no "no permission to open /dev/kvm"
fi

tmp=$build/accel.tmp.$$
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir -p "$tmp/job"
cc -O2 -static -o "$tmp/job/run" "$here/kvm-probe.c" 2>"$tmp/err" ||
	no "cannot build the probe: $(head -n 1 "$tmp/err")"
timeout -k 1 15 "$tmp/job/run" nested 2>"$tmp/err" ||
	no "a guest does not run: $(tail -n 1 "$tmp/err")"
LAB_ACCEL=kvm "$here/run.sh" -k "$1" -i "$2" -j "$tmp/job" -l "$tmp/log" \
	-r "$tmp/results" -t 15 -m 512 2>"$tmp/err" ||
	no "a guest in a guest does not run: $(head -n 1 "$tmp/err")"

echo "$boot kvm" >"$answer.new"
mv "$answer.new" "$answer"
echo kvm
