#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Take out of KVM and of the guest's kernel, one after the other, what the tests are
# supposed to guard, and see that they notice:
#
#	mutate.sh [NAME...]
#
# Each file in lab/mutations is a diff that takes something out. Lines in front of it
# say what, and who has to notice:
#
#	# WHAT
#	# HOST[PARAMETER=N]: TEST [ARGUMENT...]
#	# guest: ROW
#	# build
#
# i.e. all of these tests must fail in a host of that vendor, with KVM loaded with
# that parameter, or this row of lab/guest/rows with such a guest, or the kernel must
# not build. A test that skips what it is told to run hasn't noticed anything.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

tree=build/linux-mutant
results=build/mutate
kvm="arch/x86/kvm/kvm.ko arch/x86/kvm/kvm-amd.ko arch/x86/kvm/kvm-intel.ko virt/lib/irqbypass.ko"
bzimage=build/linux/out/arch/x86/boot/bzImage
limit=300

if [ $# -eq 0 ]; then
	for diff in lab/mutations/*.diff; do
		name=${diff##*/}
		set -- "$@" "${name%.diff}"
	done
fi
for name; do
	[ -r "lab/mutations/$name.diff" ] || die "no lab/mutations/$name.diff"
done
for file in $bzimage build/selftests/linux/list; do
	[ -e "$file" ] || die "no $file: run \"make kernel selftests\""
done

# A tree of its own, in which nobody works.
head=$(g -C build/linux rev-parse HEAD)
if [ "$(g -C $tree rev-parse HEAD 2>/dev/null)" = "$head" ]; then
	g -C $tree reset --quiet --hard
elif [ -e $tree/.git ]; then
	g -C $tree checkout --quiet --force --detach "$head"
else
	need_space build 3000 "the mutants' tree"
	rm -rf $tree
	g -C build/linux worktree prune
	g -C build/linux worktree add --quiet --detach "$PWD/$tree" "$head"
fi
trap 'g -C $tree reset --quiet --hard' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

rm -rf $results
mkdir -p $results
# Only the modules: the kernel proper is not there to look up symbols in.
build()
{
	# shellcheck disable=SC2086 # a list
	lab/kernel.sh linux-mutant $kvm KBUILD_MODPOST_WARN=1
}
say "building KVM as it is"
build 2>$results/build || { cat $results/build >&2; exit 1; }

# directives NAME: without the hash
directives()
{
	sed -n '2,/^diff /s/^# //p' "lab/mutations/$1.diff"
}

# run_tests LABEL HOST: the tests of $results/list, all in one machine
run_tests()
{
	job=$results/job
	rm -rf $job
	mkdir $job
	cp $results/list lab/mutations/run $job
	cut -d: -f2- $results/list | awk '{ print $1 }' | sort -u | while read -r test; do
		cp "build/selftests/linux/tests/x86/$test" $job
	done
	lab/run.sh -e "$2" -t $limit -a kvm.force_emulation_prefix=1 -k $bzimage \
		-i $results/initramfs.cpio -j $job -l "$results/$1-$2.console" \
		-r "$results/$1-$2.results" 2>"$results/$1-$2.err" ||
		cat "$results/$1-$2.err" >&2
}

# result LABEL HOST N: of the Nth test
result()
{
	sed -n "s/^$3 //p" "$results/$1-$2.results"
}

row()
{
	printf '%-24s %-9s %s\n' "$1" "$2" "$3" | tee -a $results/table >&2
}

# What fails anyway can't notice anything.
lab/initramfs.sh $tree/out $results/initramfs.cpio
for host in amd intel; do
	for name; do
		directives "$name"
	done | grep "^$host" | sort -u >$results/list || continue
	say "running the tests on KVM as it is, $host"
	run_tests unmutated $host
	n=0
	while read -r line; do
		n=$((n + 1))
		[ "$(result unmutated $host $n | cut -d' ' -f1)" = pass ] ||
			die "$line: $(result unmutated $host $n), with nothing taken out"
	done <$results/list
done

rows=$(for name; do
	directives "$name"
done | sed -n 's/^guest: //p' | sort -u)
if [ -n "$rows" ]; then
	say "guests as they are"
	# shellcheck disable=SC2086 # a list
	lab/guest.sh $rows >&2 || die "rows fail with nothing taken out"
fi

for name; do
	diff=lab/mutations/$name.diff
	what=$(sed -n '1s/^# //p' "$diff")
	g -C $tree reset --quiet --hard
	if ! g -C $tree apply --recount "$PWD/$diff" 2>$results/apply; then
		row "$name" BROKEN "the diff does not apply: $(tail -n 1 $results/apply)"
		continue
	fi
	if directives "$name" | grep -qx build; then
		if build >$results/build 2>&1; then
			row "$name" SURVIVED "$what: it builds"
		elif grep -q 'static assertion failed' build/log/kernel-linux-mutant.log; then
			row "$name" killed "$what: it does not build"
		else
			row "$name" BROKEN "it fails to build in another way"
		fi
		continue
	fi
	rows=$(directives "$name" | sed -n 's/^guest: //p')
	if [ -n "$rows" ]; then
		if ! lab/kernel.sh linux-mutant bzImage 2>$results/build; then
			cat $results/build >&2
			row "$name" BROKEN "it does not build"
			continue
		fi
		# shellcheck disable=SC2086 # a list
		GUEST_KERNEL=$tree/out/arch/x86/boot/bzImage lab/guest.sh $rows \
			>"$results/$name.guest" 2>&1 || :
		for guest_row in $rows; do
			result=$(sed -n "s/^\([a-z]*\) guest: $guest_row\( \|$\)/\1 /p" build/guest.results)
			case $result in
			'' | *"host died"*) row "$name" BROKEN "$what: $guest_row gave no result" ;;
			'fail '*) row "$name" killed "$what: $guest_row: ${result#fail }" ;;
			*) row "$name" SURVIVED "$what: $guest_row: $result" ;;
			esac
		done
		continue
	fi
	if ! build 2>$results/build; then
		cat $results/build >&2
		row "$name" BROKEN "it does not build"
		continue
	fi
	lab/initramfs.sh $tree/out $results/initramfs.cpio
	for host in amd intel; do
		directives "$name" | grep "^$host" >$results/list || continue
		run_tests "$name" $host
		n=0
		while read -r line; do
			n=$((n + 1))
			result=$(result "$name" $host $n)
			case $result in
			'fail '*) row "$name" killed "$what: ${line%%:*}: ${result#fail }" ;;
			'') row "$name" BROKEN "$what: $line gave no result" ;;
			*) row "$name" SURVIVED "$what: $line: $result" ;;
			esac
		done <$results/list
	done
done

echo
cat $results/table
awk '{ n[$2]++ } END { printf "%d killed, %d survived, %d broken\n", n["killed"], n["SURVIVED"], n["BROKEN"] }' \
	$results/table
! grep -Eq ' (SURVIVED|BROKEN) ' $results/table
