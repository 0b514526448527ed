#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Make a git tree of a Debian source package with our patches on top:
#
#	tree.sh linux		build/linux
#	tree.sh linux-base	build/linux-base, a worktree of the former at its base
#	tree.sh qemu		build/qemu
#
# With LINUX=DIR REV=REV in the environment, build/linux is a worktree of the git
# repository DIR at REV instead. A tree that exists is brought up to date when
# the patches changed; work in it that the patches lack is never touched, unless
# FORCE=1 says so, and even then it can be found again.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

need git
which=${1-}
case $which in
linux|linux-base|qemu) ;;
*) die "usage: tree.sh linux|linux-base|qemu" ;;
esac

tree=build/$which
patches=patches/$which
new=build/.$which.new/$which
am=build/.$which.am
top=$PWD

mkdir -p build
exec 9>"build/.$which.lock"
flock 9
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# import NAME VERSION DATE: make $new a git tree with one commit, which is
# the same everywhere, and move it to its place.
import()
{
	(
		cd "$new"
		g init --quiet --template= -b cr-pinning .
		# Ten minutes of garbage collection would not be worth it.
		g config gc.auto 0
		# The archive has files that its own .gitignore hides.
		g -c core.compression=1 -c core.fsync=none add --all --force .
		GIT_AUTHOR_NAME=lab GIT_AUTHOR_EMAIL=lab@invalid GIT_AUTHOR_DATE=$3 \
		GIT_COMMITTER_NAME=lab GIT_COMMITTER_EMAIL=lab@invalid GIT_COMMITTER_DATE=$3 \
			g commit --quiet -m "$1 $2"
		g tag base
	)
	mv "$new" "$tree"
	rm -rf "${new%/*}"
}

# date_of CHANGELOG: Debian's date of the newest version, for git
date_of()
{
	date --utc -d "$(sed -n 's/^ -- .*>  //p' "$1" | head -n 1)" '+%s +0000'
}

import_linux()
{
	need dpkg-deb xz zcat
	deb=$(lab/fetch.sh linux)
	need_space build 3000 "the kernel's source"
	say "unpacking ${deb##*/}"
	rm -rf "${new%/*}"
	mkdir -p "$new" "$new.deb"
	dpkg-deb -x "$deb" "$new.deb" ||
		die "cannot unpack $deb: remove it, it will be fetched again"
	version=$(dpkg-deb -f "$deb" Version)
	xz -dc "$new.deb"/usr/src/linux-source-*.tar.xz |
		tar x -f - -C "$new" --strip-components=1 --no-same-owner ||
		die "cannot unpack the archive in $deb"
	zcat "$new.deb"/usr/share/doc/linux-source-*/changelog.Debian.gz >"$new.deb/changelog"
	when=$(date_of "$new.deb/changelog")
	rm -rf "$new.deb"
	[ -f "$new/MAINTAINERS" ] || die "$deb holds no kernel"
	# Debian's additions to this one hide every new file from git.
	sed -i '/^# Debian packaging: ignore everything/,$d' "$new/.gitignore"
	say "making it a git tree"
	import linux-source "$version" "$when"
}

import_qemu()
{
	need dpkg-source
	dsc=$(lab/fetch.sh qemu)
	need_space build 1200 "QEMU's source"
	say "unpacking ${dsc##*/}"
	rm -rf "${new%/*}"
	mkdir -p "${new%/*}"
	tar x -O -f "${dsc%.dsc}".debian.tar.* debian/changelog >"$new.changelog"
	when=$(date_of "$new.changelog")
	rm "$new.changelog"
	lab/qemu-source.sh "$dsc" "$new"
	version=${dsc##*/qemu_}
	import qemu "${version%.dsc}" "$when"
}

# The user's repository: a worktree, one reference that only it sees, nothing else.
add_worktree()
{
	rev=${REV:-v7.3}
	git -C "$LINUX" rev-parse --git-dir >/dev/null ||
		die "LINUX=$LINUX is not a git repository"
	base=$(git -C "$LINUX" rev-parse --verify --quiet "$rev^{commit}") ||
		die "$LINUX has no $rev: fetch it there, or name another with REV="
	need_space build 2000 "a worktree of $LINUX"
	say "adding a worktree of $LINUX at $rev"
	rm -rf "${new%/*}"
	mkdir -p "${new%/*}"
	g -C "$LINUX" worktree prune
	g -C "$LINUX" worktree add --quiet --detach "$top/$new" "$base"
	g -C "$new" update-ref refs/worktree/base "$base"
	g -C "$LINUX" worktree move "$top/$new" "$top/$tree"
	rmdir "${new%/*}"
}

# The identity that commits: the user's, or else the patches' author.
set_committer()
{
	ident=$(git -c user.useConfigOnly=true -C "$tree" \
		var GIT_COMMITTER_IDENT 2>/dev/null) || ident=
	if [ -z "$ident" ]; then
		first=$(patches_in "$patches" | head -n 1)
		ident=$(sed -n 's/^From: \(.*\)/\1/p' "$first" | head -n 1)
	fi
	GIT_COMMITTER_NAME=${ident%% <*}
	GIT_COMMITTER_EMAIL=${ident#*<}
	GIT_COMMITTER_EMAIL=${GIT_COMMITTER_EMAIL%%>*}
	export GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
}

drop_am()
{
	g -C "$tree" worktree remove --force --force "$top/$am" 2>/dev/null || :
	rm -rf "$am"
	g -C "$tree" worktree prune
}

# apply: set tip to the commit that has the whole series on top of the base.
# That is made aside, in a worktree that holds no more files than the patches
# touch, so that a patch that does not fit leaves the tree as it is.
apply()
{
	drop_am
	g -C "$tree" worktree add --quiet --no-checkout --detach "$top/$am" "$base"
	g -C "$am" read-tree "$base"
	set_committer
	for patch in $(patches_in "$patches"); do
		g -C "$am" am --quiet --committer-date-is-author-date \
			--no-3way --no-scissors --no-message-id --no-signoff \
			--whitespace=nowarn --no-gpg-sign \
			"$top/$patch" >"$am.log" 2>&1 </dev/null && continue
		grep '^error:' "$am.log" | sed 's/^/    /' >&2 || cat "$am.log" >&2
		rm "$am.log"
		drop_am
		die "$patch does not fit on $(g -C "$tree" log -1 --format=%s "$base"). $tree is as it was. To fit the series by hand:
    cd $tree && git reset --keep $(g -C "$tree" rev-parse --short "$base") && git am -3 --empty=drop $top/$patches/*.patch
  then resolve what git shows, \"git am --continue\" and, at the end, \"make export\""
	done
	tip=$(g -C "$am" rev-parse HEAD)
	drop_am
	rm -f "$am.log"
}

# Move the tree to tip, writing only the files that differ. When this is
# killed, the mark tells the next run that there was nothing to lose.
move()
{
	moving=$(record_file "$tree").moving
	echo "$tip" >"$moving"
	g -C "$tree" reset --quiet --keep "$tip" || {
		rm -f "$moving"
		die "$tree has files in the way of the series: move them"
	}
	rm -f "$moving"
	record "$tree" "$patches"
}

recover()
{
	moving=$(record_file "$tree").moving
	[ -s "$moving" ] || return 0
	tip=$(cat "$moving")
	say "finishing the update of $tree that was interrupted"
	rm -f "$(g -C "$tree" rev-parse --absolute-git-dir)/index.lock"
	g -C "$tree" reset --quiet --hard "$tip"
	rm -f "$moving"
}

# keep_aside: FORCE=1 replaces work, but loses none
keep_aside()
{
	stash=$(g -C "$tree" -c user.name=lab -c user.email=lab@invalid stash create)
	g -C "$tree" update-ref refs/worktree/replaced "${stash:-HEAD}"
	say "$tree is replaced; what it was stays in it as refs/worktree/replaced"
	g -C "$tree" am --abort 2>/dev/null || g -C "$tree" rebase --quit 2>/dev/null || :
	g -C "$tree" reset --quiet --hard
}

update()
{
	base=$(base_of "$tree")
	head=$(g -C "$tree" rev-parse HEAD)
	id=$(series_id "$patches")
	was_head='' was_id=''
	file=$(record_file "$tree")
	if [ -r "$file" ]; then
		read -r was_head was_id <"$file"
	fi
	if [ "$head" = "$was_head" ] && [ "$id" = "$was_id" ]; then
		return
	fi

	if [ "$head" != "$was_head" ] && [ "$head" != "$base" ]; then
		# Commits of the user's own. Perhaps they are what the patches say.
		rm -rf "$am.fmt"
		mkdir "$am.fmt"
		format_series "$tree" "$base" "$(prefix_of "$patches")" "$top/$am.fmt" >/dev/null
		tree_id=$(series_id "$am.fmt")
		rm -rf "$am.fmt"
		if [ "$tree_id" = "$id" ]; then
			record "$tree" "$patches"
			return
		fi
		if [ -z "${FORCE-}" ]; then
			[ "$id" != "$was_id" ] ||
				{ say "$tree has commits that $patches lacks: \"make export\" writes them there"; return; }
			die "$tree has commits that $patches lacks, and $patches changed, too. \"make export\" makes the patches what the tree is, \"make tree FORCE=1\" the tree what the patches are"
		fi
	fi

	if [ -n "$(g -C "$tree" status --porcelain --untracked-files=no)" ] ||
	   [ "$head" != "$was_head" ] && [ "$head" != "$base" ]; then
		[ -n "${FORCE-}" ] ||
			die "$patches changed, but $tree has changes that are not committed: commit and export or stash them, or replace them with \"make tree FORCE=1\""
		replace=1
	else
		replace=
	fi
	apply
	[ -z "$replace" ] || keep_aside
	move
	n=$(g -C "$tree" rev-list --count "$base..HEAD")
	say "$tree is $(g -C "$tree" log -1 --format=%s "$base") and $n patches"
}

if [ "$which" = linux-base ]; then
	[ -e build/linux/.git ] || die "no build/linux: run \"make tree\""
	base=$(base_of build/linux)
	if [ "$(cat build/.linux-base.done 2>/dev/null)" = "$base" ] &&
	   [ "$(g -C "$tree" rev-parse HEAD 2>/dev/null)" = "$base" ]; then
		exit 0
	fi
	need_space build 2000 "the unpatched kernel's tree"
	say "checking out the unpatched kernel"
	rm -f build/.linux-base.done
	g -C build/linux worktree remove --force --force "$top/$tree" 2>/dev/null || :
	rm -rf "$tree"
	g -C build/linux worktree prune
	g -C build/linux worktree add --quiet --detach "$top/$tree" "$base"
	echo "$base" >build/.linux-base.done
	exit 0
fi

[ -d "$patches" ] || die "no $patches here: run this in the repository's top directory"
if [ ! -e "$tree" ]; then
	case $which in
	linux)
		if [ -n "${LINUX-}" ]; then
			add_worktree
		else
			import_linux
		fi
		;;
	qemu) import_qemu ;;
	esac
elif ! g -C "$tree" rev-parse --git-dir >/dev/null 2>&1 ||
     [ "$(g -C "$tree" rev-parse --show-toplevel)" != "$top/$tree" ]; then
	die "$tree is in the way, and not a git tree (any more): move it"
elif [ "$which" = linux ] && [ -n "${LINUX-}" ]; then
	want=$(git -C "$LINUX" rev-parse --verify --quiet "${REV:-v7.3}^{commit}") || want=none
	have=$(git -C "$tree" rev-parse --path-format=absolute --git-common-dir)
	if [ "$have" != "$(git -C "$LINUX" rev-parse --path-format=absolute --git-common-dir)" ] ||
	   [ "$want" != "$(base_of "$tree")" ]; then
		die "build/linux exists and is not $LINUX at ${REV:-v7.3}: \"make export\" if there is work in it, then \"make distclean\""
	fi
fi
recover
update
