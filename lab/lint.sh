#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What can be said of the lab and of the patches without building them, as TAP

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=lab/tap.sh
. lab/tap.sh

# The first python3 in PATH may be anything, Debian's is known to do.
PATH=/usr/bin:$PATH
tmp=build/lint
on_exit "rm -rf $tmp"
rm -rf $tmp
mkdir -p $tmp

ours()
{
	git ls-files --cached --others --exclude-standard Makefile .ci lab |
		grep -v '^lab/mutations/.*\.diff$'
}

round_trip()
{
	find patches -type f | sort | xargs sha256sum >$tmp/before
	for tree in linux qemu kvm-unit-tests; do
		[ $tree = kvm-unit-tests ] && [ ! -e build/$tree ] || lab/tree.sh $tree
		lab/export.sh $tree
	done >$tmp/log 2>&1 || cat $tmp/log
	find patches -type f | sort | xargs sha256sum | diff $tmp/before -
}

# checkpatch TREE: of that tree, on its patches, but for what lab/checkpatch excuses. An
# excuse that nothing needs is to be removed.
checkpatch()
{
	options="--terse --no-summary --strict"
	[ "$1" != linux ] || options="$options --show-types --showfile"
	# shellcheck disable=SC2086 # a list
	patches_in "$PWD/patches/$1" | (cd "build/$1" && xargs -P 2 -n 1 \
		perl scripts/checkpatch.pl $options) >$tmp/reports 2>&1 || :
	sed 's/:[0-9]*: [A-Z]*: */: /' $tmp/reports | awk -v tree="$1" '
		FILENAME == ARGV[1] && $1 == tree && $4 == "#" && NF > 4 { excuse[$2 " " $3]; next }
		FILENAME == ARGV[1] { next }
		("* " $2) in excuse { used["* " $2] }
		($1 " " $2) in excuse { used[$1 " " $2] }
		!(("* " $2) in excuse || ($1 " " $2) in excuse)
		END {
			for (key in excuse)
				if (!(key in used))
					print "lab/checkpatch excuses nothing any more: " key
		}' lab/checkpatch -
}

# What git drops when it applies a mail, or when somebody edits the commit, and what is
# too wide for a terminal and no quotation
changelogs()
{
	find patches -name '*.patch' | sort | xargs awk '
		function bad(what) { print FILENAME ":" FNR ": " what ": " $0 }
		FNR == 1 { body = below = 0 }
		below { if (!/^ .* (\||=>) /) bad("git drops this, below ---"); below = 0 }
		body && /^---$/ { body = 0; below = 1 }
		body && /^(diff -|Index: )/ { bad("git takes this for a diff"); body = 0 }
		body && /^#/ { bad("git drops this as a comment") }
		body && /^[-> ]*(8<|>8)[-> ]*$/ { bad("git drops all above scissors") }
		body && length > (FILENAME ~ /\/0000-|^patches\/(qemu|kvm-unit-tests)/ ? 80 : 75) &&
			!/^ |^>|^\[[0-9]+\] |^[A-Z][A-Za-z-]+: |https?:/ { bad("too wide") }
		!NF && !seen[FILENAME]++ { body = 1 }'
}

# The author signed off, and is somebody who commits here now, or did.
identities()
{
	{ git var GIT_AUTHOR_IDENT | sed 's/> .*/>/'; git log --format='%an <%ae>'; } >$tmp/known
	for patch in $(find patches -name '*.patch' | sort); do
		git mailinfo $tmp/text $tmp/diff <"$patch" >$tmp/info
		who="$(sed -n 's/^Author: //p' $tmp/info) <$(sed -n 's/^Email: //p' $tmp/info)>"
		grep -qxF "$who" $tmp/known || echo "$patch: $who does not commit here"
		grep -qxF "Signed-off-by: $who" $tmp/text || [ "${patch#*/0000-}" != "$patch" ] ||
			echo "$patch: $who did not sign off"
	done
}

mutations()
{
	for diff in lab/mutations/*.diff; do
		kind=linux
		! grep -q '^# qemu: ' "$diff" || kind=qemu
		g -C build/$kind apply --recount --check "$PWD/$diff" 2>&1 | sed "s,^,$diff: ,"
	done
}

# on_exit and awk are given what is expanded later.
# shellcheck disable=SC2046 # a list
t "shellcheck" shellcheck -x -e SC2016 $(ours | xargs grep -lE '^#!.*sh$|shellcheck shell=')
t "each file names its licence" eval 'ours | xargs grep -L SPDX-License-Identifier: || :'
t "no private paths" eval '! git grep -nE "(^|[ =])/(home|root|work)/[a-z]" -- . ":!patches"'
t "make tree export changes nothing" round_trip
t "changelogs survive git, and are not too wide" changelogs
t "authors are known and signed off" identities
t "mutations apply" mutations
t "checkpatch, Linux" checkpatch linux
t "checkpatch, QEMU" checkpatch qemu
echo "1..$tests"
