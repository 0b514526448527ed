#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
#	deb.sh		make build/deb/: the patched kernel as Debian packages, configured
#			like CONFIG, and the patched QEMU as a tarball
#	deb.sh check	the same with the lab's configuration; install all of it in a
#			minimal Debian, boot that as a host, and a guest in it that pins

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"

DEV=1 lab/packages.sh check
dir=$PWD/build/deb
config=${CONFIG:-/boot/config-$(uname -r)}
if [ "${1-}" = check ]; then
	dir=$PWD/build/deb-check
	config=build/linux/out/.config
fi
[ -r "$config" ] || die "no $config: name another with CONFIG="
say "configured like $config; a distribution's takes hours on two processors"

build()
{
	mkdir -p "$dir/out"
	cp "$config" "$dir/out/.config"
	# Keys and debugging information are the distribution's own business.
	build/linux/scripts/config --file "$dir/out/.config" --set-str SYSTEM_TRUSTED_KEYS '' \
		-d LOCALVERSION_AUTO -d DEBUG_INFO_BTF -e DEBUG_INFO_NONE
	rm -f "$dir"/*.deb
	for target in olddefconfig bindeb-pkg; do
		CCACHE_BASEDIR=$PWD make -C build/linux O="$dir/out" -j"$(nproc)" \
			"CC=$PWD/lab/cc" LOCALVERSION=-cr-pinning DPKG_FLAGS=-d $target
	done
}
step "building packages of the kernel" build/log/deb.log build

# QEMU looks for its firmware in ../share.
name=qemu-cr-pinning-$(cat build/qemu/VERSION)
mkdir -p "$dir/$name/bin" "$dir/$name/share/qemu"
cp build/qemu-system-x86_64 build/qemu-img "$dir/$name/bin"
cp build/qemu-firmware/* "$dir/$name/share/qemu"
tar -C "$dir" --owner=0 --group=0 -cJf "$dir/$name.tar.xz" "$name"
rm -r "${dir:?}/$name"
ls "$dir"/*.deb "$dir/$name.tar.xz"
[ $# -gt 0 ] || exit 0

root=$dir/root
lab/fresh.sh root "$root"
rm -rf "$root/var/cache" "$root/usr/share/doc" "$root/usr/share/locale"
step "installing them" build/log/deb.log dpkg --root="$root" --force-unsafe-io \
	-i "$dir"/linux-image-*.deb
tar -C "$root/usr/local" --strip-components=1 -xf "$dir/$name.tar.xz"
cp "$(command -v busybox)" "$root/bin/"
mkdir -p "$dir/job"
cat >"$root/init" <<'END'
#!/bin/busybox sh
export PATH=/usr/local/bin:/usr/bin:/bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
stty -F /dev/ttyS1 raw
/job/run </dev/null >/dev/console 2>&1
echo "exit $?" >/dev/ttyS1
busybox poweroff -f
END
cat >"$dir/job/run" <<'END'
#!/bin/sh
busybox modprobe kvm-amd
timeout 200 qemu-system-x86_64 -machine q35,accel=kvm -nodefaults -display none -no-reboot \
	-cpu qemu64,+smep,+smap,+umip,+fsgsbase,+x2apic,+kvm-cr-pin -m 512 -serial stdio \
	-kernel /boot/vmlinuz-* -append "console=ttyS0 panic=-1" >/tmp/guest
sed 's/^/[guest] /' /tmp/guest
grep -a 'kvm-guest: pinned' /tmp/guest
END
chmod 755 "$root/init" "$dir/job/run"
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$dir/initramfs.cpio"
lab/run.sh -e amd -t 400 -k "$root"/boot/vmlinuz-* -i "$dir/initramfs.cpio" -j "$dir/job" \
	-l "$dir/console" -r "$dir/results"
say "they boot, and a guest in them: $(grep -a -o 'kvm-guest: pinned.*' "$dir/console" | head -n 1)"
rm -rf "$root" "$dir/initramfs.cpio"
