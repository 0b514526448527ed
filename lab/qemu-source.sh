#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Unpack Debian's QEMU source package as a plain source directory, without git:
#
#	qemu-source.sh DSC DESTDIR
#
# What comes out depends on the package alone, so that a git tree made of it has
# the same content everywhere.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

dsc=$1
tmp=$2.tmp.$$
on_exit "rm -rf $tmp $tmp.log"

# dpkg-source checks the archives against the .dsc.  That one's signature is
# apt's business; the key is in a package of its own, hence no word of it.
#
# All of Debian's patches are applied, not only those that it takes to build
# from this archive, which lacks firmware and parts of the tests: no names to
# keep up to date, and none touches what the series change.
dpkg-source --no-copy -x "$dsc" "$tmp" >"$tmp.log" 2>&1 || {
	tail -n 5 "$tmp.log" | sed 's/^/    /' >&2
	die "cannot unpack $dsc: make room on the disk, or remove it, it will be fetched again"
}

# What quilt and the packaging add is not QEMU.  Firmware sources, most of the
# archive, are submodules of QEMU's git repository, and not used here.
rm -rf "$tmp/.pc" "$tmp/debian"
sed -n 's/^[[:space:]]*path = \(roms\/.*\)/\1/p' "$tmp/.gitmodules" |
	while read -r module; do
		rm -rf "${tmp:?}/$module"
	done
mv "$tmp" "$2"
