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

limit=2400
results=build/results
mkdir -p $results
verdicts=$results/verdicts
: >$verdicts

pids=
stop()
{
	for pid in $pids; do
		kill "$pid" 2>/dev/null || :
	done
	exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM HUP

# run_selftests TREE INITRAMFS
run_selftests()
{
	lab/run.sh -e amd -t $limit -k "build/$1/out/arch/x86/boot/bzImage" -i "$2" \
		-j "build/job/selftests-$1" \
		-l "$results/amd-$1.console" -r "$results/amd-$1.results" \
		2>"$results/amd-$1.err"
}

# key TREE INITRAMFS: of all that the outcome depends on
key()
{
	{
		cat "build/$1/out/arch/x86/boot/bzImage" "$2" lab/run.sh lab/check.sh
		find "build/job/selftests-$1" -type f | sort | xargs sha256sum
		qemu-system-x86_64 --version
		echo "$accel"
	} | sha256sum | cut -d' ' -f1
}

progress()
{
	for tree in linux-base linux; do
		printf '%s ' "$(grep -c . "$results/amd-$tree.results" 2>/dev/null)"
	done | {
		read -r base patched
		say "$(($(date +%s) - begin)) s: $base tests on the unpatched kernel, $patched of $total on the patched one"
	}
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
	total=$(grep -c . build/job/selftests-linux/list)
	begin=$(date +%s)
	base_key=$(key linux-base build/initramfs-base.cpio)

	: >$results/amd-linux.results
	run_selftests linux build/initramfs.cpio &
	patched_pid=$!
	base_pid=
	if [ "$(cat $results/amd-linux-base.key 2>/dev/null)" = "$base_key" ]; then
		say "nothing changed on the unpatched kernel's side, its results are known"
	else
		rm -f $results/amd-linux-base.key
		: >$results/amd-linux-base.results
		run_selftests linux-base build/initramfs-base.cpio &
		base_pid=$!
	fi
	pids="$patched_pid $base_pid"

	say "running $total KVM selftests under ${accel}"
	shown=$begin
	while kill -0 $patched_pid 2>/dev/null ||
	      { [ -n "$base_pid" ] && kill -0 "$base_pid" 2>/dev/null; }; do
		sleep 1
		if [ $(($(date +%s) - shown)) -ge 20 ]; then
			shown=$(date +%s)
			progress
		fi
	done
	for tree in linux-base linux; do
		case $tree in
		linux) pid=$patched_pid ;;
		*) pid=$base_pid ;;
		esac
		[ -z "$pid" ] || wait "$pid" || cat "$results/amd-$tree.err" >&2
	done
	pids=
	progress

	for tree in linux-base linux; do
		sed '/^exit /d' "$results/amd-$tree.results" >"$results/amd-$tree.list"
		# The machine died, or did not get there
		while read -r test; do
			grep -q "^[a-z]* $test\( \|\$\)" "$results/amd-$tree.list" ||
				echo "lost $test the machine died before it had a result"
		done <"build/job/selftests-$tree/list" >"$results/lost"
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
	if lab/demo.sh; then
		echo "pass demo" >>$verdicts
	else
		echo "fail demo: see above" >>$verdicts
	fi
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
awk '$1 == "skip" {
	name = $2 " " $3
	reason = $0
	sub(/^skip [^ ]* [^ ]* /, "", reason)
	if (!(reason in names))
		order[++n] = reason
	names[reason] = names[reason] " " $3
}
END {
	for (i = 1; i <= n; i++)
		print "skipped, " order[i] ":" names[order[i]]
}' $verdicts | fold -s -w 100
sed -n 's/^fail /FAILED /p' $verdicts
awk '{ n[$1]++ } END { printf "%d passed, %d failed, %d skipped\n", n["pass"], n["fail"], n["skip"] }' $verdicts
! grep -q '^fail' $verdicts
