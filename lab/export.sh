#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Write the commits of a tree back to patches/, as mails:
#
#	export.sh linux|qemu|kvm-unit-tests
#
# Each branch series/N-NAME is where that series ends, and becomes a directory; the
# branch cr-pinning, if there is none of them, is all that there is. Subject and text
# of a cover letter are written by hand, in its file.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1-} in
linux|qemu|kvm-unit-tests) ;;
*) die "usage: export.sh linux|qemu|kvm-unit-tests" ;;
esac
tree=build/$1
patches=patches/$1
if [ ! -e "$tree/.git" ]; then
	say "no $tree, nothing to export"
	exit 0
fi

for state in rebase-merge rebase-apply MERGE_HEAD CHERRY_PICK_HEAD; do
	[ ! -e "$tree/.git/$state" ] ||
		die "git is in the middle of something in $tree: finish that first ($state)"
done
base_of "$tree" >/dev/null
from=base
for branch in $(branches_of "$tree"); do
	g -C "$tree" merge-base --is-ancestor "$from" "$branch" ||
		die "$tree: $branch does not start from $from: \"git rebase --update-refs\" moves all series"
	from=$branch
done
[ "$(g -C "$tree" rev-parse HEAD)" = "$(g -C "$tree" rev-parse "$branch")" ] ||
	die "$tree: HEAD is not where the last series ends, $branch: check that out"
[ -z "$(g -C "$tree" rev-list --merges base..HEAD)" ] ||
	die "$tree has a merge on top of the base: a series of patches has none"
if [ "$(g -C "$tree" rev-parse HEAD)" = "$(base_of "$tree")" ]; then
	[ -z "$(patches_in "$patches")" ] ||
		die "$tree has no commits, but $patches has patches: \"make tree\" applies them"
	exit 0
fi
[ -z "$(g -C "$tree" status --porcelain --untracked-files=no)" ] ||
	say "$tree has changes that are not committed, they stay out"
was=$(recorded "$tree")
[ "$(patches_id "$patches")" = "${was% *}" ] || [ -n "${FORCE-}" ] ||
	die "$patches changed since it was applied: \"make tree\" applies it again, \"make export FORCE=1\" replaces it"

new=build/.export.$1
on_exit "rm -rf $new"
rm -rf "$new"
format_tree "$tree" "$patches" "$new"

# A file changes only if its content does.
(cd "$new" && find . -name '*.patch') | while read -r file; do
	if ! cmp -s "$new/$file" "$patches/$file"; then
		mkdir -p "$(dirname "$patches/$file")"
		cp "$new/$file" "$patches/$file.new"
		mv "$patches/$file.new" "$patches/$file"
		say "wrote $patches/${file#./}"
	fi
done
find "$patches" -name '[0-9]*.patch' | while read -r file; do
	[ -e "$new/${file#"$patches/"}" ] || {
		rm "$file"
		say "removed $file"
	}
done
find "$patches" -mindepth 1 -type d -empty -delete
record "$tree" "$patches"
