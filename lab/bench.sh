#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Measure what pinning costs, in exits of guests, in instructions that the host
# executes for an exit, and in size; print the unpatched kernel's and the patched
# one's numbers and whether they are what is asked for. See lab/bench/judge.awk for
# what that is.
#
# The machines are emulated, and their clocks count instructions: the results are
# the same however fast or busy this one is.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

[ $# -eq 0 ] || die "usage: bench.sh"

bench=build/bench
results=$bench/results
tests=tools/testing/selftests/kvm
limit=420

need make gcc ccache cpio awk size
for file in build/linux/out/arch/x86/boot/bzImage build/initramfs.cpio \
	    build/linux-base/out/arch/x86/boot/bzImage build/initramfs-base.cpio \
	    build/selftests/linux/list build/qemu-system-x86_64 build/qemu-firmware; do
	[ -e "$file" ] || die "no $file: run \"make kernel kernel-base selftests qemu\""
done
need_space build 500 "the benchmark"

# What an earlier run left must not be mistaken for this one's.
rm -rf $bench
mkdir -p $bench

# With the library of the selftests, and the way these are built.
build_cr_bench()
{
	# shellcheck disable=SC2016 # make expands it
	CCACHE_BASEDIR=$PWD LDFLAGS=-static make -C "build/linux/$tests" ARCH=x86 \
		CC="ccache gcc" OUTPUT=../../../../out/$tests \
		KHDR_INCLUDES="-isystem ../../../../out/usr/include" \
		--eval "lab-bench: $PWD/lab/bench/cr_bench.c ; "'$(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $< $(LIBKVM_OBJS) $(LDLIBS) -o '"$PWD/$bench/cr_bench" \
		lab-bench
}
step "building the benchmark" build/log/bench.log build_cr_bench
strip $bench/cr_bench

# make_job TREE INITRAMFS GUEST...: the guests run the same kernel as the host.
make_job()
{
	job=$bench/$1
	initramfs=$2
	mkdir -p "$job" "$job.guest/job"
	cp lab/bench/guest "$job.guest/job/run"
	(cd "$job.guest" && find job | cpio -o -H newc -R 0:0 --quiet) >"$job.cpio"
	cat "$initramfs" "$job.cpio" >"$job/guest.cpio"
	rm -r "$job.guest" "$job.cpio"
	ln -s "$PWD/lab/bench/run" "$PWD/lab/bench/count.awk" "$PWD/$bench/cr_bench" \
		"$PWD/build/qemu-system-x86_64" \
		"$PWD/build/$1/out/arch/x86/boot/bzImage" "$job"
	ln -s "$PWD/build/qemu-firmware" "$job/firmware"
	shift 2
	for guest; do
		echo "$guest"
	done >"$job/guests"
}
make_job linux-base build/initramfs-base.cpio unpinned
make_job linux build/initramfs.cpio "unpinned no-kvmcrpin" pinned

# machine VENDOR KERNEL TREE INITRAMFS: always an emulated one. The hosts tick
# periodically, for the reason given in lab/demo/host/run.
machine()
{
	name=$1-$3
	begin=$(date +%s)
	say "running the $2 kernel on an emulated $1 machine"
	LAB_ACCEL=tcg lab/run.sh -n -e "$1" -t $limit -a "nohz=off highres=off" \
		-k "build/$3/out/arch/x86/boot/bzImage" -i "$4" -j "$bench/$3" \
		-l "$bench/$name.console" -r "$bench/$name.results" ||
		die "no results; all that the machine printed is in $bench/$name.console"
	say "done in $(($(date +%s) - begin)) s"
	sed "s/^/$1 $2 /" "$bench/$name.results" >>$results
}
machine amd base linux-base build/initramfs-base.cpio
machine amd patched linux build/initramfs.cpio
machine intel base linux-base build/initramfs-base.cpio
machine intel patched linux build/initramfs.cpio

# Code and data, without debug information, which isn't loaded.
for file in vmlinux arch/x86/kvm/kvm.ko arch/x86/kvm/kvm-amd.ko arch/x86/kvm/kvm-intel.ko; do
	for kernel in base patched; do
		tree=build/linux
		[ $kernel = patched ] || tree=build/linux-base
		bytes=$(size $tree/out/$file | awk 'NR == 2 { print $1 + $2 }')
		echo "size $kernel ${file##*/} $bytes"
	done
done >>$results

echo
awk -f lab/bench/judge.awk $results
