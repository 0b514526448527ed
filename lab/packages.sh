#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Install those packages of lab/packages that are missing.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

missing=
# shellcheck disable=SC2013 # words
for package in $(sed 's/#.*//' lab/packages); do
	case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
	installed) ;;
	*) missing="$missing $package" ;;
	esac
done
[ -n "$missing" ] || exit 0

[ "$(id -u)" -eq 0 ] ||
	die "packages are missing; as root: apt-get install --no-install-recommends$missing"

install()
{
	# Only when needed: whoever has the packages needs no network for them.
	apt-get -q update
	# shellcheck disable=SC2086 # a list
	DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=300 install --no-install-recommends $missing
}
say "installing:$missing"
step "installing packages" build/log/packages.log install
