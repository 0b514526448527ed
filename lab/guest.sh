#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Take Linux guests through what happens in the life of one, and see that they are
# pinned all the time, and come to no harm because of it; attack them, too:
#
#	guest.sh [ROW...]
#
# The rows are in lab/guest/host/rows.sh. They run in emulated hosts with one processor
# each, two at a time. The results go to build/results/guest.tap.

# shellcheck disable=SC2086,SC2013 # names

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

guest=build/guest
tap=build/results/guest.tap
out=build/linux/out
# Others than the host's, when they're known to be wrong
kernel=${GUEST_KERNEL:-$out/arch/x86/boot/bzImage}
qemu=${GUEST_QEMU:-$PWD/build/qemu-system-x86_64}
hosts="patched1 patched2 base intel"
# Seconds for all rows of a host. Each row has limits of its own.
limit=1500

# rows: NAME SECONDS HOST WHAT of each
rows()
{
	sed -n 's/^\t\([a-z0-9-]*\)) # /\1 /p' lab/guest/host/rows.sh
}

# shellcheck disable=SC2046 # a list
[ $# -gt 0 ] || set -- $(rows | cut -d " " -f 1)
for row; do
	rows | grep -q "^$row " || die "no row $row in lab/guest/host/rows.sh"
done
need make gcc ccache cpio awk tar
base=build/linux-base/out/arch/x86/boot/bzImage
needs="$out/arch/x86/boot/bzImage build/initramfs.cpio
	build/qemu-system-x86_64 build/qemu-img build/qemu-firmware"
[ "$*" = demo ] || [ "$*" = cet ] || needs="$needs $base build/initramfs-base.cpio"
for file in $needs; do
	[ -e $file ] || die "no $file: run \"make kernel kernel-base qemu\""
done
need_space build 500 "the guests"

# What an earlier run left must not be mistaken for this one's.
rm -rf $guest $tap
files=$guest/files
mkdir -p $files $guest/modules $guest/job $guest/root32/dev $guest/root32/sys build/results

# archive DIR OUTPUT WHAT...: for the kernel to unpack
archive()
{
	(cd $1 && find $3 | cpio -o -H newc -R 0:0 --quiet) >$2
}

# What the guests boot, and find on their disk, for kexec, and an empty one that holds
# snapshots
step "building the guests' modules" build/log/modules.log make -C build/linux O=out ARCH=x86_64 \
	CC="ccache gcc" M="$PWD/lab/guest/modules" MO="$PWD/$guest/modules"
ccache gcc -O2 -Wall -Wextra -static -o $guest/job/kexec lab/guest/guest/kexec.c
cp lab/guest/guest/run $guest/modules/attack.ko $out/drivers/misc/lkdtm/lkdtm.ko $guest/job
archive $guest $guest/job.cpio job
cat build/initramfs.cpio $guest/job.cpio >$files/guest.cpio
cp $kernel $files/bzImage
[ ! -e $base ] || {
	cp $base $files/base
	for module in kvm kvm-amd kvm-intel; do
		cp build/linux-base/out/arch/x86/kvm/$module.ko $files/$module-base.ko
	done
}

# The masks in kernel_info, which the header knows the way to, are 16 bytes behind its
# begin: one without UMIP, and all bits
info=$((($(od -An -tu1 -j 497 -N 1 $kernel) + 1) * 512 + $(od -An -tu4 -j 616 -N 4 $kernel)))
for image in less more; do
	cp $kernel $files/$image
done
printf '\0' | dd of=$files/less bs=1 seek=$((info + 25)) conv=notrunc status=none
printf '\377%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 |
	dd of=$files/more bs=1 seek=$((info + 16)) conv=notrunc status=none
(cd $files && tar cf ../files.tar -- * && mv ../files.tar .)
cp $guest/modules/cet.ko $files
build/qemu-img create -q -f qcow2 $files/disk.qcow2 512M

# A 32-bit kernel and all its user space, for which there is nolibc
case " $* " in
*" i386 "*)
	lab/kernel.sh linux-32 bzImage
	cp build/linux/out32/arch/x86/boot/bzImage $files/bzImage32
	ccache gcc -Os -Wall -Wextra -m32 -static -nostdlib -fno-pic -no-pie \
		-fno-stack-protector -fno-asynchronous-unwind-tables \
		-isystem build/linux/tools/include/nolibc \
		-isystem "/usr/include/$(gcc -print-multiarch)" \
		-o $guest/root32/init lab/guest/guest/init32.c
	archive $guest/root32 $files/guest32.cpio .
	;;
esac

# The rows, those that take longest first, go where least is to be done. "cet" takes less
# than "i386", and has to be the last of its host.
for host in $hosts; do
	mkdir $guest/$host
	: >$guest/$host/list
	: >$guest/$host.results
	ln -s "$PWD"/$files/* "$PWD"/lab/guest/host/* "$PWD/lab/console.awk" \
		$guest/$host
	ln -s $qemu $guest/$host/qemu-system-x86_64
	ln -s "$PWD/build/qemu-firmware" $guest/$host/firmware
done
one=0 two=0
for row; do
	rows | grep "^$row "
done | sort -u | sort -k2,2nr -s | while read -r row seconds host what; do
	if [ $host = patched ]; then
		host=patched1
		[ $one -le $two ] || host=patched2
	fi
	[ $host = patched1 ] && one=$((one + seconds)) || two=$((two + seconds))
	echo "$row $what" >>$guest/$host/list
done

# machines HOST...: one after the other, with all their rows
machines()
{
	trap '[ -z "${!-}" ] || kill $! 2>/dev/null; wait; exit 143' TERM
	for host; do
		[ -s $guest/$host/list ] || continue
		tree=linux initramfs=build/initramfs.cpio vendor=amd
		[ "$(accel_of intel)" != kvm ] || vendor=intel
		case $host in
		base) tree=linux-base initramfs=build/initramfs-base.cpio ;;
		intel)
			vendor=intel
			export ACCEL=''
			;;
		esac
		status=0
		lab/run.sh -e $vendor -c 1 -t $limit -a "nohz=off highres=off" \
			-k build/$tree/out/arch/x86/boot/bzImage -i $initramfs \
			-j $guest/$host -l $guest/$host.console \
			-r $guest/$host.results 2>$guest/$host.err &
		wait $! || status=$?
		[ $status -eq 0 ] || {
			echo "not ok - host $host ended with status $status"
			sed 's/^/#   /' $guest/$host.err
		} >>$guest/$host.results
	done
}

# progress: what there is in the results and not in $tap. The last line may be half of one.
progress()
{
	for host in $hosts; do
		sed '$d' $guest/$host.results
	done | grep "^ok\|^not ok" | grep -vxF -f $tap | tee -a $tap || :
}

say "running $# rows in emulated hosts, in $guest"
: >$tap
machines patched1 &
one=$!
machines patched2 base intel &
two=$!
on_exit "kill $one $two 2>/dev/null || :; wait"
while kill -0 $one 2>/dev/null || kill -0 $two 2>/dev/null; do
	sleep 1
	progress
done

# Rows that hang are counted; the measure is how often guests without patches hang.
echo
{
	grep -h '^ok\|^not ok\|^#   ' $guest/*.results || :
	for row; do
		grep -q "^ok - $row \|^not ok - $row " $guest/*.results ||
			echo "not ok - $row: the host ended before it had a result"
	done
	cat $guest/*.results | awk -v budget=5 '
		/^# boots / { base = $3 == "base-boots"; boots[base] += $4; hangs[base] += $5 }
		/^# note / { note = $0 }
		END {
			printf "%s - hosts: %d times in %d boots a guest hung, %d may; %d in %d without patches\n",
				hangs[0] <= budget ? "ok" : "not ok", hangs[0], boots[0], budget, hangs[1], boots[1]
			if (note)
				print note
		}'
} >$tap
echo "1..$(grep -c '^ok\|^not ok' $tap)" >>$tap
awk -f lab/guest/attacks.awk $guest/*.results
grep '^#\| - hosts: \|before it had' $tap
bad=$(grep -c '^not ok' $tap) || exit 0
die "$bad failed, see $tap and all that the machines printed in $guest/*.console"
