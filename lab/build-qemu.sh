#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Build a static QEMU that emulates the host and runs the guests inside it:
#
#	build/qemu-system-x86_64, build/qemu-img
#	build/qemu-firmware	for qemu -L
#
# or, as "build-qemu.sh TREE", of build/TREE, what is in its build/static.
#
# ninja knows what is up to date.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

tree=${1-qemu}
src=$PWD/build/$tree
fw=build/qemu-firmware
# QEMU's .gitignore has /build/. A directory in it leaves the user's own builds
# alone.
obj=$src/build/static

# The first python3 in PATH may be anything, Debian's is known to do.
python=/usr/bin/python3
bios=/usr/share/seabios/bios-256k.bin
bios_microvm=/usr/share/seabios/bios-microvm.bin
uefi=/usr/share/ovmf/OVMF.fd
need $python gcc ccache make ninja pkg-config dpkg-deb strip readelf
for file in $bios $bios_microvm $uefi; do
	[ -r "$file" ] || die "$file is missing: run \"make packages\""
done
[ -x "$src/configure" ] || die "no QEMU in $src: run \"make tree\""
meson=$(lab/fetch.sh meson)

# To ccache, paths in the source tree are relative: any clone hits.
export CCACHE_BASEDIR="$src"
unset PYTHONHOME PKG_CONFIG_PATH
# meson runs from where it is unpacked, also when ninja starts it again.
export PYTHONPATH="$obj/meson/usr/lib/python3/dist-packages"

# The default devices take a third longer to build, and make the binary, which
# the emulated host has to load, three times as big. configure wants the list to
# be in the source tree: hide it there.
devices=configs/devices/x86_64-softmmu/kvm-cr-pinning.mak
devices_list='CONFIG_Q35=y
CONFIG_I440FX=y
CONFIG_MICROVM=y
CONFIG_ISA_DEBUG=y
CONFIG_ISA_TESTDEV=y
CONFIG_PCI_TESTDEV=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_BLK=y'
exclude=$(cd "$src" && realpath -m "$(g rev-parse --git-path info/exclude)")
mkdir -p "${exclude%/*}"
grep -qsxF "/$devices" "$exclude" || echo "/$devices" >>"$exclude"
[ "$(cat "$src/$devices" 2>/dev/null)" = "$devices_list" ] ||
	echo "$devices_list" >"$src/$devices"

# A version of its own saves linking again for each commit.
set -- --python="$python" --cc='ccache gcc' --disable-download \
	--target-list=x86_64-softmmu --static --disable-pie \
	--without-default-features --enable-kvm --enable-tcg --enable-tools \
	--enable-fdt=system \
	--without-default-devices --with-devices-x86_64=kvm-cr-pinning \
	--with-pkgversion=kvm-cr-pinning --disable-install-blobs \
	--disable-debug-info --disable-containers

configure()
(
	cd "$obj" && "$src/configure" "$@"
)

# What is configured otherwise, or was interrupted, is not worth keeping: ccache
# has it.
config="$src $meson $* $devices_list"
if [ "$(cat "$obj/configured" 2>/dev/null)" != "$config" ]; then
	need_space "$src" 400 "building QEMU"
	rm -rf "$obj"
	mkdir -p "$obj"
	dpkg-deb -x "$meson" "$obj/meson" ||
		die "cannot unpack $meson: remove it, it will be fetched again"
	step "configuring QEMU" "build/log/$tree-configure.log" configure "$@"
	# configure wants a 32-bit libgcc for the option ROMs, which they don't.
	printf '%s\n' "TOPSRC_DIR=$src" "PYTHON=$python" CC=gcc OBJCOPY=objcopy \
		>"$obj/pc-bios/optionrom/config.mak"
	echo "$config" >"$obj/configured"
fi

build()
{
	ninja -C "$obj" qemu-system-x86_64 qemu-img
	# What -kernel starts in a machine
	make -C "$obj/pc-bios/optionrom" kvmvapic.bin linuxboot_dma.bin multiboot_dma.bin
}
step "building QEMU" "build/log/$tree.log" build
[ "$tree" = qemu ] || exit 0

on_exit "rm -f build/*.tmp.$$"
for binary in qemu-system-x86_64 qemu-img; do
	[ -z "$(find "build/$binary" -newer "$obj/$binary" 2>/dev/null)" ] || continue
	tmp=build/$binary.tmp.$$
	strip -o "$tmp" "$obj/$binary"
	! readelf -l "$tmp" | grep -q INTERP ||
		die "$binary is not static: see build/log/$tree-configure.log"
	"$tmp" --version >/dev/null || die "the new $binary does not run"
	mv "$tmp" "build/$binary"
done
mkdir -p "$fw"
for file in $bios $bios_microvm $uefi "$obj"/pc-bios/optionrom/*.bin; do
	cmp -s "$file" "$fw/${file##*/}" || cp "$file" "$fw/"
done
