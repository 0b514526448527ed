#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Pack what a lab machine boots into, the same from the same files:
#
#	initramfs.sh KERNEL_BUILD_DIR INITRAMFS

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

root=$2.d
on_exit "rm -rf $root $root.cpio"
rm -rf "$root"
mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp" "$root/lib/modules"
cp "$(command -v busybox)" "$root/bin/busybox"
cp lab/init "$root/init"
for module in arch/x86/kvm/kvm arch/x86/kvm/kvm-amd arch/x86/kvm/kvm-intel virt/lib/irqbypass; do
	cp "$1/$module.ko" "$root/lib/modules/" || die "no $module.ko in $1: run \"make kernel\""
done
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | sort | cpio -o -H newc -R 0:0 --reproducible --quiet) >"$root.cpio"
cmp -s "$root.cpio" "$2" || mv "$root.cpio" "$2"
