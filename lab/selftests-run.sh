#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run KVM selftests in a host:
#
#	selftests-run.sh amd|intel TREE INITRAMFS LIST OUT [MODULES]
#
# with the kernel and the tests of build/TREE. A line of LIST is NAME:TEST[PARAMETER=N]
# ARGUMENT..., see selftests-job.sh; NAME is a directory in MODULES. OUT.tap gets a result
# for each, and one for the host, OUT.console what they print.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

vendor=$1 tree=$2 initramfs=$3 list=$4 out=$5

job=$out.job
pid=
# shellcheck disable=SC2016 # when it is called
on_exit '[ -z "$pid" ] || kill $pid; wait; rm -rf "$job"'
rm -rf "$job" "$out.tap"
mkdir -p "$job"
ln -s "$PWD/build/selftests/$tree/tests" "$PWD/lab/console.awk" "$job"
[ -z "${6-}" ] || ln -s "$PWD/$6" "$job/modules"
cp lab/selftests-job.sh "$job/run"
cp "$list" "$job/list"
cut -f 1 "lab/known-failures.$vendor" >"$job/known"
sed 's/	always	/	maybe	/' lab/known-console >"$job/known-console"

# Some tests want the prefix that makes KVM emulate an instruction.
total=$(wc -l <"$list")
limit=$((600 + total * 5))
: >"$out.results"
say "running $total KVM selftests on $tree, $vendor"
lab/run.sh -e "$vendor" -t $limit -a kvm.force_emulation_prefix=1 \
	-k "build/$tree/out/arch/x86/boot/bzImage" -i "$initramfs" -j "$job" \
	-l "$out.console" -r "$out.results" 2>"$out.err" &
pid=$!
tail -n +1 -s 1 -f --pid=$pid "$out.results" | sed -u -n '0~10=' |
	sed -u "s/.*/$me: & of $total are done/" >&2
status=0
wait $pid || status=$?
pid=

# What has no result is one that failed. After an oops, there is nothing any more.
awk -v status=$status -v "oops=$(sed -n 's/.*\(BUG: kernel .*\)/: \1/p' "$out.console" | head -n 1)" '
	FILENAME == ARGV[1] {
		if (!/^(not )?ok /)
			next
		print
		n++
		next
	}
	FNR > n { print "not ok " FNR " - " $0 " # the machine ended before it had a result" oops }
	END {
		print (status ? "not ok " : "ok ") ++FNR " - host" (status ? " # it ended with status " status : "")
		print "1.." FNR
	}' "$out.results" "$list" | tr -d '\r' >"$out.new"
rm "$out.results"
mv "$out.new" "$out.tap"
[ $status -eq 0 ] || cat "$out.err" >&2
