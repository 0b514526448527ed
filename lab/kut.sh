#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Run kvm-unit-tests on the unpatched and on the patched host of both vendors, as TAP. A
# test of the clone KUT must say the same on both, one that only our patches have must
# pass on the patched one.
#
#	kut.sh [NAME...]	as in x86/unittests.cfg; all that run by default, but
#				for those that measure how long exits take

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=lab/tap.sh
. lab/tap.sh

[ -f "${KUT-}/x86/unittests.cfg" ] ||
	die "KUT=DIR is a clone of https://gitlab.com/kvm-unit-tests/kvm-unit-tests.git"
tree=build/kvm-unit-tests
results=build/results/kut
job=build/job/kut
lab/tree.sh kvm-unit-tests
build()
{
	mkdir -p $tree/out
	cd $tree/out
	../configure --cc="ccache gcc"
	make -j"$(nproc)"
}
step "building kvm-unit-tests" build/log/kut.log build

# NAME|FILE|SMP|SECONDS|ARGUMENTS|OPTIONS of each test
rm -rf $job $results
mkdir -p $job $results
awk -v names="$*" '
	function flush() {
		if (name != "" && (names == "" ? run : index(" " names " ", " " name " ")))
			print name "|" field["file"] "|" field["smp"] + !field["smp"] "|" \
				field["timeout"] + (field["timeout"] ? 0 : 90) "|" \
				field["test_args"] "|" field["qemu_params"] field["extra_params"]
		split("", field)
		run = 1
	}
	/^\[/ { flush(); name = substr($1, 2, length($1) - 2) }
	/^[a-z_]+ *=/ {
		value = $0
		gsub(/^[^=]*= *|["\047]/, "", value)
		field[$1] = value
		if ($0 ~ /^(arch = i386|accel = tcg|groups = .*(nodefault|vmexit))/)
			run = 0
	}
	END { flush() }' $tree/x86/unittests.cfg >$job/list
cut -d"|" -f2 $job/list | sort -u | while read -r file; do
	ln -s "$PWD/$tree/out/x86/$file" $job/
done
ln -s "$PWD/build/qemu-system-x86_64" "$PWD/build/qemu-firmware" $job/
cat >$job/run <<'END'
#!/bin/sh
# Bochs takes its time.
slow=1
! grep -qw vmx /proc/cpuinfo || slow=4
while IFS='|' read -r name file smp seconds arguments options; do
	echo "=== $name"
	# shellcheck disable=SC2086 # a list
	timeout -s KILL $((seconds * slow)) ./qemu-system-x86_64 -L qemu-firmware -nodefaults \
		-machine q35,accel=kvm -display none -no-reboot -serial stdio \
		-device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 \
		-device pci-testdev -global kvm-pit.lost_tick_policy=discard -smp "$smp" \
		-kernel "$file" -append "$arguments" $options >/tmp/out 2>&1 </dev/null
	status=$?
	tail -n 30 /tmp/out
	{
		# How far one came that is killed says nothing.
		[ $status -eq 137 ] ||
			grep -aE '^(PASS|FAIL|XPASS|XFAIL|SKIP|SUMMARY|ABORT|qemu)' /tmp/out
		echo "status $status"
	} | tr -d '\r' | sed "s/^/$name /" >&3
done <list
END
chmod 755 $job/run

for vendor in amd intel; do
	# Bochs has no more.
	[ $vendor = amd ] && memory=6144 || memory=2048
	for kernel in linux-base linux; do
		say "kvm-unit-tests, $vendor, $kernel"
		out=$results/$vendor-$kernel
		mkdir -p "$out"
		lab/run.sh -e $vendor -c 2 -t 5400 -m "$memory" -a kvm.force_emulation_prefix=1 \
			-k build/$kernel/out/arch/x86/boot/bzImage -j $job -l "$out.console" \
			-i "build/initramfs${kernel#linux}.cpio" -r "$out.results" ||
			t "$vendor, $kernel: the host" false
		# One file a test; what it measured may be different.
		sed 's/[0-9]\{4,\}/N/g; /^exit /d' "$out.results" |
			awk -v out="$out" '{ file = out "/" $1; sub(/^[^ ]+ /, ""); print >file }'
	done
	cut -d'|' -f1 $job/list >$results/names
	while read -r name; do
		if grep -qxF "[$name]" "$KUT/x86/unittests.cfg"; then
			t "$vendor: $name is as without the patches, $(tail -n 1 "$out/$name" || :)" \
				diff -U 1 "$out-base/$name" "$out/$name"
		else
			t "$vendor: $name passes" eval '! grep -vE "^(PASS|SUMMARY|status 1$)" "$out/$name"'
		fi
	done <$results/names
done
echo "1..$tests"
