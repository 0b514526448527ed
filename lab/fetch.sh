#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Fetch what the lab builds from Debian, and print the file to use:
#
#	fetch.sh linux		linux-source-7.3_VERSION_all.deb
#	fetch.sh qemu		qemu_10.2.VERSION.dsc, its archives beside it
#	fetch.sh meson		meson_VERSION_all.deb
#	fetch.sh cbmc		cbmc_VERSION_amd64.deb, its libraries beside it
#
# What was fetched once is kept and used without asking the network. apt checks
# the signatures and hashes; it runs with its own sources, lists and cache and
# leaves the system's alone, but keeps the system's proxies and other settings.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

# The patches fit on no other version than one that begins like this.
begin=
# What comes with it
more=
instead="put its files into $DL yourself"
case ${1-} in
linux)
	package=linux-source-7.3 source="deb trixie-backports" suffix=.deb
	instead="use a kernel tree of your own: \"make tree LINUX=/path/to/linux REV=v7.3\""
	;;
qemu) package=qemu begin=10.2. source="deb-src sid" suffix=.dsc ;;
meson) package=meson source="deb bookworm-backports" suffix=.deb ;;
cbmc)
	package=cbmc begin=6. source="deb trixie" suffix=.deb
	more="libc6 libgcc-s1 libstdc++6 minisat zlib1g"
	;;
*) die "usage: fetch.sh linux|qemu|meson|cbmc" ;;
esac

# newest: the file of the highest version in the cache
newest()
{
	find "$DL" -maxdepth 1 -name "${package}_$begin*$suffix" 2>/dev/null | sort -V | tail -n 1 | grep .
}

# One fetch at a time: the directories are shared between clones.
mkdir -p "$DL"
exec 9>"$CACHE/fetch.lock"
flock 9
if newest; then
	exit 0
fi
need_space "$CACHE" 1000 "fetching $package" "set XDG_CACHE_HOME to a place with more"

# The mirror is the one that the system gets its updates of Debian from. Hooks of the
# system's apt configuration are not meant for this.
uri=${DEBIAN_MIRROR:-$(apt-get update --print-uris |
	sed -n "s,^'\([^']*\)/dists/[a-z]*-updates/.*,\1,p" | head -n 1)}
[ -n "$uri" ] || die "apt knows no mirror of Debian: set DEBIAN_MIRROR to the URL of one"
apt=$CACHE/apt/$1
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
echo "${source% *} [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri ${source#* } main" >"$apt/sources.list"
: >"$apt/status"
cat >"$apt/apt.conf" <<END
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear APT::Default-Release;
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Etc { SourceList "$apt/sources.list"; SourceParts "$apt/parts"; Preferences "$apt/none"; PreferencesParts "$apt/parts"; };
Dir::State "$apt";
Dir::State { Lists "$apt/lists"; status "$apt/status"; };
Dir::Cache "$apt/cache";
END

failed()
{
	grep '^E:' "$apt/log" >&2 || :
	die "$uri does not give $package${begin:+ $begin*}: try again, or $instead"
}

say "asking $uri what it offers"
apt-get -c "$apt/apt.conf" -q update >"$apt/log" 2>&1 || failed
case $suffix in
.dsc) show="showsrc --only-source" get="source --download-only --only-source" ;;
*) show=show get=download ;;
esac
# What files are called lacks the epoch.
# shellcheck disable=SC2086 # a command and its options
version=$(apt-cache -c "$apt/apt.conf" $show "$package" 2>"$apt/log" |
	sed -n "s/^Version: \(\([0-9]*:\)*$begin.*\)/\1/p" | sort -V | tail -n 1)
[ -n "$version" ] || failed

new=$DL/.new.$package
on_exit "rm -rf $new"
rm -rf "$new"
mkdir "$new"
cd "$new"
say "downloading $package $version"
# shellcheck disable=SC2086
apt-get -c "$apt/apt.conf" -q $get "$package=$version" $more >"$apt/log" 2>&1 || failed

# The file that newest() looks for comes last: when it is there, all is there.
find . -type f ! -name "${package}_*$suffix" -exec mv {} "$DL" \;
find . -type f -exec mv {} "$DL" \;
newest
