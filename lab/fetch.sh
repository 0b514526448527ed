#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Fetch what the lab builds from Debian, and print the file to use:
#
#	fetch.sh linux		linux-source-7.3_VERSION_all.deb
#	fetch.sh qemu		qemu_VERSION.dsc, its archives beside it
#	fetch.sh meson		meson_VERSION_all.deb
#
# What was fetched once is kept and used without asking the network. apt checks
# the signatures and hashes; it runs with its own sources, lists and cache and
# leaves the system's alone, but keeps the system's proxies and other settings.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

apt=$CACHE/apt
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

case ${1-} in
linux) package=linux-source-7.3 suffix=.deb mb=700 ;;
qemu) package=qemu suffix=.dsc mb=400 ;;
meson) package=meson suffix=.deb mb=250 ;;
*) die "usage: fetch.sh linux|qemu|meson" ;;
esac

# What to say when there is no way to get the package.
case $1 in
linux) instead="or use a kernel tree of your own: \"make tree LINUX=/path/to/linux REV=v7.3\"" ;;
*) instead="or put its files into $DL yourself" ;;
esac

# newest: the file of the highest version in the cache
newest()
{
	best='' best_version=''
	for file in "$DL/$package"_*"$suffix"; do
		[ -f "$file" ] || continue
		version=${file##*/"$package"_}
		version=${version%_*}
		if [ -z "$best" ] ||
		   dpkg --compare-versions "${version%"$suffix"}" gt "$best_version"; then
			best=$file
			best_version=${version%"$suffix"}
		fi
	done
	[ -n "$best" ] && echo "$best"
}

need dpkg git
if newest; then
	exit 0
fi

# The mirror is the system's own. Containers come without apt's lists; then
# get them, to a place of our own.
mirror()
{
	if [ -n "${DEBIAN_MIRROR-}" ]; then
		echo "$DEBIAN_MIRROR"
		return
	fi
	# shellcheck disable=SC2016 # apt's own variable
	set -- indextargets --format '$(REPO_URI)' \
		'Created-By: Packages' 'Origin: Debian' 'Label: Debian'
	uri=$(apt-get "$@" | grep -v '^cdrom:' | head -n 1)
	if [ -z "$uri" ]; then
		mkdir -p "$apt/system/partial"
		apt-get -c "$apt/apt.conf" -o Dir::State::Lists="$apt/system" \
			-q update >&2 || :
		uri=$(apt-get -o Dir::State::Lists="$apt/system" "$@" |
			grep -v '^cdrom:' | head -n 1)
	fi
	[ -n "$uri" ] || return 1
	echo "$uri"
}

need apt-get apt-cache
[ -r "$keyring" ] || die "$keyring is missing: install debian-archive-keyring"
need_space "$DL" "$mb" "fetching $package" "set XDG_CACHE_HOME to a place with more"

# One fetch at a time: the directories are shared between clones.
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts" "$DL"
exec 9>"$apt/lock"
flock 9
if newest; then
	exit 0
fi

# Hooks of the system's apt configuration are not meant for this.
cat >"$apt/apt.conf" <<'END'
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear APT::Default-Release;
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
END
uri=$(mirror) ||
	die "apt knows no Debian mirror: set DEBIAN_MIRROR to the URL of one, $instead"
for source in "deb trixie-backports" "deb-src trixie" "deb bookworm-backports"; do
	echo "${source% *} [signed-by=$keyring] $uri ${source#* } main"
done >"$apt/sources.list"
: >"$apt/status"
set -- -c "$apt/apt.conf" -q \
	-o Dir::Etc::SourceList="$apt/sources.list" \
	-o Dir::Etc::SourceParts="$apt/parts" \
	-o Dir::Etc::Preferences="$apt/parts/none" \
	-o Dir::Etc::PreferencesParts="$apt/parts" \
	-o Dir::State="$apt" \
	-o Dir::State::Lists="$apt/lists" \
	-o Dir::State::status="$apt/status" \
	-o Dir::Cache="$apt/cache"

# The lists of one "make" serve all its fetches.
if [ -z "$(find "$apt/updated" -mmin -60 2>/dev/null)" ] ||
   ! cmp -s "$apt/sources.list" "$apt/updated"; then
	say "asking $uri what it offers"
	apt-get "$@" update >"$apt/log" 2>&1 || {
		grep '^E:' "$apt/log" >&2 || :
		die "cannot read $uri: check the network, set DEBIAN_MIRROR to the URL of another mirror, $instead"
	}
	cp "$apt/sources.list" "$apt/updated"
fi

case $suffix in
.dsc) offered=$(apt-cache "$@" showsrc --only-source "$package" | grep -c '^Version:') || : ;;
*) offered=$(apt-cache "$@" show "$package" 2>/dev/null | grep -c '^Version:') || : ;;
esac
[ "$offered" -gt 0 ] || {
	rm -f "$apt/updated"
	die "$uri offers no $package any more: set DEBIAN_MIRROR to the URL of a mirror that does, $instead"
}

new=$DL/.new.$package
rm -rf "$new"
mkdir "$new"
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
say "downloading $package"
(
	cd "$new"
	case $suffix in
	.dsc) apt-get "$@" source --download-only --only-source "$package" ;;
	*) apt-get "$@" download "$package" ;;
	esac
) >"$apt/log" 2>&1 || {
	grep '^E:' "$apt/log" >&2 || :
	rm -f "$apt/updated"
	die "cannot download $package from $uri: try again, set DEBIAN_MIRROR to the URL of another mirror, $instead"
}

# The file that newest() looks for comes last: when it is there, all is there.
for file in "$new"/*; do
	case $file in
	*"$suffix") ;;
	*) mv "$file" "$DL/" ;;
	esac
done
mv "$new"/*"$suffix" "$DL/"
newest || die "apt downloaded no $package$suffix: see $apt/log"
