#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Take out of KVM and of the guest's kernel, one after the other, what the tests are
# supposed to guard, and see that they notice:
#
#	mutate.sh [NAME...]
#
# Each file in lab/mutations is a diff that takes something out. Lines in front of it
# say what, and who has to notice, i.e. fail, and not skip what it is told to run: all of
#
#	# HOST[PARAMETER=N]: TEST [ARGUMENT...]	in a host of that vendor
#	# guest: ROW				with such a guest
#	# build					the compiler

# shellcheck disable=SC2030,SC2031 # loops in pipes, on purpose

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

tree=build/linux-mutant
out=build/mutate
tap=build/results/mutate.tap
kvm="arch/x86/kvm/kvm.ko arch/x86/kvm/kvm-amd.ko arch/x86/kvm/kvm-intel.ko virt/lib/irqbypass.ko"

# shellcheck disable=SC2046 # names
[ $# -gt 0 ] || set -- $(basename -s .diff lab/mutations/*.diff)
for name; do
	[ -r "lab/mutations/$name.diff" ] || die "no lab/mutations/$name.diff"
done

# A tree of its own, in which nobody works.
if [ ! -e $tree/.git ]; then
	rm -rf $tree
	g -C build/linux worktree prune
	g -C build/linux worktree add --quiet --detach "$PWD/$tree" HEAD
fi
g -C $tree checkout --quiet --force --detach "$(g -C build/linux rev-parse HEAD)"
on_exit "g -C $tree reset --quiet --hard"

rm -rf $out
mkdir -p $out build/results
# Only the modules: the kernel proper is not there to look up symbols in.
build()
{
	# shellcheck disable=SC2086 # a list
	lab/kernel.sh linux-mutant $kvm KBUILD_MODPOST_WARN=1
}

# told NAME WHO: the directives for amd, intel, guest or build
told()
{
	sed -n '2,/^diff /s/^# //p' "lab/mutations/$1.diff" | sed -n "/^$2/p"
}

# run_tests LABEL HOST: those of directives on stdin, all in one machine
run_tests()
{
	sed 's,^[a-z]*\([^:]*\): \([^ ]*\)\(.*\),x86/\2\1\3,' >"$out/$1-$2.list"
	[ -s "$out/$1-$2.list" ] || return
	lab/initramfs.sh $tree/out $out/initramfs.cpio
	lab/selftests-run.sh "$2" linux $out/initramfs.cpio "$out/$1-$2.list" "$out/$1-$2"
}

# What fails anyway can't notice anything.
say "building KVM as it is"
build
for host in amd intel; do
	for name; do told "$name" $host; done | sort -u | run_tests unmutated $host || continue
	! grep '^not\|# SKIP' $out/unmutated-$host.tap || die "not good with nothing taken out"
done
rows=$(for name; do told "$name" guest: | sed 's/^guest: //'; done | sort -u)
# shellcheck disable=SC2086 # a list
[ -z "$rows" ] || lab/guest.sh $rows || die "rows fail with nothing taken out"

n=0
: >$tap
# row killed|SURVIVED|BROKEN TEXT
row()
{
	n=$((n + 1))
	[ "$1" = killed ] && ok=ok || ok="not ok"
	echo "$ok $n - $name: $what: $1: $2" | tee -a $tap >&2
}

# rows_of TAP: what its results mean for the mutant
rows_of()
{
	while read -r line; do
		text=${line#*- }
		case $line in
		*' - host'*|1..*|'#'*) ;;
		*'# cannot load'*|*'ended before it had a result'*) row BROKEN "$text" ;;
		not*) row killed "$text" ;;
		*) row SURVIVED "$text" ;;
		esac
	done <"$1"
}

for name; do
	what=$(sed -n '1s/^# //p' "lab/mutations/$name.diff")
	g -C $tree reset --quiet --hard
	if ! g -C $tree apply --recount "$PWD/lab/mutations/$name.diff" 2>$out/log; then
		row BROKEN "the diff does not apply, $(tail -n 1 $out/log)"
	elif [ -n "$(told "$name" build)" ]; then
		if build >$out/log 2>&1; then
			row SURVIVED "it builds"
		elif grep -q 'static assertion failed' build/log/kernel-linux-mutant.log; then
			row killed "it does not build"
		else
			row BROKEN "it fails to build in another way"
		fi
	elif [ -n "$(told "$name" guest:)" ]; then
		lab/kernel.sh linux-mutant bzImage || { row BROKEN "it does not build"; continue; }
		# shellcheck disable=SC2046 # a list
		GUEST_KERNEL=$tree/out/arch/x86/boot/bzImage \
			lab/guest.sh $(told "$name" guest: | sed 's/^guest: //') >"$out/$name.log" 2>&1 || :
		rows_of build/results/guest.tap
	elif ! build; then
		row BROKEN "it does not build"
	else
		for host in amd intel; do
			told "$name" $host | run_tests "$name" $host || continue
			rows_of "$out/$name-$host.tap"
		done
	fi
done
echo "1..$n" >>$tap
prove -f -e cat $tap
