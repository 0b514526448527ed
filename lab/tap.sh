# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# TAP for scripts that check one thing after the other; "prove" sums it up.

tests=0

# t WHAT COMMAND...: it has to succeed, and to have nothing to say
t()
{
	tests=$((tests + 1))
	what=$1
	shift
	result=0
	said=$(set -e; "$@" 2>&1 </dev/null) || result=$?
	[ $result -eq 0 ] && [ -z "$said" ] || printf 'not '
	echo "ok $tests - $what"
	[ -z "$said" ] || echo "$said" | sed 's/^/#   /'
}
