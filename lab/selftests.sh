#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Build a tree's KVM selftests, static, and collect them in build/selftests/:
#
#	selftests.sh linux|linux-base

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1-} in
linux) name="KVM selftests" ;;
linux-base) name="unpatched KVM selftests" ;;
*) die "usage: selftests.sh linux|linux-base" ;;
esac
tree=build/$1
tests=tools/testing/selftests/kvm
out=$tree/out/$tests
dest=build/selftests/$1

need make gcc ccache strip
[ -e "$tree/out/.config" ] || die "no kernel in $tree/out: run \"make kernel\" or \"make kernel-base\""
need_space build 1000 "building the KVM selftests"

# Relative paths, for the same reason as in kernel.sh, made so by ccache where
# the makefile insists on others. It adds to LDFLAGS: no argument, therefore.
kselftest()
{
	CCACHE_BASEDIR=$PWD LDFLAGS=-static make -C "$tree/$tests" ARCH=x86 CC="ccache gcc" \
		OUTPUT=../../../../out/$tests \
		KHDR_INCLUDES="-isystem ../../../../out/usr/include" "$@"
}

build()
{
	make -C "$tree" O=out ARCH=x86_64 CC="ccache gcc" HOSTCC="ccache gcc" \
		LOCALVERSION= -j"$(nproc)" headers
	kselftest -j"$(nproc)"
}

mkdir -p "$out"
step "building the $name" "build/log/selftests-$1.log" build

# What the makefile says is run, but for the tests that all architectures share:
# they have nothing to do with control registers, and measure performance or race
# threads for longer than an emulator can be waited for.
# shellcheck disable=SC2016 # make expands it
list=$(kselftest -s --no-print-directory \
	--eval 'lab-list: ; @echo $(TEST_GEN_PROGS) | tr " " "\n"' lab-list |
	sed "s,^.*/out/$tests/,," | grep '^x86/')
[ -n "$list" ] || die "$tree has no KVM selftests"

new=$dest.new
rm -rf "$new"
mkdir -p "$new"
for test in $list; do
	mkdir -p "$(dirname "$new/tests/$test")"
	strip -o "$new/tests/$test" "$out/$test"
done
echo "$list" | sort >"$new/list"
rm -rf "$dest"
mv "$new" "$dest"
