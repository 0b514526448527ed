#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Configure and build a kernel with its modules:
#
#	kernel.sh linux|linux-base|linux-fixes|linux-mutant|linux-32|linux-bench|linux-gcov
#		[TARGET...]
#
# linux-32 is the patched kernel for 32-bit guests, with what there is of the
# configuration, which Kconfig decides; linux-bench and linux-mutant are the patched one,
# configured like the base, and like linux-fixes. linux-gcov counts which lines of its
# modules, i.e. KVM, run.
#
# The build directory is a child of the tree: then kbuild refers to the sources
# by relative paths, and the compiler cache knows them in any tree and clone.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

which=$1
shift
[ $# -gt 0 ] || set -- bzImage modules
[ "$which" != linux-gcov ] || set -- bzImage
tree=build/linux out=out arch=x86_64 end='# With the patches'
case $which in
linux) end=none ;;
linux-32) out=out32 arch=i386 end=none ;;
linux-bench) out="out-bench" ;;
linux-gcov) out="out-gcov" end=none ;;
*) tree=build/$which ;;
esac
out=$tree/$out
log=build/log/kernel-$which.log

[ -e "$tree/Kbuild" ] || die "no $tree: run \"make tree\""
need_space "$tree" 1000 "building the kernel"

# Always the same version, so that nothing is built again for its sake.
kbuild()
{
	make -C "$tree" O="${out##*/}" ARCH=$arch CC="$PWD/lab/cc" HOSTCC="ccache gcc" \
		LOCALVERSION= KBUILD_BUILD_VERSION=1 KBUILD_BUILD_USER=lab \
		KBUILD_BUILD_HOST=lab KBUILD_BUILD_TIMESTAMP=1970-01-01 "$@"
}

configure()
{
	kbuild KCONFIG_ALLCONFIG="$PWD/$out/fragment.new" allnoconfig || return
	[ $arch = i386 ] || ! grep '^CONFIG_' "$out/fragment.new" | grep -vxF -f "$out/.config" || {
		echo "these lines of lab/kernel.config were not taken by Kconfig"
		return 1
	}
	touch "$out/.config"
	mv "$out/fragment.new" "$out/fragment"
}

mkdir -p "$out"
sed "/^$end/,\$d" lab/kernel.config >"$out/fragment.new"
[ "$which" != linux-gcov ] || echo CONFIG_GCOV_KERNEL=y >>"$out/fragment.new"
if ! cmp -s "$out/fragment.new" "$out/fragment" ||
   [ -n "$(find "$tree" -path "$tree/out*" -prune -o -name 'Kconfig*' -newer "$out/.config" -print)" ]; then
	rm -f "$out/fragment"
	step "configuring $which" "$log" configure
fi
step "building $which" "$log" kbuild -j"$(nproc)" "$@"
[ "$which" != linux-gcov ] ||
	step "building KVM of $which" "$log" kbuild -j"$(nproc)" modules GCOV_PROFILE=y
