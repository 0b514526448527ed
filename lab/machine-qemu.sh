# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2154 # run.sh's variables
#
# A machine for run.sh: QEMU, under KVM or its own emulator of AMD's SVM

machine()
{
	case $accel in
	kvm) set -- -cpu host ;;
	# Everything that the emulator knows. The kernel is told the TSC's frequency:
	# where it has to wait for a processor, it can't measure it.
	tcg)
		set -- -cpu max,+svm,+npt,tsc-frequency=1000000000
		append="tsc_early_khz=1000000 $append"
		;;
	esac
	[ -z "$count" ] ||
		set -- "$@" -icount shift=0,sleep=off -seed 1 -rtc clock=vm,base=2026-01-01
	limited "$build/qemu-system-x86_64" -L "$build/qemu-firmware" \
		-machine q35,accel="$accel",smm=on "$@" \
		-m "${memory:-4096}" -smp "${cpus:-2}" \
		-nodefaults -no-user-config -display none -no-reboot \
		-serial file:"$log" -serial file:"$results" \
		-kernel "$kernel" -initrd "$tmp/initrd" \
		-append "console=ttyS0 panic=-1 oops=panic nokaslr tsc=reliable machine=$accel $append"
}

emulator_says()
{
	cat "$tmp/machine"
}
