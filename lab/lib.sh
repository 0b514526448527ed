# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# What the lab's scripts share. They run in the repository's top directory.

me=${0##*/}

CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kvm-cr-pinning}
# shellcheck disable=SC2034 # for the scripts that source this
DL=$CACHE/dl

export LC_ALL=C
umask 022

die()
{
	echo "$me: $*" >&2
	exit 1
}

say()
{
	echo "$me: $*" >&2
}

# need TOOL...
need()
{
	for tool; do
		command -v "$tool" >/dev/null ||
			die "$tool is missing: run \"make packages\""
	done
}

# need_space DIR MEGABYTES WHAT [ELSE]: DIR need not exist yet
need_space()
{
	dir=$1
	while [ ! -d "$dir" ]; do
		dir=$(dirname "$dir")
	done
	free=$(df -Pk "$dir" | awk 'NR == 2 { print int($4 / 1024) }')
	[ "$free" -ge "$2" ] ||
		die "$3 needs $2 MB in $1, where $free MB are free: make room${4:+, or $4}"
}

# What "make VARIABLE=..." was told is for us, not for the makes that we run, and
# what is meant for other builds is not for ours.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL ARCH CROSS_COMPILE KBUILD_OUTPUT O \
	CFLAGS CPPFLAGS LDFLAGS

# The environment of a git hook, for one, names another repository.
# shellcheck disable=SC2046 # a list of names
unset $(git rev-parse --local-env-vars 2>/dev/null) GIT_EXTERNAL_DIFF GIT_DIFF_OPTS || :

# git as it comes, whatever the user's configuration says: what it writes must
# be the same everywhere.
g()
{
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1 \
		git -c safe.directory='*' -c core.attributesFile=/dev/null \
		-c core.excludesFile=/dev/null -c gc.auto=0 -c maintenance.auto=false \
		-c advice.detachedHead=false "$@"
}

# accel_of VENDOR: what its machines run under: an emulator, or KVM if ACCEL=kvm asks for
# it and this machine is of that vendor
accel_of()
{
	case $1 in
	amd) flag=svm emulator=tcg ;;
	intel) flag=vmx emulator=bochs ;;
	*) die "no machine of vendor $1" ;;
	esac
	case ${ACCEL-} in
	'') echo $emulator ;;
	kvm) grep -qw $flag /proc/cpuinfo && echo kvm || echo $emulator ;;
	*) die "ACCEL=$ACCEL: it is kvm or nothing" ;;
	esac
}

# base_of TREE: the commit that the series are based on
base_of()
{
	g -C "$1" rev-parse --verify --quiet 'refs/tags/base^{commit}' ||
		die "$1 has lost the tag \"base\", where the series start"
}

# on_exit COMMAND: when the script ends, however it does
on_exit()
{
	# shellcheck disable=SC2064 # as it is now
	trap "$1" EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

# worktree NAME REV: build/NAME, in which nobody works, is REV of the tree that it is named after
worktree()
{
	of=build/${1%-*} at=$PWD/build/$1
	if [ ! -e "$at/.git" ]; then
		say "checking out build/$1"
		rm -rf "$at" "$at.new"
		g -C "$of" worktree prune
		g -C "$of" worktree add --quiet --detach "$at.new" "$2"
		g -C "$of" worktree move "$at.new" "$at"
	fi
	g -C "$at" checkout --quiet --force --detach "$(g -C "$of" rev-parse "$2^{commit}")"
}

# series_of DIR: the directories of patches, in order; DIR itself if it has one series
series_of()
{
	find "$1" -name '[0-9]*.patch' -printf '%h\n' | sort -Vu
}

# patches_in DIR: of all series, without the cover letters
patches_in()
{
	find "$1" -name '[0-9]*.patch' ! -name '0000-*' | sort -V
}

# branches_of TREE: one for each series, in order
branches_of()
{
	g -C "$1" for-each-ref --format='%(refname:short)' refs/heads/series |
		sort -V | grep . || echo cr-pinning
}

# description_of COVER WORKDIR: the cover letter without what git adds, as a branch's
# description; and its other headers in WORKDIR/info
description_of()
{
	g mailinfo --no-scissors "$2/text" "$2/rest" <"$1" >"$2/info"
	sed -n 's/^Subject: //p' "$2/info"
	echo
	# The text ends where nothing but shortlog and diffstat follows.
	cat "$2/text" "$2/rest" | awk '
		{ line[NR] = $0 }
		END {
			end = NR
			for (i = NR; i && line[i] ~ /^$|^ |^[^ ].* \([0-9]+\):$/; i--)
				if (line[i] ~ /^[^ ]/)
					end = i - 1
			for (i = 1; i <= end; i++)
				print line[i]
		}'
}

# format_series TREE RANGE OLD OUT: the commits and a cover letter, as mails. Its text,
# author, date and version are those of the directory OLD. A single patch needs none.
format_series()
{
	mkdir -p "$4/parts"
	cover="--cover-letter --cover-from-description=subject --numbered"
	description=$(printf '%s\n' '*** SUBJECT HERE ***' '' '*** BLURB HERE ***')
	prefix=$(cat "$3"/000[01]-*.patch 2>/dev/null |
		sed -n 's/^Subject: \[\([^]]*PATCH[^]/]*\).*/\1/p' | sed 's/ [0-9]*$//; q')
	g -C "$1" log -1 --format='Author: %an%nEmail: %ae%nDate: %aD' "$2" >"$4/parts/info"
	if [ -f "$3/0000-cover-letter.patch" ]; then
		description=$(description_of "$3/0000-cover-letter.patch" "$4/parts")
	elif [ "$(g -C "$1" rev-list --count "$2")" -eq 1 ]; then
		cover="--no-cover-letter --no-numbered"
	fi
	# shellcheck disable=SC2086 # options
	GIT_COMMITTER_NAME=$(sed -n 's/^Author: //p' "$4/parts/info") \
	GIT_COMMITTER_EMAIL=$(sed -n 's/^Email: //p' "$4/parts/info") \
	GIT_COMMITTER_DATE=$(sed -n 's/^Date: //p' "$4/parts/info") \
	g -C "$1" -c "branch.${2##*..}.description=$description" \
		format-patch --quiet --output-directory "$PWD/$4" $cover \
		--subject-prefix="${prefix:-PATCH}" --zero-commit --no-signature \
		--filename-max-length=64 --stat=72 --stat-graph-width=40 --summary \
		--abbrev=12 "$2"
	rm -r "$4/parts"
}

# format_tree TREE PATCHES OUT: what PATCHES has to be for the commits in TREE
format_tree()
{
	from=base
	for branch in $(branches_of "$1"); do
		series=${branch#cr-pinning}
		series=${series#series/}
		format_series "$1" "$from..$branch" "$2/$series" "$3/$series"
		from=$branch
	done
}

# record TREE PATCHES: that they say the same now, beside the tree's HEAD; recorded TREE
# says when that was: "PATCHES_ID TREE_ID"
record()
{
	echo "$(patches_id "$2") $(tree_id "$1")" >"$1/.git/kvm-cr-pinning"
}
recorded()
{
	cat "$1/.git/kvm-cr-pinning" 2>/dev/null || echo never made
}
patches_id()
{
	(cd "$1" && patches_in . | xargs -r sha256sum | sha256sum | cut -c 1-64)
}
tree_id()
{
	{
		g -C "$1" rev-parse HEAD
		g -C "$1" for-each-ref refs/heads/series
	} | sha256sum | cut -c 1-64
}

# step WHAT LOG COMMAND...: run quietly, say how long it took, or how it failed
step()
{
	say "$1"
	step_log=$2
	mkdir -p "${step_log%/*}"
	{
		step=$1
		shift 2
		"$@" 2>&1 </dev/null && echo "$step: done"
	} | {
		step_begin=$(date +%s) shown=0 last=''
		while IFS= read -r line; do
			last=$line took=$(($(date +%s) - step_begin))
			echo "$line"
			[ $took -ge $((shown + 30)) ] || continue
			shown=$took
			say "$1: $took s, $(echo "$line" | cut -c 1-60)"
		done >"$step_log"
		[ "$last" = "$1: done" ] && say "$last in $took s"
	} || {
		tail -n 25 "$step_log" | sed 's/^/    /' >&2
		die "$1 failed, see all of $step_log"
	}
}

# kselftest TREE ARGUMENT...: make, for the KVM selftests, static. Paths are relative for
# the same reason as in kernel.sh, made so by ccache where the makefile insists on others.
# It adds to LDFLAGS: no argument, therefore.
kselftest()
{
	selftests=tools/testing/selftests/kvm
	tree=build/$1
	shift
	CCACHE_BASEDIR=$PWD LDFLAGS=-static make -C "$tree/$selftests" ARCH=x86 CC="ccache gcc" \
		OUTPUT=../../../../out/$selftests \
		KHDR_INCLUDES="-isystem ../../../../out/usr/include" "$@"
}

# Compiled once, in whatever clone. Depend mode saves running the preprocessor.
export CCACHE_DIR="$CACHE/ccache" CCACHE_MAXSIZE=3G CCACHE_DEPEND=1 CCACHE_NOHASHDIR=1
unset CCACHE_DISABLE CCACHE_RECACHE CCACHE_READONLY CCACHE_BASEDIR CCACHE_PREFIX
