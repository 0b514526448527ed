#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Install the packages of lab/packages that are missing, as root. "packages.sh check"
# only says which they are.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

command -v dpkg-query >/dev/null || die "this is not Debian: see README.md for what to do"
missing=
# shellcheck disable=SC2013 # words
for package in $(sed 's/#.*//' lab/packages ${DEV:+lab/packages.dev}); do
	dpkg-query -s "$package" 2>/dev/null | grep -q '^Status:.* installed$' ||
		missing="$missing $package"
done
[ -n "$missing" ] || exit 0
[ "${1-}" != check ] || die "\"make packages\" installs what is missing:$missing"
[ "$(id -u)" -eq 0 ] || die "as root: apt-get install --no-install-recommends$missing"

say "installing$missing"
step "asking for packages" build/log/packages.log apt-get -q update
# shellcheck disable=SC2086 # a list
DEBIAN_FRONTEND=noninteractive step "installing packages" build/log/packages.log apt-get -q -y \
	-o DPkg::Lock::Timeout=300 install --no-install-recommends $missing
