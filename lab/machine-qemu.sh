# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh disable=SC2034,SC2154 # run.sh's variables
#
# A machine for run.sh: QEMU, under KVM or its own emulator of AMD's SVM

tools="qemu-system-x86_64"

machine()
{
	case $accel in
	kvm) set -- -cpu host ;;
	# Everything that the emulator knows.
	tcg) set -- -cpu max,+svm,+npt ;;
	esac
	if [ -n "$count" ]; then
		set -- "$@" -icount shift=0,sleep=off -seed 1 \
			-rtc clock=vm,base=2026-01-01
	fi
	exec timeout -k 5 "$limit" qemu-system-x86_64 \
		-machine q35,accel="$accel",smm=on "$@" \
		-m "${memory:-4096}" -smp "${cpus:-2}" \
		-nodefaults -no-user-config -display none -no-reboot \
		-serial file:"$log" -serial file:"$results" \
		-kernel "$kernel" -initrd "$tmp/initrd" \
		-append "console=ttyS0 panic=-1 nokaslr tsc=reliable $append"
}
