#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Remove what was built; with "all" the trees as well, unless there is work in
# them that patches/ does not have.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

[ -d build ] || exit 0
rm -rf build/linux/out build/linux-base/out build/qemu/build
if [ "${1-}" != all ]; then
	for entry in build/* build/.[!.]*; do
		case $entry in
		build/linux|build/linux-base|build/qemu|build/.*.lock|build/.*.done) ;;
		*) rm -rf "$entry" ;;
		esac
	done
	exit 0
fi

for name in linux qemu; do
	tree=build/$name
	if [ ! -e "$tree/.git" ] || [ -n "${FORCE-}" ]; then
		continue
	fi
	exported=none
	file=$(record_file "$tree")
	if [ -r "$file" ]; then
		exported=$(cut -d' ' -f1 "$file")
	fi
	if [ "$(g -C "$tree" rev-parse HEAD)" != "$exported" ] ||
	   [ -n "$(g -C "$tree" status --porcelain)" ]; then
		die "$tree has work that patches/$name lacks: \"make export\" it, or \"make distclean FORCE=1\""
	fi
done
# In a repository of the user's, they are worktrees.
for tree in build/linux-base build/linux; do
	[ ! -f "$tree/.git" ] ||
		g -C "$tree" worktree remove --force --force "$PWD/$tree" || :
done
rm -rf build
