#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Remove what was built; with "all" the trees as well, unless there is work in
# them that patches/ does not have.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

# remove_worktree TREE: that it is one shall be forgotten, too, perhaps in a
# repository of the user's
remove_worktree()
{
	[ ! -f "$1/.git" ] ||
		g -C "$1" worktree remove --force --force "$PWD/$1" || :
}

[ -d build ] || exit 0
remove_worktree build/linux-mutant
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
remove_worktree build/linux-base
remove_worktree build/linux
rm -rf build
