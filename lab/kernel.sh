#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Configure and build a kernel with its modules:
#
#	kernel.sh linux|linux-base|linux-mutant|linux-32 [TARGET...]
#
# linux-32 is the patched kernel for 32-bit guests, with what there is of the
# configuration, which Kconfig decides.
#
# The build directory is a child of the tree: then kbuild refers to the sources
# by relative paths, and the compiler cache knows them in any tree and clone.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1-} in
linux) name=kernel ;;
linux-base) name="unpatched kernel" ;;
linux-mutant) name="mutant" ;;
linux-32) name="32-bit kernel" ;;
*) die "usage: kernel.sh linux|linux-base|linux-mutant|linux-32 [TARGET...]" ;;
esac
arch=x86_64
tree=build/${1%-32}
out=$tree/out
if [ "$1" = linux-32 ]; then
	arch=i386
	out=${out}32
fi
fragment=lab/kernel.config
log=build/log/kernel-$1.log
shift
[ $# -gt 0 ] || set -- bzImage modules

need make gcc ccache flex bison bc
[ -e "$tree/Kbuild" ] || die "no $tree: run \"make tree\""
need_space "$tree" 1000 "building the kernel"

# Always the same version, so that nothing is built again for its sake.
kbuild()
{
	make -C "$tree" O="${out##*/}" ARCH=$arch CC="ccache gcc" HOSTCC="ccache gcc" \
		LOCALVERSION= KBUILD_BUILD_VERSION=1 KBUILD_BUILD_USER=lab \
		KBUILD_BUILD_HOST=lab KBUILD_BUILD_TIMESTAMP=1970-01-01 "$@"
}

configure()
{
	kbuild KCONFIG_ALLCONFIG="$PWD/$fragment" allnoconfig
	lost=
	[ $arch = i386 ] || lost=$(grep '^CONFIG_' "$fragment" | grep -vxF -f "$out/.config") || :
	if [ -n "$lost" ]; then
		echo "$fragment has lines that Kconfig did not take:" "$lost"
		return 1
	fi
	cp "$fragment" "$out/.fragment"
	touch "$out/.config"
}

mkdir -p "$out"
if ! cmp -s "$fragment" "$out/.fragment" ||
   [ -n "$(find "$tree" -path "$tree/out*" -prune -o -name 'Kconfig*' -newer "$out/.config" -print)" ]; then
	rm -f "$out/.fragment"
	step "configuring the $name" "$log" configure
fi
step "building the $name" "$log" kbuild -j"$(nproc)" "$@"
