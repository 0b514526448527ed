#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Build a tree's KVM selftests, static, and collect them in build/selftests/:
#
#	selftests.sh linux|linux-base

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

out=build/$1/out/tools/testing/selftests/kvm
dest=build/selftests/$1

build()
{
	make -C "build/$1" O=out ARCH=x86_64 CC="ccache gcc" HOSTCC="ccache gcc" \
		LOCALVERSION= -j"$(nproc)" headers &&
	kselftest "$1" -j"$(nproc)"
}
mkdir -p "$out"
step "building the KVM selftests of $1" "build/log/selftests-$1.log" build "$1"

# What the makefile says is run, but for the tests that all architectures share:
# they have nothing to do with control registers, and measure performance or race
# threads for longer than an emulator can be waited for.
# shellcheck disable=SC2016 # make expands it
list=$(kselftest "$1" -s --no-print-directory \
	--eval 'lab-list: ; @echo $(TEST_GEN_PROGS) | tr " " "\n"' lab-list |
	sed 's,^.*/kvm/x86/,x86/,' | grep '^x86/' | sort)
[ -n "$list" ] || die "build/$1 has no KVM selftests"

rm -rf "$dest.new"
mkdir -p "$dest.new/tests/x86"
for test in $list; do
	strip -o "$dest.new/tests/$test" "$out/$test"
done
echo "$list" >"$dest.new/list"
if diff -rq "$dest.new" "$dest" >/dev/null 2>&1; then
	rm -r "$dest.new"
else
	rm -rf "$dest"
	mv "$dest.new" "$dest"
fi
