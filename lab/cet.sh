#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run a Linux guest that uses CET, and pins it, in an emulated Intel host; take one
# of its CPUs away, bring it back, and do it again in a kernel started by kexec. See
# lab/cet/judge.awk for what must hold. What passed and what failed goes to
# build/cet.results.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

[ $# -eq 0 ] || die "usage: cet.sh"

bzimage=build/linux/out/arch/x86/boot/bzImage
# Another one than the host's, when it's known to be wrong
kernel=${GUEST_KERNEL:-$bzimage}
initramfs=build/initramfs.cpio
cet=build/cet
limit=420

need make gcc ccache cpio awk
for file in "$bzimage" "$initramfs"; do
	[ -e "$file" ] || die "no $file: run \"make kernel\""
done
for file in build/qemu-system-x86_64 build/qemu-firmware; do
	[ -e "$file" ] || die "no $file: run \"make qemu\""
done
need_space build 200 "the guest with CET"

# What an earlier run left must not be mistaken for this one's.
rm -rf $cet build/cet.results
mkdir -p $cet/guest/job $cet/host $cet/module

build_job()
{
	make -C build/linux O=out ARCH=x86_64 CC="ccache gcc" \
		M="$PWD/lab/cet/host" MO="$PWD/$cet/module"
	ccache gcc -O2 -Wall -static -o $cet/guest/job/tool lab/guest/guest/tool.c
}
step "building what the guest with CET needs" build/log/cet.log build_job

cp "$kernel" lab/cet/guest/run $cet/guest/job
cp "$kernel" $cet/host/bzImage
(cd $cet/guest && find job | cpio -o -H newc -R 0:0 --quiet) >$cet/job.cpio
cat $initramfs $cet/job.cpio >$cet/host/guest.cpio
ln -s "$PWD/build/qemu-system-x86_64" "$PWD/$cet/module/cet.ko" \
	"$PWD/lab/cet/host/run" $cet/host
ln -s "$PWD/build/qemu-firmware" $cet/host/firmware

# Always emulated: hosts that have no CET of their own are no reason to skip this.
say "booting an Intel host, with a guest that has CET"
begin=$(date +%s)
status=0
LAB_ACCEL=tcg lab/run.sh -e intel -k $bzimage -i $initramfs -j $cet/host \
	-l $cet/console -r $cet/results -t $limit -c 1 \
	-a "nohz=off highres=off" || status=$?
say "done in $(($(date +%s) - begin)) s"

judged=0
awk -f lab/cet/judge.awk -v verdicts=$cet/verdicts $cet/results || judged=1
if [ $status -ne 0 ]; then
	echo "fail cet: host ended with status $status" >>$cet/verdicts
else
	echo "pass cet: host" >>$cet/verdicts
fi
mv $cet/verdicts build/cet.results

if [ $judged -ne 0 ] || [ $status -ne 0 ]; then
	echo "The end of the guest's console:"
	grep '^\[guest\]' $cet/console | tail -n 30 | sed 's/^/    /'
	die "the guest with CET failed; all that the machines printed is in $cet/console"
fi
say "the guest has CET and its pins, whatever happens to its CPUs"
