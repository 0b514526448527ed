#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Take out of KVM, of the guest's kernel and of QEMU, one after the other, what the tests
# are supposed to guard, and see that they notice:
#
#	mutate.sh [NAME...]
#
# Each file in lab/mutations is a diff that takes something out. Lines in front of it
# say what, and who has to notice, i.e. fail, and not skip what it is told to run: all of
#
#	# HOST[PARAMETER=N]: TEST [ARGUMENT...]	in a host of that vendor
#	# guest: ROW				with such a guest
#	# qemu: ROW				likewise, in that QEMU, the host's is as it is
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

worktree linux-mutant HEAD
worktree qemu-mutant HEAD
on_exit "for mutant in linux qemu; do g -C build/\$mutant-mutant reset --quiet --hard; done"

rm -rf $out
mkdir -p $out/modules build/results
# Only the modules: the kernel proper is not there to look up symbols in. Without
# KVM_PROVE_CR_PIN, or it would notice, and not the tests.
build()
{
	# shellcheck disable=SC2086 # a list
	lab/kernel.sh linux-mutant $kvm KBUILD_MODPOST_WARN=1
}

# keep DIRECTORY: the modules that are not as they were
keep()
{
	mkdir "$out/$1"
	for module in $kvm; do
		cmp -s "$tree/out/$module" "$out/unmutated/${module##*/}" || cp "$tree/out/$module" "$out/$1"
	done
}

# told NAME WHO: the directives for amd, intel, guest, qemu or build
told()
{
	sed -n '2,/^diff /s/^# //p' "lab/mutations/$1.diff" | sed -n "/^$2/p"
}

n=0
: >$tap
# row NAME killed|SURVIVED|BROKEN TEXT
row()
{
	n=$((n + 1))
	[ "$2" = killed ] && ok=ok || ok="not ok"
	echo "$ok $n - $1: $(sed -n '1s/^# //p' "lab/mutations/$1.diff"): $2: $3" | tee -a $tap >&2
}

# rows_of TAP [NAME]: what the results mean for that mutant, or those that they name
rows_of()
{
	while read -r line; do
		text=${line#*- }
		name=${2-${text%%:*}}
		text=${text#"$name":}
		case $line in
		*' - host'*|*' - x86/'*|1..*|'#'*) ;;
		*'# cannot load'*|*'# no end within'*|*'ended before it had a result')
			row "$name" BROKEN "$text" ;;
		not*) row "$name" killed "$text" ;;
		*) row "$name" SURVIVED "$text" ;;
		esac
	done <"$1"
}

# run_tests HOST: all that mutants are told, in one machine, and in another what comes
# after a test that ended it
run_tests()
{
	sed 's/^[^:]*://' "$out/$1.todo" | sort -u | cat - "$out/$1.todo" >$out/list
	while [ -s $out/list ]; do
		lab/selftests-run.sh "$1" linux $out/initramfs.cpio $out/list $out/run $out/modules
		end=$(grep -n -m 1 'ended before it had a result' $out/run.tap | cut -d : -f 1)
		head -n "${end:-9999}" $out/run.tap >>"$out/$1.tap"
		cat $out/run.console >>"$out/$1.console"
		sed -i "1,${end:-\$}d" $out/list
	done
	# What fails anyway can't notice anything.
	! grep '^ok [0-9]* - x86/.*# SKIP\|^not ok [0-9]* - x86/' "$out/$1.tap" ||
		die "not good with nothing taken out"
	rows_of "$out/$1.tap"
}

say "building KVM as it is"
build
lab/initramfs.sh $tree/out $out/initramfs.cpio
keep unmutated
rows=$(for name; do told "$name" '\(guest\|qemu\): ' | sed 's/.*: //'; done | sort -u)
# shellcheck disable=SC2086 # a list
[ -z "$rows" ] || lab/guest.sh $rows || die "rows fail with nothing taken out"

for name; do
	kind=linux
	[ -z "$(told "$name" qemu:)" ] || kind=qemu
	g -C build/$kind-mutant reset --quiet --hard
	if ! g -C build/$kind-mutant apply --recount "$PWD/lab/mutations/$name.diff" 2>$out/log; then
		row "$name" BROKEN "the diff does not apply, $(tail -n 1 $out/log)"
	elif [ -n "$(told "$name" build)" ]; then
		if build >$out/log 2>&1; then
			row "$name" SURVIVED "it builds"
		elif grep -q 'static assertion failed' build/log/kernel-linux-mutant.log; then
			row "$name" killed "it does not build"
		else
			row "$name" BROKEN "it fails to build in another way"
		fi
	elif [ -n "$(told "$name" guest:)" ]; then
		lab/kernel.sh linux-mutant bzImage || { row "$name" BROKEN "it does not build"; continue; }
		# shellcheck disable=SC2046 # a list
		GUEST_KERNEL=$tree/out/arch/x86/boot/bzImage \
			lab/guest.sh $(told "$name" guest: | sed 's/^guest: //') >"$out/$name.log" 2>&1 || :
		rows_of build/results/guest.tap "$name"
	elif [ $kind = qemu ]; then
		lab/build-qemu.sh qemu-mutant || { row "$name" BROKEN "it does not build"; continue; }
		# shellcheck disable=SC2046 # a list
		GUEST_QEMU=$PWD/build/qemu-mutant/build/static/qemu-system-x86_64 \
			lab/guest.sh $(told "$name" qemu: | sed 's/^qemu: //') >"$out/$name.log" 2>&1 || :
		rows_of build/results/guest.tap "$name"
	elif ! build; then
		row "$name" BROKEN "it does not build"
	else
		keep "modules/$name"
		for host in amd intel; do
			told "$name" $host | sed "s,^[a-z]*\([^:]*\): \([^ ]*\)\(.*\),$name:x86/\2\1\3," >>$out/$host.todo
		done
	fi
done
for host in amd intel; do
	[ ! -s $out/$host.todo ] || run_tests $host
done
echo "1..$n" >>$tap
prove -f -e cat $tap
