#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Execute random sequences of what concerns CR0, CR4 and pins, in an AMD and in an Intel
# host, and compare KVM with a model, see lab/fuzz/:
#
#	fuzz.sh [amd] [intel]
#
# STEPS are shared out among the ways in which guests run. SEED is where they start; with
# that of a failure and 400 STEPS, it comes again, in the same way: PARAMETER=npt=0, say,
# has all steps in that one, PARAMETER=- in that without any. COVERAGE=y runs them in a kernel
# that counts, and wants each line of cr_pin.c, and of its callers that call it, to run.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

steps=${STEPS:-100000} seed=${SEED:-1}
fuzz=build/fuzz
[ $# -gt 0 ] || set -- amd intel
rm -rf $fuzz
mkdir -p $fuzz build/results

# With the library of the selftests, and the way these are built
build_fuzz()
{
	# shellcheck disable=SC2016 # make expands it
	kselftest linux --eval "lab-fuzz: $PWD/lab/fuzz/fuzz.c ; "'$(CC) $(CFLAGS) $(CPPFLAGS) $(LDFLAGS) $< $(LIBKVM_OBJS) $(LDLIBS) -o '"$PWD/$fuzz/fuzz" \
		lab-fuzz
}
step "building the fuzzer" build/log/fuzz.log build_fuzz
strip $fuzz/fuzz

out=build/linux/out initramfs=build/initramfs.cpio
if [ -n "${COVERAGE-}" ]; then
	out=build/linux/out-gcov initramfs=$fuzz/initramfs.cpio
	lab/kernel.sh linux-gcov
	lab/initramfs.sh "$out" "$initramfs"
fi

# Percent of all steps, and a parameter: what is faster does more.
shares()
{
	if [ -n "${PARAMETER-}" ]; then
		echo "100 $PARAMETER"
	elif [ "$1" = amd ]; then
		printf '%s\n' "45 -" "25 npt=0"
	else
		printf '%s\n' "18 -" "6 ept=0" "6 unrestricted_guest=0"
	fi
}

for vendor; do
	job=$fuzz/$vendor
	mkdir "$job"
	ln -s "$PWD/lab/fuzz/run" "$PWD/$fuzz/fuzz" "$job"
	shares "$vendor" | awk -v steps="$steps" -v seed="$seed" '
		{ n = int(steps * $1 / 100); print $2, seed, n; seed += int(n / 400) + 1 }' >"$job/list"
	say "fuzzing, $vendor"
	# As slow as the slower one, and as much again
	lab/run.sh -e "$vendor" -t $((180 + steps / 200)) -a kvm.force_emulation_prefix=1 \
		-k "$out/arch/x86/boot/bzImage" -i "$initramfs" -j "$job" \
		-l "$fuzz/$vendor.console" -r "$fuzz/$vendor.results" && status=0 || status=$?
	# What has no result is one that failed.
	awk -v vendor="$vendor" -v status="$status" '
		FILENAME == ARGV[1] { if (/^(not )?ok |^#/) print; n += /^(not )?ok / ; next }
		FNR > n { print "not ok " FNR " - " vendor " " $0 " # the machine ended before it had a result" }
		END {
			print (status ? "not ok " : "ok ") ++FNR " - " vendor " host" (status ? " # it ended with status " status : "")
			print "1.." FNR
		}' "$fuzz/$vendor.results" "$job/list" | tr -d '\r' >build/results/fuzz-"$vendor".tap
	if [ -n "${COVERAGE-}" ]; then
		mkdir "$fuzz/gcov-$vendor"
		tr -d '\r' <"$fuzz/$vendor.results" | sed -n 's/^gcov //p' | base64 -d |
			tar -C "$fuzz/gcov-$vendor" -xz
	fi
done

taps=$(for vendor; do echo "build/results/fuzz-$vendor.tap"; done)
if [ -n "${COVERAGE-}" ]; then
	lab/fuzz/coverage "$out" "$@" >build/results/fuzz-coverage.tap
	taps="$taps build/results/fuzz-coverage.tap"
fi
# shellcheck disable=SC2086 # names
grep -h '^#\|^not ok' $taps || :
# shellcheck disable=SC2086
prove -f -e cat $taps
