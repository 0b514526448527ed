#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Take Linux guests through what happens in the life of one, and see that they are
# pinned all the time, and come to no harm because of it:
#
#	guest.sh [ROW...]
#
# lab/guest/rows lists the rows, lab/guest/host/rows.sh is what they do. They run in
# emulated AMD hosts, two at a time, each with one processor, but for i386, which
# the AMD emulator can't run, and cet, which is lab/cet.sh's: they have Intel hosts. A
# table is printed, and what passed and what failed goes to build/guest.results.

# shellcheck disable=SC2086,SC2013 # names

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

guest=build/guest
# Another one than the host's, when it's known to be wrong
kernel=${GUEST_KERNEL:-build/linux/out/arch/x86/boot/bzImage}
rows=lab/guest/rows
qemu=build/qemu-system-x86_64
firmware=build/qemu-firmware
hosts="patched1 patched2 base intel cet"
# Seconds for all rows of a host. Each row has limits of its own.
limit=1500

# shellcheck disable=SC2046 # a list
[ $# -gt 0 ] || set -- $(awk '!/^#/ { print $1 }' $rows)
for row; do
	grep -q "^${row}[[:space:]]" $rows || die "no row $row in $rows"
done
need make gcc ccache cpio awk tar qemu-system-x86_64
for tree in linux linux-base; do
	[ -e "build/$tree/out/arch/x86/boot/bzImage" ] ||
		die "no kernel in build/$tree: run \"make kernel kernel-base\""
done
for file in build/initramfs.cpio build/initramfs-base.cpio; do
	[ -e $file ] || die "no $file: run \"make kernel kernel-base\""
done
for file in "$qemu" "$firmware"; do
	[ -e "$file" ] || die "no $file: run \"make qemu\""
done
need_space build 500 "the guests"

# What an earlier run left must not be mistaken for this one's.
rm -rf $guest build/guest.results
mkdir -p $guest/files $guest/root/job

# compile OUTPUT SOURCE OPTION...
compile()
{
	output=$1
	source=$2
	shift 2
	ccache gcc -O2 -Wall -Wextra -static "$@" -o "$output" "$source" || die "cannot compile $source"
}
compile $guest/root/job/tool lab/guest/guest/tool.c

# What the guests boot, and find on their disk: for kexec
cp "$kernel" $guest/files/bzImage
cp build/linux-base/out/arch/x86/boot/bzImage $guest/files/base
cp lab/guest/guest/run $guest/root/job
cp build/linux/out/drivers/misc/lkdtm/lkdtm.ko $guest/root/job
(cd $guest/root && find job | cpio -o -H newc -R 0:0 --quiet) >$guest/job.cpio
cat build/initramfs.cpio $guest/job.cpio >$guest/files/guest.cpio
tar cf $guest/files.tar -C $guest/files bzImage base guest.cpio

# A 32-bit kernel and all its user space
case " $* " in
*" i386 "*)
	lab/kernel.sh linux-32 bzImage
	mkdir $guest/root32
	compile $guest/root32/init lab/guest/guest/init32.c -m32 -ffreestanding -nostdlib \
		-fno-stack-protector -fno-pic -no-pie -fno-asynchronous-unwind-tables \
		-isystem build/linux/out32/arch/x86/include/generated/uapi \
		-isystem build/linux/arch/x86/include/uapi -isystem build/linux/include/uapi
	mkdir $guest/root32/dev $guest/root32/proc $guest/root32/sys
	(cd $guest/root32 && find . | cpio -o -H newc -R 0:0 --quiet) >$guest/guest32.cpio
	;;
esac

# An empty disk that holds snapshots
truncate -s 0 $guest/disk.qcow2
{
	cat <<-END
		{"execute":"qmp_capabilities"}
		{"execute":"blockdev-add","arguments":{"driver":"file","filename":"$guest/disk.qcow2","node-name":"file"}}
		{"execute":"blockdev-create","arguments":{"job-id":"create","options":{"driver":"qcow2","file":"file","size":536870912}}}
	END
	sleep 2
	echo '{"execute":"quit"}'
} | timeout -k 1 20 qemu-system-x86_64 -machine none -nodefaults -display none -qmp stdio >$guest/disk.log ||
	die "no empty disk: $(tail -n 1 $guest/disk.log)"
[ -s $guest/disk.qcow2 ] || die "no empty disk: $(grep error $guest/disk.log)"

# The rows, those that take longest first, go where least is to be done.
for host in $hosts; do
	mkdir $guest/$host
	: >$guest/$host/list
	ln -s "$PWD/$qemu" "$PWD/$guest/files.tar" "$PWD/$guest/disk.qcow2" \
		"$PWD/$guest/files/bzImage" "$PWD/$guest/files/base" \
		"$PWD/$guest/files/guest.cpio" $guest/$host
	ln -s "$PWD/$firmware" $guest/$host/firmware
	ln -s "$PWD"/lab/guest/host/* $guest/$host
	[ ! -e $guest/guest32.cpio ] ||
		ln -s "$PWD/$guest/guest32.cpio" $guest/$host
	[ ! -e build/linux/out32/arch/x86/boot/bzImage ] ||
		ln -s "$PWD/build/linux/out32/arch/x86/boot/bzImage" $guest/$host/bzImage32
done
for row; do
	grep "^${row}[[:space:]]" $rows
done | sort -u | sort -k2,2nr -s | awk -v dir=$guest '
	BEGIN { sum[2] = 160 }	# the other hosts
	$3 != "patched" { host = $3 }
	$3 == "patched" {
		host = sum[1] <= sum[2] ? "patched1" : "patched2"
		sum[host == "patched1" ? 1 : 2] += $2
	}
	{ print $1 >(dir "/" host "/list") }'

# machine HOST: with all its rows
machine()
{
	: >$guest/$1.results
	[ -s $guest/$1/list ] || return 0
	if [ "$1" = cet ]; then
		echo "begin cet" >$guest/cet.results
		from=$(date +%s)
		verdict=pass
		lab/cet.sh >$guest/cet.log 2>&1 || verdict=fail
		echo "$verdict cet $(($(date +%s) - from)) $(grep "^$verdict" build/cet.results | sed "s/^$verdict cet: //" | paste -s -d ,)" >>$guest/cet.results
		sed 's/^/[cet: row] /' $guest/cet.log >$guest/cet.console
		return
	fi
	tree=linux
	initramfs=build/initramfs.cpio
	if [ "$1" = base ]; then
		tree=linux-base
		initramfs=build/initramfs-base.cpio
	fi
	vendor=amd
	[ "$1" != intel ] || vendor=intel
	status=0
	lab/run.sh -e $vendor -c 1 -t "$limit" -a "nohz=off highres=off" \
		-k build/$tree/out/arch/x86/boot/bzImage -i $initramfs -j $guest/$1 \
		-l $guest/$1.console -r $guest/$1.results 2>$guest/$1.err || status=$?
	echo $status >$guest/$1.status
}

# Tell what happens while it happens.
begin=$(date +%s)
follow()
{
	while read -r what row took rest; do
		case $what in
		lost) line="$row: hung, again: $took $rest" ;;
		pass) line="$row: ok ($took s)" ;;
		fail) line="$row: FAILED ($took s): $rest" ;;
		*) continue ;;
		esac
		printf '%4d s  %s\n' $(($(date +%s) - begin)) "$line"
	done
}

say "running $# rows in emulated hosts"
for host in $hosts; do
	: >$guest/$host.results
done
machine patched1 &
one=$!
{
	machine patched2
	machine base
	machine intel
	machine cet
} &
two=$!
{
	tail -q -n +1 -f --pid=$one -s 1 $guest/patched1.results | follow &
	tail -q -n +1 -f --pid=$two -s 1 $guest/patched2.results $guest/base.results \
		$guest/intel.results $guest/cet.results | follow &
	wait
} &
follower=$!
trap 'kill $one $two $follower 2>/dev/null; wait' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
wait $one || :
wait $two || :
wait $follower || :
trap - EXIT

# A row without a result is one that failed.
cat $guest/*.results >$guest/all
echo
for row; do
	echo "$row"
done | awk -F '[ \t]+' -v results=build/guest.results '
	FILENAME == ARGV[1] {
		if ($1 == "begin")
			begun[$2]
		if ($1 != "pass" && $1 != "fail")
			next
		verdict[$2] = $1
		took[$2] = $3 " s"
		text = $0
		sub(/^[^ ]+ [^ ]+ [^ ]+ */, "", text)
		seen[$2] = text
		next
	}
	FILENAME == ARGV[2] {
		if ($0 ~ /^#/)
			next
		title[$1] = $0
		sub(/^[^\t ]+[\t ]+[^\t ]+[\t ]+[^\t ]+[\t ]+/, "", title[$1])
		next
	}
	{
		if (!($1 in verdict)) {
			verdict[$1] = "fail"
			seen[$1] = ($1 in begun) ? "the host died before it had a result" : "not run, the host died"
		}
		printf "%-18s %-36s %-6s %6s  %s\n", $1, title[$1],
			verdict[$1] == "pass" ? "ok" : "FAILED", took[$1], seen[$1]
		print verdict[$1] " guest: " $1 (verdict[$1] == "pass" ? "" : " " seen[$1]) >results
	}' $guest/all $rows -

echo
sed -n 's/^note //p' $guest/patched?.results | sort -u
for host in $hosts; do
	[ ! -s $guest/$host.status ] || [ "$(cat $guest/$host.status)" -eq 0 ] || {
		echo "fail guest: host, $host, ended with status $(cat $guest/$host.status)" >>build/guest.results
		cat $guest/$host.err
	}
done
for row in $(sed -n 's/^fail guest: \([^ ,]*\) .*/\1/p' build/guest.results); do
	echo "The end of what $row did and of its guest's console, all is in $guest/*.console:"
	cat $guest/*.console | tr -d '\r' | grep -F "[$row: row]" | tail -n 15 | sed 's/^/    /'
	cat $guest/*.console | tr -d '\r' | grep -F "[$row]" | tail -n 25 | sed 's/^/    /'
done
! grep -q '^fail' build/guest.results || die "$(grep -c '^fail' build/guest.results) rows failed"
say "all $(grep -c '^pass' build/guest.results) rows passed"
