#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Pack what a lab machine boots into, the same from the same files:
#
#	initramfs.sh KERNEL_BUILD_DIR INITRAMFS

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

[ $# -eq 2 ] || die "usage: initramfs.sh KERNEL_BUILD_DIR INITRAMFS"
out=$1
initramfs=$2

need cpio busybox
busybox=$(command -v busybox)
if ldd "$busybox" >/dev/null 2>&1; then
	die "$busybox needs libraries that the initramfs lacks: install busybox-static"
fi

root=$initramfs.d
trap 'rm -rf "$root" "$initramfs.new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
rm -rf "$root"
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" \
	"$root/lib/modules"
cp "$busybox" "$root/bin/busybox"
cp lab/init "$root/init"
chmod 755 "$root/bin/busybox" "$root/init"
for module in arch/x86/kvm/kvm arch/x86/kvm/kvm-amd arch/x86/kvm/kvm-intel \
	      virt/lib/irqbypass; do
	cp "$out/$module.ko" "$root/lib/modules/" ||
		die "no $module.ko in $out: run \"make kernel\""
done
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | sort | cpio -o -H newc -R 0:0 --reproducible --quiet) >"$initramfs.new"
cmp -s "$initramfs.new" "$initramfs" || mv "$initramfs.new" "$initramfs"
