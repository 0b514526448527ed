#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Do what a new user does, in a Debian that has nothing but git and make:
#
#	fresh.sh full		make packages, demo and check
#	fresh.sh short		make packages, and each emulator boots a host to its init
#	fresh.sh root DIR	nothing; leave such a Debian in DIR
#
# The repository is cloned, with changes that are not committed. CACHE is shared with
# this machine, and for "short" what is built. All runs in namespaces of its own: when
# they end, however that is, no process and no mount is left.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

export SUITE="${SUITE:-bookworm}"
root=build/fresh
[ "${1-}" != root ] || root=$2
tar=$CACHE/fresh/$SUITE.tar
archives=$CACHE/fresh/$SUITE

# isolated WHAT...: in the background, so that a signal ends all of it at once
isolated()
{
	unshare --mount --pid --fork --kill-child=KILL "$0" "$@" &
	on_exit "kill -KILL $! 2>/dev/null || :"
	wait $!
}

case ${1-} in
bootstrap)
	exec debootstrap --variant=minbase --include=git,make --cache-dir="$archives" \
		"$SUITE" "$2" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
	;;
inside)
	mount -t proc proc "$root/proc"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mkdir -p "$root$CACHE" "$root/built"
	mount --bind "$CACHE" "$root$CACHE"
	mount --bind "$archives" "$root/var/cache/apt/archives"
	[ "$2" = full ] || mount -o bind,ro build "$root/built"
	exec chroot "$root" env -i CACHE="$CACHE" HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		sh -c "cd lab && make packages && exec lab/fresh.sh in-$2"
	;;
in-full)
	make demo check
	exit
	;;
in-short)
	ln -s /built/qemu-system-x86_64 /built/qemu-firmware build
	mkdir /tmp/job
	printf '#!/bin/sh\necho "init runs" >&3\n' >/tmp/job/run
	chmod 755 /tmp/job/run
	for vendor in amd intel; do
		lab/run.sh -e $vendor -t 400 -k /built/linux/out/arch/x86/boot/bzImage \
			-i /built/initramfs.cpio -j /tmp/job -l /tmp/console -r /tmp/results
		say "$vendor: a host boots, $(head -n 1 /tmp/results)"
	done
	exit
	;;
full|short|root) ;;
*) die "usage: fresh.sh full|short|root DIR" ;;
esac

[ "$(id -u)" -eq 0 ] || die "it takes root to make a root"
need_space build 2000 "a fresh Debian"
rm -rf "$root"
mkdir -p "$root" "$archives/partial"
# One at a time: apt wants its archives for itself.
exec 9>"$tar.lock"
flock 9
# After a month it would have to be upgraded.
if [ -z "$(find "$tar" -mtime -30 2>/dev/null)" ]; then
	say "making a minimal Debian, $SUITE"
	isolated bootstrap "$root"
	tar -C "$root" -cf "$tar.new" .
	mv "$tar.new" "$tar"
else
	tar -C "$root" -xf "$tar"
fi
[ "$1" != root ] || exit 0

# The network as it is here
cp /etc/resolv.conf /etc/hosts "$root/etc"
apt-config dump | grep '^Acquire::.*[Pp]roxy' >"$root/etc/apt/apt.conf.d/90proxy" || :
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/fast"
g clone --quiet --no-hardlinks . "$root/lab"
g diff --binary HEAD | g -C "$root/lab" apply --allow-empty
isolated inside "$1"
rm -rf "$root"
