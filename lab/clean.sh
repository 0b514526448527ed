#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Remove what was built; with "all" the trees as well, unless there is work in
# them that patches/ does not have.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

[ -d build ] || exit 0
if [ "${1-}" = all ]; then
	for tree in build/linux build/qemu build/kvm-unit-tests; do
		if [ ! -d "$tree/.git" ] || [ -n "${FORCE-}" ]; then
			continue
		fi
		was=$(recorded "$tree")
		if [ "$(tree_id "$tree")" != "${was#* }" ] ||
		   [ -n "$(g -C "$tree" status --porcelain)" ]; then
			die "$tree has work that patches/ lacks: \"make export\" it, or \"make distclean FORCE=1\""
		fi
	done
	rm -rf build
	exit 0
fi
rm -rf build/linux/out* build/linux-base/out* build/qemu/build
find build -mindepth 1 -maxdepth 1 ! -name linux ! -name linux-base ! -name qemu \
	! -name kvm-unit-tests ! -name '.*.lock' -exec rm -rf {} +
g -C build/linux worktree prune 2>/dev/null || :
