#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Write the commits of build/linux or build/qemu back to patches/, as mails:
#
#	export.sh linux|qemu
#
# The cover letter's subject and text are written by hand; its shortlog, its
# diffstat and the number of patches are kept up to date here. A file changes
# only if its content does.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

need git
case ${1-} in
linux|qemu) ;;
*) die "usage: export.sh linux|qemu" ;;
esac
tree=build/$1
patches=patches/$1

if [ ! -e "$tree/.git" ]; then
	say "no $tree, nothing to export"
	exit 0
fi
gitdir=$(g -C "$tree" rev-parse --absolute-git-dir)
for state in rebase-merge rebase-apply MERGE_HEAD CHERRY_PICK_HEAD; do
	[ ! -e "$gitdir/$state" ] ||
		die "git is in the middle of something in $tree: finish that first ($state)"
done
base=$(base_of "$tree")
g -C "$tree" merge-base --is-ancestor "$base" HEAD ||
	die "HEAD of $tree does not descend from the base: check out the series"
[ -z "$(g -C "$tree" rev-list --merges "$base..HEAD")" ] ||
	die "$tree has a merge on top of the base: a series of patches has none"
count=$(g -C "$tree" rev-list --count "$base..HEAD")
if [ "$count" -eq 0 ]; then
	[ -z "$(patches_in "$patches")" ] ||
		die "$tree has no commits, but $patches has patches: \"make tree\" applies them"
	exit 0
fi
[ -z "$(g -C "$tree" status --porcelain --untracked-files=no)" ] ||
	say "$tree has changes that are not committed, they stay out"

mkdir -p "$patches"
new=$PWD/build/.export.$1
rm -rf "$new"
mkdir "$new"
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

prefix=$(prefix_of "$patches")
format_series "$tree" "$base" "$prefix" "$new" | sed 's,.*/,,' >"$new/names"
[ "$(grep -c . "$new/names")" -eq "$count" ] || die "git wrote too few patches: is the disk full?"

# What git would put below the cover letter's text
{
	g -C "$tree" shortlog -w72,2,4 "$base..HEAD"
	# shellcheck disable=SC2086 # a list of options
	g -C "$tree" diff $DIFF_OPTIONS "$base" HEAD
} >"$new/below"

cover=$patches/0000-cover-letter.patch
zero=$(printf "%0${#count}d" 0)
if [ ! -f "$cover" ]; then
	cover=$new/cover
	g -C "$tree" log -1 --encoding=UTF-8 --format="From: %an <%ae>%nDate: %aD%nSubject: [$prefix $zero/$count] *** SUBJECT HERE ***%n%n*** BLURB HERE ***" \
		>"$cover"
fi

# The text ends where the paragraphs begin that a shortlog and a diffstat are
# made of. They are looked for from the end: the text may look like one, too.
awk -v below="$new/below" -v number="$zero/$count" '
	function is_shortlog(a, b,	i) {
		if (line[a] !~ /^[^ ].* \([0-9]+\):$/ || a == b)
			return 0
		for (i = a + 1; i <= b; i++)
			if (line[i] !~ /^  /)
				return 0
		return 1
	}
	function is_stat(a, b,	i, sums) {
		for (i = a; i <= b; i++) {
			if (line[i] !~ /^ /)
				return 0
			sums += line[i] ~ /^ [0-9]+ files? changed/
		}
		return sums == 1
	}
	# The paragraph that ends at or above b, in from and to
	function paragraph(b) {
		while (b > 0 && line[b] == "")
			b--
		to = b
		while (b > 0 && line[b] != "")
			b--
		from = b + 1
		return to > 0
	}
	{ line[NR] = $0 }
	END {
		for (head = 1; head <= NR && line[head] != ""; head++) {
			if (line[head] ~ /^From [0-9a-f]+ /)
				continue
			if (line[head] ~ /^Subject: \[[^\]]* 0+\/[0-9]+\]/)
				sub(/ 0+\/[0-9]+\]/, " " number "]", line[head])
		}
		end = NR
		if (paragraph(end) && from > head && is_stat(from, to)) {
			end = from - 1
			while (paragraph(end) && from > head && is_shortlog(from, to))
				end = from - 1
		}
		while (end > head && line[end] == "")
			end--
		for (i = head + 1; i <= end; i++)
			if (line[i] ~ /^ [0-9]+ files? changed/) {
				print "a diffstat in the text" >"/dev/stderr"
				exit 1
			}
		print "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001"
		for (i = 1; i <= end; i++)
			if (i > head || line[i] !~ /^From [0-9a-f]+ /)
				print line[i]
		print ""
		while ((getline text <below) > 0)
			print text
		print ""
	}' "$cover" >"$new/0000-cover-letter.patch" ||
	die "$cover has text below the diffstat, where it would be lost: move it above the shortlog"

for file in "$new"/[0-9]*.patch; do
	old=$patches/${file##*/}
	if ! cmp -s "$file" "$old"; then
		mv "$file" "$old.new"
		mv "$old.new" "$old"
		say "wrote $old"
	fi
done
for old in "$patches"/[0-9]*.patch; do
	name=${old##*/}
	[ "$name" = 0000-cover-letter.patch ] ||
		grep -qxF "$name" "$new/names" || {
		rm "$old"
		say "removed $old"
	}
done
record "$tree" "$patches"
