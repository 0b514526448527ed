#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run what is to be checked and sum it up:
#
#	check.sh [amd] [demo]
#
# amd	the KVM selftests in an AMD host, on the unpatched kernel and on the
#	patched one, each with the selftests of its own tree. A test that passes
#	without the patches must pass with them, one that only the patched tree has
#	must pass. What fails because of the emulator is in lab/known-failures.amd,
#	and what is there must fail.
# demo	the guests and attacks of the demo

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

limit=900
results=build/results
mkdir -p $results
verdicts=$results/verdicts
: >$verdicts

pids=
trap '[ -z "$pids" ] || kill $pids' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# make_job TREE
make_job()
{
	job=build/job/selftests-$1
	rm -rf "$job"
	mkdir -p "$job"
	ln -s "$PWD/build/selftests/$1/tests" "$PWD/build/selftests/$1/list" "$job/"
	cp lab/selftests-job.sh "$job/run"
}

# run_selftests TREE INITRAMFS: one tree after the other, because some tests assume
# that they don't have to wait for a processor. Some want the prefix that makes
# KVM emulate an instruction.
run_selftests()
{
	say "running $(wc -l <"build/selftests/$1/list") KVM selftests on build/$1, under $accel"
	: >"$results/amd-$1.results"
	lab/run.sh -e amd -t $limit -a kvm.force_emulation_prefix=1 \
		-k "build/$1/out/arch/x86/boot/bzImage" -i "$2" \
		-j "build/job/selftests-$1" \
		-l "$results/amd-$1.console" -r "$results/amd-$1.results" \
		2>"$results/amd-$1.err" &
	pids=$!
	begin=$(date +%s)
	shown=$begin
	while kill -0 $pids 2>/dev/null; do
		sleep 1
		if [ $(($(date +%s) - shown)) -ge 20 ]; then
			shown=$(date +%s)
			say "$((shown - begin)) s: $(wc -l <"$results/amd-$1.results") tests are done"
		fi
	done
	# A job that failed shows in the results.
	wait $pids || cat "$results/amd-$1.err" >&2
	pids=
	say "done in $(($(date +%s) - begin)) s"
}

# key TREE INITRAMFS: of all that the outcome depends on
key()
{
	{
		cat "build/$1/out/arch/x86/boot/bzImage" "$2" lab/run.sh lab/check.sh
		find -L "build/job/selftests-$1" -type f | sort | xargs sha256sum
		qemu-system-x86_64 --version
		echo "$accel"
	} | sha256sum | cut -d' ' -f1
}

# The test's own words, from the console
show()
{
	for tree in linux-base linux; do
		tr -d '\r' <"$results/amd-$tree.console" |
			awk -v test="$1" '
				$1 == "===" && $3 == test && $2 != "pass" && $2 != "skip" { on = 0; bad = 1 }
				on { text = text "    " $0 "\n" }
				$1 == "===" && $2 == test && NF == 2 { on = 1; text = "" }
				END { if (bad) printf "%s", text }' |
			tail -n 40 >"$results/text"
		[ ! -s "$results/text" ] || {
			echo "  $1 on build/$tree printed, see all of $results/amd-$tree.console:"
			cat "$results/text"
		}
	done
	rm -f "$results/text"
}

check_amd()
{
	accel=${LAB_ACCEL:-$(lab/accel.sh build/linux-base/out/arch/x86/boot/bzImage \
		build/initramfs-base.cpio amd)}
	make_job linux
	make_job linux-base
	base_key=$(key linux-base build/initramfs-base.cpio)

	if [ "$(cat $results/amd-linux-base.key 2>/dev/null)" = "$base_key" ]; then
		say "nothing changed on the unpatched kernel's side, its results are known"
	else
		rm -f $results/amd-linux-base.key
		run_selftests linux-base build/initramfs-base.cpio
	fi
	run_selftests linux build/initramfs.cpio

	for tree in linux-base linux; do
		sed '/^exit /d' "$results/amd-$tree.results" >"$results/amd-$tree.list"
		# The machine died, or did not get there
		while read -r test; do
			grep -q "^[a-z]* $test\( \|\$\)" "$results/amd-$tree.list" ||
				echo "lost $test the machine died before it had a result"
		done <"build/selftests/$tree/list" >"$results/lost"
		cat "$results/lost" >>"$results/amd-$tree.list"
		rm "$results/lost"
	done
	awk -v accel="$accel" -f lab/verdict.awk lab/known-failures.amd \
		$results/amd-linux-base.list $results/amd-linux.list >$results/amd.verdicts
	sed 's/^\([a-z]*\) /\1 amd: /' $results/amd.verdicts | grep -v '^count' >>$verdicts
	grep -q '^fail' $results/amd.verdicts || echo "$base_key" >$results/amd-linux-base.key

	echo
	echo "KVM selftests, AMD        pass   fail   skip"
	awk '$1 == "count" { printf "  %-20s %7d%7d%7d\n", $2 " kernel", $3, $4, $5 }' \
		$results/amd.verdicts
	# shellcheck disable=SC2013 # names
	for test in $(sed -n 's/^fail \([^ ]*\) .*/\1/p' $results/amd.verdicts); do
		show "$test"
	done
}

check_demo()
{
	lab/demo.sh || echo "fail demo: see above" >>$verdicts
	[ ! -s build/demo.results ] || cat build/demo.results >>$verdicts
}

for part; do
	case $part in
	amd) check_amd ;;
	demo) check_demo ;;
	*) die "usage: check.sh [amd] [demo]" ;;
	esac
done

# Everything that was skipped with its reason, everything that failed
echo
awk '
	NF > 2 && $1 != "fail" {
		verdict = $1
		name = $3
		sub(/^[^ ]+ [^ ]+ [^ ]+ */, "")
		if (verdict == "pass" && $0 == "")
			next
		why = (verdict == "pass" ? "passed " : "skipped: ") $0
		if (!(why in names))
			order[++n] = why
		names[why] = names[why] "\n    " name
	}
	END {
		for (i = 1; i <= n; i++)
			print order[i] names[order[i]]
	}' $verdicts
sed -n 's/^fail /FAILED: /p' $verdicts
awk '{ n[$1]++ } END { printf "%d passed, %d failed, %d skipped\n", n["pass"], n["fail"], n["skip"] }' $verdicts
! grep -q '^fail' $verdicts
