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
# be the same everywhere. safe.directory, which is part of that configuration,
# has had its say when this is used on a tree.
g()
{
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1 \
		git -c safe.directory='*' -c core.hooksPath=/dev/null \
		-c core.attributesFile=/dev/null -c core.autocrlf=false \
		-c core.excludesFile=/dev/null -c core.fsmonitor=false \
		-c commit.gpgSign=false -c gc.auto=0 -c maintenance.auto=false \
		-c advice.detachedHead=false "$@"
}

# base_of TREE: the commit that the series is based on. In a worktree of the
# user's own repository it is a reference that only this worktree sees.
base_of()
{
	if [ -d "$1/.git" ]; then
		ref=refs/tags/base
	else
		ref=refs/worktree/base
	fi
	g -C "$1" rev-parse --verify --quiet "$ref^{commit}" ||
		die "$1 has lost $ref, the commit that the series starts from"
}

# patches_in DIR: the series' patches, without the cover letter
patches_in()
{
	for patch in "$1"/[0-9]*.patch; do
		case ${patch##*/} in
		0000-*) ;;
		*) [ ! -f "$patch" ] || echo "$patch" ;;
		esac
	done
}

# prefix_of DIR: what stands between the brackets of the subjects, without the
# number. The cover letter decides, so that v2 begins there.
prefix_of()
{
	prefix=
	for cover in "$1"/0000-*.patch; do
		[ ! -f "$cover" ] ||
			prefix=$(sed -n '/^$/q;s/^Subject: \[\(.*PATCH.*\) 0*\/[0-9]*\].*/\1/p' "$cover")
	done
	echo "${prefix:-RFC PATCH}"
}

# Everything that configuration could change is spelt out.
DIFF_OPTIONS="--stat=72 --stat-graph-width=40 --summary
	--abbrev=12 --diff-algorithm=myers
	--indent-heuristic --find-renames=50% --no-ext-diff --no-textconv
	--no-color --no-relative --src-prefix=a/ --dst-prefix=b/ -O/dev/null"

# format_series TREE BASE PREFIX OUTDIR: one mail a commit, names on stdout
format_series()
{
	# shellcheck disable=SC2086 # a list of options
	g -C "$1" -c diff.suppressBlankEmpty=false -c core.quotePath=true \
		-c format.forceInBodyFrom=false -c diff.colorMoved=no \
		format-patch --output-directory "$4" --subject-prefix="$3" \
		--numbered --no-cover-letter --zero-commit --no-signature \
		--no-attach --no-thread --no-base --no-notes --no-signoff \
		--no-add-header --no-to --no-cc --no-from --suffix=.patch \
		--filename-max-length=64 --encoding=UTF-8 --encode-email-headers \
		--unified=3 --inter-hunk-context=0 $DIFF_OPTIONS "$2"..HEAD
}

# series_id DIR: changes when a patch does
series_id()
{
	patches_in "$1" | while read -r patch; do
		cat "$patch"
	done | sha256sum | cut -d' ' -f1
}

# The last state in which tree and patches said the same: "HEAD SERIES_ID" in a
# file beside HEAD, so that it lives and dies with the tree.
record_file()
{
	echo "$(g -C "$1" rev-parse --absolute-git-dir)/kvm-cr-pinning"
}

# record TREE DIR
record()
{
	file=$(record_file "$1")
	echo "$(g -C "$1" rev-parse HEAD) $(series_id "$2")" >"$file.new"
	mv "$file.new" "$file"
}

# step WHAT LOG COMMAND...: run quietly, say how long it took, or how it failed
step()
{
	what=$1
	step_log=$2
	shift 2
	mkdir -p "${step_log%/*}"
	begin=$(date +%s)
	say "$what"
	: >"$step_log"
	(
		nap=
		trap 'kill $nap; exit' TERM
		while :; do
			sleep 30 &
			nap=$!
			wait $nap
			say "$what: $(($(date +%s) - begin)) s, $(tail -n 1 "$step_log" | cut -c 1-60)"
		done
	) &
	ticker=$!
	# shellcheck disable=SC2064 # this ticker
	trap "kill $ticker 2>/dev/null" EXIT
	result=0
	"$@" >>"$step_log" 2>&1 </dev/null || result=$?
	kill $ticker
	wait $ticker 2>/dev/null || :
	trap - EXIT
	if [ $result -ne 0 ]; then
		tail -n 25 "$step_log" | sed 's/^/    /' >&2
		die "$what failed, see all of $step_log"
	fi
	took=$(($(date +%s) - begin))
	[ $took -lt 2 ] || say "$what: done in $took s"
}

# Compiled once, in whatever clone. Depend mode saves running the preprocessor.
export CCACHE_DIR="$CACHE/ccache" CCACHE_MAXSIZE=3G CCACHE_DEPEND=1 CCACHE_NOHASHDIR=1
unset CCACHE_DISABLE CCACHE_RECACHE CCACHE_READONLY CCACHE_BASEDIR CCACHE_PREFIX
