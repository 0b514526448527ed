#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run what is to be checked, and have prove sum it up:
#
#	check.sh [amd] [intel] [guest]
#
# amd	the KVM selftests on the patched kernel in an AMD host, compared with those on
#	the unpatched one, see verdict.awk. The tests of pinning run once more with each
#	of the parameters of KVM's modules that change how guests run.
# intel	the same in an Intel host, but for the tests in lab/not-run.intel
# guest	what happens in the life of a Linux guest, see lab/guest.sh
#
# With amd-base or intel-base it runs those on the unpatched kernel, and no more.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

results=build/results
mkdir -p $results

# selftests VENDOR TREE INITRAMFS OUT [PARAMETER...]
selftests()
{
	vendor=$1 tree=$2 initramfs=$3 out=$4
	shift 4
	all=build/selftests/$tree/list
	not_run "$vendor" | cut -d' ' -f1 >"$out.not-run"
	! grep -vxF -f "$all" "$out.not-run" ||
		die "lab/not-run.$vendor has what is no test"
	{
		cat "$all"
		for parameter; do
			sed -n "s,^x86/\(cr_pin\|smep_\|svm_nested_unpaged\).*,&[$parameter],p" "$all"
		done
	} | grep -vxF -f "$out.not-run" >"$out.list"
	rm "$out.not-run"
	lab/selftests-run.sh "$vendor" "$tree" "$initramfs" "$out.list" "$out"
}

# not_run VENDOR: the tests that an emulated host does without, NAME REASON
not_run()
{
	[ "$(accel_of "$1")" = kvm ] || grep -sv '^#' "lab/not-run.$1" || :
}

# judge VENDOR PARAMETER...
judge()
{
	vendor=$1
	shift
	selftests "$vendor" linux build/initramfs.cpio "$results/$vendor-patched" "$@"
	accel=$(accel_of "$vendor")
	# What the list says is about the emulator.
	known=lab/known-failures.$vendor
	[ "$accel" != kvm ] || known=/dev/null
	not_run "$vendor" >$results/not-run
	awk -v vendor="$vendor" -v accel="$accel" -f lab/verdict.awk file=1 "$known" \
		file=2 $results/not-run file=3 "$results/$vendor-base.tap" \
		file=4 "$results/$vendor-patched.tap" >"$results/$vendor.tap"
}

taps=
for part; do
	case $part in
	amd-base|intel-base)
		selftests "${part%-base}" linux-base build/initramfs-base.cpio "$results/$part"
		exit 0
		;;
	amd)
		judge amd npt=0
		taps="$taps amd.tap"
		;;
	intel)
		judge intel ept=0 unrestricted_guest=0
		taps="$taps intel.tap"
		;;
	guest)
		rm -f $results/guest*.tap
		# shellcheck disable=SC2086 # names
		lab/guest.sh ${ROWS-} || :
		taps="$taps guest*.tap"
		;;
	*) die "usage: check.sh [amd] [intel] [guest]" ;;
	esac
done

# What was skipped, and what fails as it is known to, by reason
cd $results
echo
# shellcheck disable=SC2086 # patterns
sed -n 's/^\(not \)*ok [0-9]* - \(.*\) # \(SKIP\|TODO\) \(.*\)/\3 \4: \2/p; /^# /p' $taps | sort
# shellcheck disable=SC2086
exec prove -f -e cat $taps
