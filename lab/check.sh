#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run what is to be checked and sum it up:
#
#	check.sh [amd] [intel] [demo] [guest]
#
# amd	the KVM selftests in an AMD host, on the unpatched kernel and on the
#	patched one, each with the selftests of its own tree. A test that passes
#	without the patches must pass with them, one that only the patched tree has
#	must pass. What fails because of the emulator is in lab/known-failures.amd,
#	and what is there must fail. The tests of pinning run once more with each
#	of the parameters of KVM's modules that change how guests run.
# intel	the same in an Intel host, but for the tests in lab/not-run.intel
# demo	the guests and attacks of the demo
# guest	what happens in the life of a Linux guest, see lab/guest.sh

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

# make_job TREE: with the tests that are to run in this host
make_job()
{
	job=build/job/$vendor-$1
	rm -rf "$job"
	mkdir -p "$job"
	ln -s "$PWD/build/selftests/$1/tests" "$job/"
	cp lab/selftests-job.sh "$job/run"
	{
		cat "build/selftests/$1/list"
		for parameter in $parameters; do
			sed -n "s,^x86/cr_pin.*,&[$parameter],p" "build/selftests/$1/list"
		done
	} | grep -vxF -e "$(not_run | cut -d' ' -f1)" >"$job/list"
}

# The tests that an emulated host does without, NAME REASON
not_run()
{
	[ "$accel" = kvm ] || grep -sv '^#' "lab/not-run.$vendor" || :
}

# run_selftests TREE INITRAMFS: one tree after the other, because some tests assume
# that they don't have to wait for a processor. Some want the prefix that makes
# KVM emulate an instruction.
run_selftests()
{
	say "running $(wc -l <"build/job/$vendor-$1/list") KVM selftests on build/$1, $vendor under $accel"
	: >"$results/$vendor-$1.results"
	lab/run.sh -e "$vendor" -t $limit -a kvm.force_emulation_prefix=1 \
		-k "build/$1/out/arch/x86/boot/bzImage" -i "$2" \
		-j "build/job/$vendor-$1" \
		-l "$results/$vendor-$1.console" -r "$results/$vendor-$1.results" \
		2>"$results/$vendor-$1.err" &
	pids=$!
	begin=$(date +%s)
	shown=$begin
	while kill -0 $pids 2>/dev/null; do
		sleep 1
		if [ $(($(date +%s) - shown)) -ge 20 ]; then
			shown=$(date +%s)
			say "$((shown - begin)) s: $(wc -l <"$results/$vendor-$1.results") tests are done"
		fi
	done
	status=0
	wait $pids || status=$?
	pids=
	if [ $status -eq 0 ]; then
		echo "pass host"
	else
		echo "fail host it ended with status $status"
		cat "$results/$vendor-$1.err" >&2
	fi >>"$results/$vendor-$1.results"
	say "done in $(($(date +%s) - begin)) s"
}

# key TREE INITRAMFS: of all that the outcome depends on
key()
{
	{
		cat "build/$1/out/arch/x86/boot/bzImage" "$2" lab/run.sh lab/machine-*.sh
		find -L "build/job/$vendor-$1" -type f | sort | xargs sha256sum
		case $accel in
		bochs) dpkg-query -W bochs bochsbios ;;
		*) qemu-system-x86_64 --version ;;
		esac
		echo "$accel"
	} | sha256sum | cut -d' ' -f1
}

# The test's own words, from the console
show()
{
	for tree in linux-base linux; do
		tr -d '\r' <"$results/$vendor-$tree.console" |
			awk -v test="$1" '
				$1 == "===" && $3 == test && $2 != "pass" && $2 != "skip" { on = 0; bad = 1 }
				on { text = text "    " $0 "\n" }
				$1 == "===" && $2 == test && NF == 2 { on = 1; text = "" }
				END { if (bad) printf "%s", text }' |
			tail -n 40 >"$results/text"
		[ ! -s "$results/text" ] || {
			echo "  $1 on build/$tree printed, see all of $results/$vendor-$tree.console:"
			cat "$results/text"
		}
	done
	rm -f "$results/text"
}

# check_host VENDOR PARAMETER...
check_host()
{
	vendor=$1
	shift
	parameters=$*
	accel=$(lab/accel.sh build/linux-base/out/arch/x86/boot/bzImage \
		build/initramfs-base.cpio "$vendor")
	make_job linux
	make_job linux-base
	base_key=$(key linux-base build/initramfs-base.cpio)

	if [ "$(cat "$results/$vendor-linux-base.key" 2>/dev/null)" = "$base_key" ]; then
		say "nothing changed on the unpatched kernel's side, its results are known"
	else
		rm -f "$results/$vendor-linux-base.key"
		run_selftests linux-base build/initramfs-base.cpio
	fi
	run_selftests linux build/initramfs.cpio

	for tree in linux-base linux; do
		sed '/^exit /d' "$results/$vendor-$tree.results" >"$results/$vendor-$tree.list"
		# The machine died, or did not get there
		awk 'FILENAME == ARGV[1] { seen[$2]; next }
		     !($1 in seen) { print "lost", $1, "the machine died before it had a result" }' \
			"$results/$vendor-$tree.list" "build/job/$vendor-$tree/list" >"$results/lost"
		cat "$results/lost" >>"$results/$vendor-$tree.list"
		rm "$results/lost"
	done
	awk -v accel="$accel" -f lab/verdict.awk "lab/known-failures.$vendor" \
		"$results/$vendor-linux-base.list" "$results/$vendor-linux.list" >"$results/$vendor.verdicts"
	sed "s/^\([a-z]*\) /\1 $vendor: /" "$results/$vendor.verdicts" | grep -v '^count' >>$verdicts
	grep -q '^fail' "$results/$vendor.verdicts" || echo "$base_key" >"$results/$vendor-linux-base.key"

	not_run | while read -r test reason; do
		if grep -qxF "$test" build/selftests/linux-base/list; then
			echo "skip $vendor: $test is not run ($reason)"
		else
			echo "fail $vendor: $test is in lab/not-run.$vendor, but no test"
		fi
	done >>$verdicts

	echo
	printf 'KVM selftests, %-10s  pass   fail   skip\n' "$vendor"
	awk '$1 == "count" { printf "  %-20s %7d%7d%7d\n", $2 " kernel", $3, $4, $5 }' \
		"$results/$vendor.verdicts"
	# shellcheck disable=SC2013 # names
	for test in $(sed -n 's/^fail \([^ ]*\) .*/\1/p' "$results/$vendor.verdicts"); do
		show "$test"
	done
}

check_demo()
{
	lab/demo.sh || echo "fail demo: see above" >>$verdicts
	[ ! -s build/demo.results ] || cat build/demo.results >>$verdicts
}

check_guest()
{
	lab/guest.sh || echo "fail guest: see above" >>$verdicts
	[ ! -s build/guest.results ] || cat build/guest.results >>$verdicts
}

for part; do
	case $part in
	amd) check_host amd npt=0 ;;
	intel) check_host intel ept=0 unrestricted_guest=0 ;;
	demo) check_demo ;;
	guest) check_guest ;;
	*) die "usage: check.sh [amd] [intel] [demo] [guest]" ;;
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
