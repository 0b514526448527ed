#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Make a git tree with our patches on top of the tag "base":
#
#	tree.sh linux		build/linux, of Debian's source package
#	tree.sh qemu		build/qemu, likewise
#	tree.sh kvm-unit-tests	build/kvm-unit-tests, of the clone KUT
#	tree.sh linux-base	build/linux-base, the first one's base
#
# With LINUX=DIR REV=REV in the environment, build/linux starts at REV of the
# repository DIR, of which it borrows the objects. A tree that exists is brought up to
# date when the patches changed; work in it that they lack is never touched, unless
# FORCE=1 says so, and even then it can be found again.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

which=${1-}
tree=build/$which
patches=patches/$which
new=build/.$which.new
am=build/.$which.am

mkdir -p build
exec 9>"build/.$which.lock"
flock 9
on_exit "rm -rf $new"
rm -rf "$new"
[ -e "$tree" ] || need_space build 3000 "$tree"

# import NAME CHANGELOG: make $new a git tree with one commit, the same everywhere
import()
{
	version=$(dpkg-parsechangelog -l "$2" -S Version)
	when="$(dpkg-parsechangelog -l "$2" -S Timestamp) +0000"
	rm "$2"
	say "making it a git tree"
	g init --quiet --template= -b cr-pinning "$new"
	# The archive has files that its own .gitignore hides.
	g -C "$new" -c core.compression=1 -c core.fsync=none add --all --force .
	GIT_AUTHOR_NAME=lab GIT_AUTHOR_EMAIL=lab@invalid GIT_AUTHOR_DATE=$when \
	GIT_COMMITTER_NAME=lab GIT_COMMITTER_EMAIL=lab@invalid GIT_COMMITTER_DATE=$when \
		g -C "$new" commit --quiet -m "$1 ${version#*:}"
	g -C "$new" tag base
}

import_linux()
{
	deb=$(lab/fetch.sh linux)
	say "unpacking ${deb##*/}"
	mkdir "$new"
	if ! dpkg-deb -x "$deb" "$new/deb" ||
	   ! tar x -f "$new"/deb/usr/src/linux-source-*.tar.xz -C "$new" --strip-components=1 --no-same-owner; then
		die "cannot unpack $deb: make room, or remove it, it will be fetched again"
	fi
	zcat "$new"/deb/usr/share/doc/linux-source-*/changelog.Debian.gz >"$new.changelog"
	rm -r "$new/deb"
	# Debian's additions to this one hide every new file from git.
	sed -i '/^# Debian packaging: ignore everything/,$d' "$new/.gitignore"
	import linux-source "$new.changelog"
}

import_qemu()
{
	dsc=$(lab/fetch.sh qemu)
	say "unpacking ${dsc##*/}"
	lab/qemu-source.sh "$dsc" "$new"
	tar x -O -f "${dsc%.dsc}".debian.tar.* debian/changelog >"$new.changelog"
	import qemu "$new.changelog"
}

# borrow REPOSITORY REV: of the user's, which stays as it is
borrow()
{
	commit=$(git -C "$1" rev-parse --verify --quiet "$2^{commit}") ||
		die "$1 is no git repository, or has no $2: fetch it there, or name another with REV="
	say "checking out $2 of $1"
	g init --quiet --template= -b cr-pinning "$new"
	mkdir -p "$new/.git/objects/info"
	git -C "$1" rev-parse --path-format=absolute --git-path objects >"$new/.git/objects/info/alternates"
	shallow=$(git -C "$1" rev-parse --path-format=absolute --git-path shallow)
	[ ! -e "$shallow" ] || cp "$shallow" "$new/.git"
	g -C "$new" tag base "$commit"
	g -C "$new" reset --quiet --hard base
}

drop_am()
{
	g -C "$tree" worktree remove --force --force "$PWD/$am" 2>/dev/null || :
	rm -rf "$am"
	g -C "$tree" worktree prune
}

# apply: set tip to the commit that has all series on top of the base. That is made
# aside, in a worktree that holds no more files than the patches touch, so that a
# patch that does not fit leaves the tree as it is.
apply()
{
	drop_am
	on_exit "rm -rf $new; drop_am"
	g -C "$tree" worktree add --quiet --no-checkout --detach "$PWD/$am" base
	g -C "$am" sparse-checkout set --no-cone /none
	g -C "$am" read-tree --reset base
	# shellcheck disable=SC2046 # a list
	if ! GIT_COMMITTER_NAME=lab GIT_COMMITTER_EMAIL=lab@invalid \
		g -C "$am" am --quiet --committer-date-is-author-date --whitespace=nowarn \
		$(patches_in "$PWD/$patches") >"$am.log" 2>&1 </dev/null; then
		sed -n 's/^error:\|^Patch failed/    &/p' "$am.log" >&2
		die "$patches does not fit on $(g -C "$tree" log -1 --format=%s base). $tree is as it was. To fit it by hand:
    cd $tree && git reset --keep base
    git am -3 \$(find $PWD/$patches -name '[0-9]*.patch' ! -name '0000-*' | sort -V)
  Resolve what git shows, \"git am --continue\". At the end, \"git branch -f series/N-NAME\" for
  each directory in $patches, where it ends, and \"make export FORCE=1\""
	fi
	tip=$(g -C "$am" rev-parse HEAD)
	drop_am
	rm -f "$am.log"
}

# Move the tree to tip, writing only the files that differ, and the branches to where
# their series end. It takes seconds, which nothing shall interrupt.
move()
{
	trap '' INT TERM HUP
	old=$(g -C "$tree" for-each-ref --format='%(refname:short)' refs/heads/series refs/heads/cr-pinning)
	g -C "$tree" checkout --quiet --detach "$tip" ||
		die "$tree has files in the way of the series: move them"
	[ -z "$old" ] || echo "$old" | xargs git -C "$tree" branch --quiet -D
	end=0
	for dir in $(series_of "$patches"); do
		branch=cr-pinning
		[ "$dir" = "$patches" ] || branch=series/${dir##*/}
		end=$((end + $(patches_in "$dir" | wc -l)))
		g -C "$tree" branch --quiet "$branch" \
			"$(g -C "$tree" rev-list --reverse base.."$tip" | sed -n "${end}p")"
	done
	g -C "$tree" checkout --quiet "$branch"
	g -C "$tree" config rebase.updateRefs true
	record "$tree" "$patches"
}

# keep_aside: FORCE=1 replaces work, but loses none
keep_aside()
{
	stash=$(g -C "$tree" -c user.name=lab -c user.email=lab@invalid stash create)
	g -C "$tree" update-ref refs/replaced/"$(date +%Y%m%d-%H%M%S)" "${stash:-HEAD}"
	say "$tree is replaced; what it was stays in it, see \"git for-each-ref refs/replaced\""
	g -C "$tree" am --abort 2>/dev/null || g -C "$tree" rebase --quit 2>/dev/null || :
	g -C "$tree" reset --quiet --hard
}

update()
{
	was=$(recorded "$tree")
	id=$(patches_id "$patches")
	now=$(tree_id "$tree")
	[ "$was" != "$id $now" ] || return 0
	mine=
	if [ "$now" != "${was#* }" ] &&
	   [ "$(g -C "$tree" rev-parse HEAD)" != "$(base_of "$tree")" ]; then
		# Commits of the user's own. Perhaps they are what the patches say.
		rm -rf "$new"
		if (format_tree "$tree" "$patches" "$new") 2>/dev/null &&
		   [ "$(patches_id "$new")" = "$id" ]; then
			record "$tree" "$patches"
			return
		fi
		mine="commits that $patches lacks"
		if [ "$id" = "${was% *}" ] && [ -z "${FORCE-}" ]; then
			say "$tree has $mine: \"make export\" writes them there"
			return
		fi
	elif [ -n "$(g -C "$tree" status --porcelain --untracked-files=no)" ]; then
		mine="changes that are not committed"
	fi
	[ -z "$mine" ] || [ -n "${FORCE-}" ] ||
		die "$tree has $mine, and $patches changed, too. \"make export FORCE=1\" makes the patches what the tree has committed, \"make tree FORCE=1\" the tree what the patches are"
	apply
	[ -z "$mine" ] || keep_aside
	move
	say "$tree is $(g -C "$tree" log -1 --format=%s base) and $(g -C "$tree" rev-list --count base..HEAD) patches"
}

case $which in
linux|qemu|kvm-unit-tests) ;;
linux-base)
	worktree linux-base base
	exit
	;;
*) die "usage: tree.sh linux|linux-base|qemu|kvm-unit-tests" ;;
esac

rev=${REV:-v7.3}
from=${LINUX-}
if [ "$which" = kvm-unit-tests ]; then
	from=${KUT-}
	[ -n "$from" ] || [ -e "$tree" ] ||
		die "KUT is not set: clone https://gitlab.com/kvm-unit-tests/kvm-unit-tests.git, and give its directory"
	rev=HEAD
elif [ "$which" = qemu ]; then
	from=
fi
if [ -z "$(patches_in "$patches" 2>/dev/null)" ]; then
	die "no patches in $patches"
elif [ ! -e "$tree" ]; then
	if [ -n "$from" ]; then
		borrow "$from" "$rev"
	else
		"import_$which"
	fi
	mv "$new" "$tree"
elif [ ! -d "$tree/.git" ]; then
	die "$tree is in the way, and not a git tree (any more): move it"
elif [ -n "$from" ] &&
     [ "$(git -C "$from" rev-parse --verify --quiet "$rev^{commit}")" != "$(base_of "$tree")" ]; then
	die "$tree exists and is not $from at $rev: \"make export\" if there is work in it, then \"make distclean\""
fi
update
