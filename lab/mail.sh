#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Write the mails of a series to build/mail/, and send nothing:
#
#	mail.sh SERIES		a directory of patches/, linux/1-init-msrs for instance
#
# The sender is whoever git knows here, and signs off. The recipients are what the
# tree's get_maintainer.pl says of all patches together, the same for each mail.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

dir=patches/${1-}
series_of patches | grep -qx "$dir" ||
	die "SERIES=NAME is one of $(series_of patches | sed 's,patches/,,' | paste -s -d ' ')"
who=$(git -c user.useConfigOnly=true var GIT_COMMITTER_IDENT) ||
	die "git config user.name and user.email say who sends"
who=${who%> *}\>
tree=build/${1%%/*}
lab/tree.sh "${1%%/*}"
from=base
for branch in $(branches_of "$tree"); do
	case $branch in
	cr-pinning|*"/${1##*/}") break ;;
	esac
	from=$branch
done
out=$PWD/build/mail/${1##*/}
rm -rf "$out"
mkdir -p "$out/parts"

for option in "--to= --no-r --no-l" "--cc= --no-m"; do
	# shellcheck disable=SC2086 # words
	patches_in "$PWD/$dir" | (cd "$tree" && xargs perl scripts/get_maintainer.pl \
		--no-rolestats --no-git --no-git-fallback ${option#* }) | sed "s/^/${option%% *}/"
done | awk -v own="${who#* <}" '{ address = $NF; gsub(/.*=|[<>]/, "", address) }
	address ">" != own && !seen[address]++' >"$out/parts/recipients"
prefix=$(cat "$dir"/000[01]-*.patch |
	sed -n 's/^Subject: \[\([^]]*PATCH[^]/]*\).*/\1/p' | sed 's/ [0-9]*$//; q')
cover=$dir/0000-cover-letter.patch
# A base that others have is named by git, an unpacked archive by its version.
name=$(g -C "$tree" log -1 --format=%ae:%s base)
description=
set -- --quiet --thread=shallow --signoff --no-signature
if [ -f "$cover" ]; then
	description=$(description_of "$cover" "$out/parts")
	set -- "$@" --cover-letter --cover-from-description=subject
fi
[ "${name%%:*}" = lab@invalid ] || set -- "$@" --base=base
set -f
IFS='
'
# shellcheck disable=SC2046 # a list
GIT_COMMITTER_NAME=${who%% <*} GIT_COMMITTER_EMAIL=$(echo "$who" | sed 's/.*<\(.*\)>/\1/') \
g -C "$tree" -c "branch.$branch.description=$description" format-patch "$@" --from="$who" \
	--output-directory "$out" --subject-prefix="${prefix:-PATCH}" \
	$(cat "$out/parts/recipients") "$from..$branch"
rm -r "$out/parts"
first=$(find "$out" -name '000[01]-*' | sort | head -n 1)
[ "${name%%:*}" != lab@invalid ] || echo "base: ${name#*:}" >>"$first"
say "${out#"$PWD/"} has $(find "$out" -type f | wc -l) mails from $who"
