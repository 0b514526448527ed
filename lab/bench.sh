#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Measure what pinning costs, in exits of guests, in instructions that the host
# executes for an exit, and in size; print the numbers of the unpatched kernel, of one
# that has only the series that pinning comes after, and of the patched one, and judge
# them by lab/bench/judge.awk.
#
# The machines are emulated, and their clocks count instructions: the results are
# the same however fast or busy this one is.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

bench=build/bench
rm -rf $bench
mkdir -p $bench/job build/results

# With the library of the selftests, and the way these are built
build_cr_bench()
{
	# shellcheck disable=SC2016 # make expands it
	kselftest linux --eval "lab-bench: $PWD/lab/bench/cr_bench.c ; "'$(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $< $(LIBKVM_OBJS) $(LDLIBS) -o '"$PWD/$bench/cr_bench" \
		lab-bench
}
step "building the benchmark" build/log/bench.log build_cr_bench
strip $bench/cr_bench
cp lab/bench/guest $bench/job/run
(cd $bench && find job | cpio -o -H newc -R 0:0 --quiet) >$bench/job.cpio

# What KVM_PROVE_CR_PIN costs is not to be measured.
lab/kernel.sh linux-bench
lab/initramfs.sh build/linux/out-bench $bench/initramfs.cpio
worktree linux-fixes "$(branches_of build/linux | sed '/cr-pin/,$d' | tail -n 1)"
lab/kernel.sh linux-fixes
lab/initramfs.sh build/linux-fixes/out $bench/initramfs-fixes.cpio

# host KERNEL OUT INITRAMFS GUEST...: its guests run the same kernel.
host()
{
	job=$bench/$1
	mkdir "$job"
	cat "$3" $bench/job.cpio >"$job/guest.cpio"
	ln -s "$PWD/lab/bench/run" "$PWD/lab/guest/host/driver.sh" "$PWD/$bench/cr_bench" \
		"$PWD/build/qemu-system-x86_64" "$PWD/$2/arch/x86/boot/bzImage" "$job"
	ln -s "$PWD/build/qemu-firmware" "$job/firmware"
	kernel=$1 out=$2 initramfs=$3
	shift 3
	for guest; do
		echo "$guest"
	done >"$job/guests"
	for vendor in amd intel; do
		name=$vendor-$kernel
		say "running $name"
		lab/run.sh -n -e $vendor -t 420 -a "nohz=off highres=off" \
			-k "$out/arch/x86/boot/bzImage" -i "$initramfs" -j "$job" \
			-l "$bench/$name.console" -r "$bench/$name.results" ||
			die "no results of $name, see $bench/$name.console"
		tr -d '\r' <"$bench/$name.results" | sed "s/^/$vendor $kernel /" >>$bench/results
	done
	# Code and data, without debug information, which isn't loaded.
	for file in vmlinux arch/x86/kvm/kvm.ko arch/x86/kvm/kvm-amd.ko arch/x86/kvm/kvm-intel.ko; do
		echo "size $kernel unpinned ${file##*/} $(size "$out/$file" | awk 'NR == 2 { print $1 + $2 }')"
	done >>$bench/results
}
host base build/linux-base/out build/initramfs-base.cpio unpinned
host fixes build/linux-fixes/out $bench/initramfs-fixes.cpio
host patched build/linux/out-bench $bench/initramfs.cpio "unpinned no-kvmcrpin" pinned

awk -v tap=build/results/bench.tap -f lab/bench/judge.awk $bench/results
prove -f -e cat build/results/bench.tap
