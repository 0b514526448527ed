# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154 # run.sh's variables
#
# A machine for run.sh: Bochs, which emulates Intel's VMX with EPT. All processors
# share one of this machine's, so there is one. Its clock counts instructions: what a
# test measures does not depend on what else runs here.

machine()
{
	cd "$tmp" || exit
	mkdir -p iso/isolinux
	cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 \
		iso/isolinux || exit
	ln -s "$kernel" iso/bzImage
	mv initrd iso
	# What the kernel must not use: Bochs lays out the state of some features in
	# its own way, XRSTOR refuses what XSAVEC has saved, and nothing ends an MWAITX.
	# Nor does the TSC have the frequency that CPUID gives it. A triple fault ends
	# Bochs, a reset would run the job again.
	cat >iso/isolinux/isolinux.cfg <<-END
		default lab
		label lab
			kernel /bzImage
			append initrd=/initrd console=ttyS0 panic=-1 oops=panic reboot=triple nokaslr clearcpuid=xsaves,xsavec,avx512f,pku,mwaitx tsc=reliable tsc_early_khz=50000 machine=bochs $append
	END
	xorriso -as mkisofs -quiet -f -o cd.iso -b isolinux/isolinux.bin \
		-c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
		-boot-info-table iso || exit
	rm -r iso
	ln -s "$log" console
	ln -s "$results" results
	cat >bochsrc <<-END
		cpu: model=tigerlake, count=${cpus:-1}, ips=50000000, ignore_bad_msrs=1, reset_on_triple_fault=0
		memory: guest=${memory:-1024}, host=${memory:-1024}
		clock: sync=none
		display_library: term
		romimage: file=/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
		ata0: enabled=1
		ata0-master: type=cdrom, path=cd.iso, status=inserted
		boot: cdrom
		com1: enabled=1, mode=file, dev=console
		com2: enabled=1, mode=file, dev=results
		sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
		log: bochs.log
		panic: action=fatal
	END
	printf 'continue\nquit\n' >rc
	TERM=vt100 limited bochs -q -f bochsrc -rc rc
}

# It writes to its log what is wrong, and to its terminal much that is not.
emulator_says()
{
	grep -a '>>PANIC<<\|ERROR' "$tmp/bochs.log" || cat -v "$tmp/machine"
}
