#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Build the static qemu-system-x86_64 that runs guests inside the emulated host,
# and put the firmware that it needs next to it.  From the environment:
#
#	SRC	QEMU's source tree			build/qemu
#	OUT	the binary to make			build/qemu-system-x86_64
#	FW	directory of firmware, for qemu -L	build/qemu-firmware
#	DL	where meson's package is		$CACHE/dl
#	JOBS	compilers to run at a time		one per processor

set -eu

dl=${DL-}
# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

dl=${dl:-$DL}
src=${SRC:-build/qemu}
out=${OUT:-build/qemu-system-x86_64}
fw=${FW:-build/qemu-firmware}
jobs=${JOBS:-$(nproc)}

need gcc ccache ninja pkg-config dpkg-deb strip readelf
for lib in glib-2.0 zlib; do
	pkg-config --exists "$lib" ||
		die "$lib cannot be linked with: run \"make packages\""
done
# The first python3 in PATH may be anything, Debian's is known to do.
python=/usr/bin/python3
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
	die "$python with venv is missing: run \"make packages\""
meson=$(find "$dl" -maxdepth 1 -name 'meson_*.deb' 2>/dev/null | sort -V | tail -n 1)
[ -n "$meson" ] || die "no meson in $dl: \"make qemu\" fetches it"
[ -x "$src/configure" ] || die "no QEMU in $src: run \"make tree\""

src=$(cd "$src" && pwd -P)
mkdir -p "$(dirname "$out")" "$fw"

# QEMU's .gitignore has /build/. A directory in it leaves the user's own builds
# alone.
obj=$src/build/static
trap 'exit 130' INT
trap 'exit 143' TERM HUP

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
CONFIG_ISA_DEBUG=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_BLK=y'
if [ -e "$src/.git" ]; then
	exclude=$(cd "$src" && realpath -m "$(g rev-parse --git-path info/exclude)")
	mkdir -p "${exclude%/*}"
	grep -qsxF "/$devices" "$exclude" || echo "/$devices" >>"$exclude"
fi
[ "$(cat "$src/$devices" 2>/dev/null)" = "$devices_list" ] ||
	echo "$devices_list" >"$src/$devices"

configure()
(
	cd "$obj" && "$src/configure" "$@"
)

set -- --python="$python" --cc='ccache gcc' --disable-download \
	--target-list=x86_64-softmmu --static --disable-pie \
	--without-default-features --enable-kvm --disable-tcg \
	--without-default-devices --with-devices-x86_64=kvm-cr-pinning \
	--disable-fdt --disable-user --disable-tools --disable-guest-agent \
	--disable-docs --disable-install-blobs --disable-debug-info \
	--disable-werror

# What is configured otherwise, or was interrupted, is not worth keeping: ccache
# has it.
config="$src $meson $* $devices_list"
if [ "$(cat "$obj/configured" 2>/dev/null)" != "$config" ]; then
	need_space "$src" 300 "building QEMU"
	rm -rf "$obj"
	mkdir -p "$obj"
	dpkg-deb -x "$meson" "$obj/meson" ||
		die "cannot unpack $meson: remove it, it will be fetched again"
	step "configuring QEMU" build/log/qemu-configure.log configure "$@"
	echo "$config" >"$obj/configured"
fi
step "building QEMU" build/log/qemu.log \
	ninja -C "$obj" -j "$jobs" qemu-system-x86_64

tmp=$out.tmp.$$
trap 'rm -f "$tmp" "$fw"/*.tmp.$$' EXIT
strip -o "$tmp" "$obj/qemu-system-x86_64" || die "cannot write $tmp"
if readelf -l "$tmp" | grep -q INTERP; then
	die "$tmp is not static: see build/log/qemu-configure.log"
fi
"$tmp" --version >/dev/null || die "the new qemu-system-x86_64 does not run"

# What machines q35 and pc load for -kernel if they have no other devices
for file in bios-256k.bin kvmvapic.bin linuxboot_dma.bin; do
	for dir in /usr/share/seabios /usr/share/qemu; do
		[ ! -r "$dir/$file" ] || break
	done
	[ -r "$dir/$file" ] || die "$file is missing: run \"make packages\""
	cp "$dir/$file" "$fw/$file.tmp.$$"
	mv "$fw/$file.tmp.$$" "$fw/$file"
done
mv "$tmp" "$out"
