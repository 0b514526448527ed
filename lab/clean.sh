#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Remove what was built:
#
#	clean.sh	all but the trees and their commits
#	clean.sh all	build/ altogether, unless a tree has work that patches/ lacks

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1-} in
'') ;;
all) ;;
*) die "usage: clean.sh [all]" ;;
esac
[ -d build ] || exit 0

if [ -z "${1-}" ]; then
	rm -rf build/linux/out build/linux-base/out build/qemu/build
	find build -mindepth 1 -maxdepth 1 ! -name linux ! -name linux-base ! -name qemu \
		! -name '.*' -exec rm -rf {} +
	exit 0
fi

for which in linux qemu; do
	tree=build/$which
	[ -e "$tree/.git" ] && [ -z "${FORCE-}" ] || continue
	state=
	file=$(record_file "$tree")
	[ ! -r "$file" ] || read -r state _ <"$file"
	if [ "$state" != "$(g -C "$tree" rev-parse HEAD)" ] ||
	   [ -n "$(g -C "$tree" status --porcelain --untracked-files=no)" ]; then
		die "$tree has work that patches/$which may lack: \"make export\", or remove it all the same with \"make distclean FORCE=1\""
	fi
done

# A worktree of the user's own repository is not just a directory.
if [ -f build/linux/.git ]; then
	common=$(g -C build/linux rev-parse --path-format=absolute --git-common-dir)
	rm -rf build
	g --git-dir="$common" worktree prune
else
	rm -rf build
fi
