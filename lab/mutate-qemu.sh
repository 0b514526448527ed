#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Take out of QEMU, one after the other, what the rows of guests are supposed to guard, and
# see that they notice:
#
#	mutate-qemu.sh [NAME...]
#
# Each file in lab/mutations/qemu is a diff that takes something out. Lines in front of it
# say what, and which rows have to fail: "# guest: ROW". The hosts run in QEMU as it is.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

tree=build/qemu-mutant
tap=build/results/mutate-qemu.tap

# shellcheck disable=SC2046 # names
[ $# -gt 0 ] || set -- $(basename -s .diff lab/mutations/qemu/*.diff)
for name; do
	[ -r "lab/mutations/qemu/$name.diff" ] || die "no lab/mutations/qemu/$name.diff"
done

# A tree of its own, in which nobody works.
if [ ! -e $tree/.git ]; then
	rm -rf $tree
	g -C build/qemu worktree prune
	g -C build/qemu worktree add --quiet --detach "$PWD/$tree" HEAD
fi
g -C $tree checkout --quiet --force --detach "$(g -C build/qemu rev-parse HEAD)"
on_exit "g -C $tree reset --quiet --hard"

rows_for()
{
	for diff; do
		sed -n '2,/^diff /s/^# guest: //p' "lab/mutations/qemu/$diff.diff"
	done | sort -u
}

# What fails anyway can't notice anything.
# shellcheck disable=SC2046 # a list
lab/guest.sh $(rows_for "$@") || die "rows fail with nothing taken out"

n=0
mkdir -p build/results
: >$tap
# row killed|SURVIVED|BROKEN TEXT
row()
{
	n=$((n + 1))
	[ "$1" = killed ] && ok=ok || ok="not ok"
	echo "$ok $n - $name: $(sed -n '1s/^# //p' "lab/mutations/qemu/$name.diff"): $1: $2" | tee -a $tap >&2
}

for name; do
	g -C $tree reset --quiet --hard
	if ! g -C $tree apply --recount "$PWD/lab/mutations/qemu/$name.diff"; then
		row BROKEN "the diff does not apply"
	elif ! lab/build-qemu.sh qemu-mutant; then
		row BROKEN "it does not build"
	else
		# shellcheck disable=SC2046 # a list
		GUEST_QEMU=$PWD/$tree/build/static/qemu-system-x86_64 \
			lab/guest.sh $(rows_for "$name") >build/log/mutate-qemu.log 2>&1 || :
		while read -r line; do
			text=${line#*- }
			case $line in
			*' - host'*|1..*|'#'*) ;;
			*'ended before it had a result'*) row BROKEN "$text" ;;
			not*) row killed "$text" ;;
			*) row SURVIVED "$text" ;;
			esac
		done <build/results/guest.tap
	fi
done
echo "1..$n" >>$tap
prove -f -e cat $tap
