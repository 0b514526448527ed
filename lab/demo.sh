#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Attack a guest that does not pin CR0 and CR4 bits, and one that does, both in
# a host of their own; print what came of it. Succeeds only if each attack in
# lab/demo/attacks wins in the first guest and loses in the second, on each CPU.
# What passed and what failed goes to build/demo.results.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

[ $# -eq 0 ] || die "usage: demo.sh"

bzimage=build/linux/out/arch/x86/boot/bzImage
initramfs=build/initramfs.cpio
qemu=build/qemu-system-x86_64
firmware=build/qemu-firmware
attacks=lab/demo/attacks
demo=build/demo
limit=420
guest_cpus=2

need make gcc ccache cpio awk
for file in "$bzimage" "$initramfs"; do
	[ -e "$file" ] || die "no $file: run \"make kernel\""
done
for file in "$qemu" "$firmware"; do
	[ -e "$file" ] || die "no $file: run \"make qemu\""
done

need_space build 200 "the demo"

# What an earlier run left must not be mistaken for this one's.
rm -rf build/demo build/demo.results
mkdir -p "$demo/guest/job" "$demo/host" build/attack

step "building the attacker" build/log/attack.log \
	make -C build/linux O=out ARCH=x86_64 CC="ccache gcc" \
	M="$PWD/lab/attack" MO="$PWD/build/attack"

cp "$attacks" build/attack/attack.ko lab/demo/guest/run "$demo/guest/job"
(cd "$demo/guest" && find job | cpio -o -H newc -R 0:0 --quiet) >"$demo/job.cpio"
cat "$initramfs" "$demo/job.cpio" >"$demo/host/guest.cpio"
ln -s "$PWD/$qemu" "$PWD/$firmware" "$PWD/$bzimage" "$PWD/lab/demo/host/run" \
	"$demo/host"
mv "$demo/host/${firmware##*/}" "$demo/host/firmware"
echo "$guest_cpus" >"$demo/host/guest-cpus"

# Tell what happens while it happens; the registers' values are in the results.
begin=$(date +%s)
follow()
{
	while read -r who what rest; do
		case $who:$what in
		booted:*) line="the host runs" ;;
		*:booted) line="the $who guest runs" ;;
		*:kernel) line="the $who guest's kernel says: $rest" ;;
		*:attack)
			name=${rest%% *}
			rest=${rest#* }
			line="$who guest, ${rest%% *}: $(title "$name"): $(
				echo "${rest#* }" | sed 's/[a-z-]*=[0-9a-fx]* //g')"
			;;
		*:exit) line="the $who guest is done" ;;
		*) continue ;;
		esac
		printf '%4d s  %s\n' $(($(date +%s) - begin)) "$line"
	done
}

title()
{
	awk -F '\t' -v name="$1" '$1 == name { print $2 }' "$attacks"
}

say "booting the host, with two guests in it"
: >"$demo/results"
lab/run.sh -k "$bzimage" -i "$initramfs" -j "$demo/host" \
	-l "$demo/console" -r "$demo/results" -t "$limit" -c 1 \
	-a "nohz=off highres=off" &
run=$!
tail -n +1 -f --pid="$run" -s 0.5 "$demo/results" | follow &
follower=$!
trap 'kill $run $follower 2>/dev/null; wait' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

status=0
wait "$run" || status=$?
wait "$follower" || :
trap - EXIT

echo
judged=0
awk -f lab/demo/judge.awk -v cpus="$guest_cpus" -v verdicts="$demo/verdicts" \
	"$attacks" "$demo/results" || judged=1
echo
if [ "$status" -ne 0 ]; then
	echo "fail demo: host ended with status $status" >>"$demo/verdicts"
else
	echo "pass demo: host" >>"$demo/verdicts"
fi
mv "$demo/verdicts" build/demo.results

if [ "$judged" -ne 0 ] || [ "$status" -ne 0 ]; then
	for guest in unpinned pinned; do
		echo "The end of the $guest guest's console:"
		grep "^\[$guest\]" "$demo/console" | tail -n 15 | sed 's/^/    /'
	done
	sed -n 's/^fail demo: \([^ ]*\)/\1:/p' build/demo.results
	die "the demo failed; all that the machines printed is in $demo/console"
fi
say "each attack won without pinning and lost with it"
