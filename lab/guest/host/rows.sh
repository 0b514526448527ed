# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash disable=SC2154,SC2086,SC2016,SC2034 # of lib.sh
#
# The rows of the table: row_NAME() is what ../rows has as NAME, with - for _.

# at_least PINS [GATES]: so many writes that pin have to be in the trace, or it isn't
# worth much, and, if writes of CR0 are traced, so often paging has to have been turned
# on with pins. INIT keeps them, a CPU that comes back finds them.
at_least()
{
	echo "$1" >$g/pins
	echo "${2-0}" >$g/gates
}

# never_pins: no write that pins may be in the trace
never_pins()
{
	touch $g/no-pins
}

# violations N: are what has to be traced
violations()
{
	echo "$1" >$g/violations
}

row_boot()
{
	at_least 14
	for i in 1 2 4; do
		boot -c $i
		pinned
		finish
	done
	note "1, 2 and 4 CPUs hold CR0 $all_cr0, CR4 $all_cr4"
}

row_hotplug()
{
	at_least 4 20
	boot
	pinned
	ask busy
	tell 'toggle 20'
	for _ in 1 2 3 4 5; do
		held -p
		sleep 1
	done
	answered 120 || fail "CPU 1 did not come back"
	held -p
	ask idle
	pinned
	finish
	note "CPU 1 away 20 times"
}

# again HOW COMMAND: boot again, by that
again()
{
	drain
	tell "$2"
	reset
	booted
	pinned
	note "$1"
}

row_reboot()
{
	at_least 20
	boot
	pinned
	again reboot 'reboot -f'
	again 'triple fault' 'echo triple >/sys/kernel/reboot/type && reboot -f'
	again panic 'echo c >/proc/sysrq-trigger'
	tell busy
	answered 10
	drain
	monitor system_reset
	reset
	booted
	pinned
	note system_reset
	finish
}

# The way into real mode that this takes is closed if PG is pinned. The kernel has
# others, which it takes then.
row_reboot_bios()
{
	at_least 8
	boot
	pinned
	again reboot=bios 'echo bios >/sys/kernel/reboot/type && reboot -f'
	finish
}

# sleep_s3: until QEMU says so
sleep_s3()
{
	tell 'echo deep >/sys/power/mem_sleep && echo mem >/sys/power/state; report; echo "state $state"'
	await_event SUSPEND
}

wake_s3()
{
	was_reset
	monitor system_wakeup
	await_event WAKEUP
	answered 60
	grep -qx "state kept" $g/answer || fail "woke up, but memory is not what it was"
	# What it had before anything else ran, on the boot CPU as well
	[ "$(grep -c "^msr [0-9]* $all_cr0 $all_cr4\$" $g/answer)" -eq "$cpus" ] ||
		fail "woke up with other MSRs than CR0 $all_cr0, CR4 $all_cr4: $(grep ^msr $g/answer)"
	pinned
}

# Of the machines that QEMU has, only pc wakes up with its power management intact;
# the firmware of q35 leaves it to where the reset has put it.
row_s3()
{
	at_least 12
	boot -M pc
	pinned
	ask 'state=kept'
	sleep_s3
	wake_s3
	sleep_s3
	wake_s3
	ask 'toggle 1'
	pinned
	finish
	note "slept twice"
}

# hibernate: to disk, and off
hibernate()
{
	ask 'state=kept; grep -q vdb /proc/swaps || { mkswap /dev/vdb >/dev/null && swapon /dev/vdb; }'
	ask 'echo shutdown >/sys/power/disk'
	tell 'echo disk >/sys/power/state; echo "status $? state $state"'
	ended
}

# resumed: the kernel that hibernated goes on
resumed()
{
	answered 120 || fail "not resumed: $line"
	grep -qx "status 0 state kept" $g/answer || fail "resumed, but: $(cat $g/answer)"
}

row_hibernate()
{
	at_least 8
	boot
	pinned
	hibernate
	start resume=/dev/vdb
	resumed
	pinned
	ask 'toggle 2'
	pinned
	hibernate
	start resume=/dev/vdb no-kvmcrpin
	resumed
	pinned
	ask 'toggle 2'
	pinned
	finish
	note "the same kernel; one with no-kvmcrpin"
}

# image_refused: by the kernel that restores it, which goes on without
image_refused()
{
	hibernate
	start resume=/dev/vdb
	booted
	pinned
	ask 'dmesg | grep "Hibernate image is of a kernel without pinned"'
	note "$(sed 's/^\[[^]]*] //' $g/answer | head -n 1)"
	finish
}

row_hibernate_unpinned()
{
	at_least 4
	boot no-kvmcrpin
	unpinned no-kvmcrpin
	image_refused
}

row_hibernate_lacking()
{
	at_least 8
	boot clearcpuid=smap
	pinned 0x110800
	image_refused
}

# kexec [KERNEL WORD...]: the loaded kernel, with the usual words or these
kexec()
{
	kernel=${1:-bzImage}
	[ $# -eq 0 ] || shift
	ask "load $kernel $words $*"
	tell './tool exec'
	booted
}

row_kexec()
{
	at_least 4 3
	boot
	pinned
	for i in 1 2 3; do
		kexec
		pinned
	done
	finish
	note "3 in a row"
}

row_kdump()
{
	at_least 8
	for i in 0 1; do
		boot -m 512 crashkernel=160M
		ask "load -crash bzImage $words nr_cpus=1"
		pinned
		tell "taskset -c $i sh -c 'echo c >/proc/sysrq-trigger'"
		booted
		says "pinned CR0 bits $all_cr0, CR4 bits $all_cr4"
		online 1
		held -p
		ask './tool find /proc/vmcore VMCOREINFO'
		ask './tool find /proc/vmcore OSRELEASE='
		ask works
		finish
		note "panic on CPU $i"
	done
}

# refused COMMAND: and the kernel says why
refused()
{
	ask 'dmesg -c >/dev/null'
	! try "$1" || fail "not refused: $1"
	why=$(tail -n 1 $g/answer)
	ask 'dmesg | grep -v "run: "'
	grep -qi kexec $g/answer || fail "refused, $why, but the kernel does not say why: $(cat $g/answer)"
	note "$why, $(sed -n 's/^\[[^]]*] //; /kexec/{p;q}' $g/answer)"
}

row_kexec_base()
{
	at_least 4
	boot
	pinned
	refused "load base $words"
	held
	# The message about pins is gone with the others.
	ask 'toggle 1; works'
	held
	kexec
	pinned
	finish
	boot no-kvmcrpin
	unpinned no-kvmcrpin
	kexec base
	ask report
	online 2
	! grep -q '^kernel' $g/answer || fail "this is not the unpatched kernel: $(grep ^kernel $g/answer)"
	free
	ask works
	finish
	note "without pins: runs"
}

row_kexec_load()
{
	at_least 4
	boot
	pinned
	refused './tool load-old'
	held
	ask works
	finish
	boot no-kvmcrpin
	unpinned no-kvmcrpin
	ask './tool load-old && ./tool unload'
	finish
	note "without pins: loads"
}

row_kexec_words()
{
	at_least 4
	boot
	pinned
	kexec bzImage no-kvmcrpin
	pinned $all_cr4 " already, in spite of no-kvmcrpin"
	ask 'toggle 2'
	held
	note "no-kvmcrpin: the pins stay"
	kexec bzImage clearcpuid=smap,umip,smep nofsgsbase
	ask report
	online 2
	held
	ask works
	ask 'toggle 1'
	held
	note "clearcpuid=smap,umip,smep nofsgsbase: lives"
	kexec bzImage nopv
	ask report
	online 2
	held
	ask 'toggle 1; works'
	refused './tool load-old'
	held
	note "nopv: lives"
	kexec
	pinned
	finish
}

# la57 0|1: as the register has it, on all CPUs
la57()
{
	registers
	while read -r n cr0 cr4 rest; do
		: "$cr0 $rest"
		[ $((cr4 >> 12 & 1)) -eq "$1" ] || fail "vCPU $n has CR4 $cr4"
	done <$g/registers
}

row_kexec_la57()
{
	boot -f ,+la57 no5lvl
	pinned
	la57 0
	kexec
	pinned
	note "no5lvl to 5 levels"
	finish
	boot -f ,+la57
	pinned
	la57 1
	kexec bzImage no5lvl
	pinned
	note "5 levels to no5lvl"
	finish
}

row_savevm()
{
	at_least 4
	boot
	pinned
	move
	pinned
	ask 'toggle 1'
	pinned
	finish
}

row_savevm_hotplug()
{
	at_least 4 10
	boot
	pinned
	ask busy
	tell 'toggle 10'
	for i in 1 2 3; do
		sleep 1
		move
	done
	answered 120 || fail "CPU 1 did not come back"
	ask idle
	pinned
	finish
	note "$i times while CPU 1 comes and goes"
}

row_savevm_s3()
{
	at_least 8
	boot -M pc
	pinned
	ask 'state=kept'
	sleep_s3
	move
	wake_s3
	finish
}

row_savevm_reboot()
{
	at_least 8
	boot
	pinned
	drain
	tell 'reboot -f'
	reset
	move
	free
	booted
	pinned
	move
	pinned
	finish
}

row_savevm_kexec()
{
	at_least 4
	boot
	pinned
	ask "load bzImage $words"
	move
	tell './tool exec'
	sleep 3
	move
	booted
	pinned
	move
	pinned
	kexec
	pinned
	finish
	note "before, during and after"
}

row_no_pins()
{
	never_pins
	boot no-kvmcrpin
	unpinned no-kvmcrpin
	ask 'toggle 2'
	finish
}

row_not_offered()
{
	never_pins
	boot -f ,kvm-cr-pin=off
	unpinned "not supported by the host"
	ask 'toggle 2'
	finish
}

row_base_host()
{
	boot
	unpinned "not supported by the host"
	ask 'toggle 2'
	finish
}

row_base_guest()
{
	never_pins
	boot -k base
	ask report
	online 2
	! grep -q '^kernel' $g/answer || fail "this is not the unpatched kernel: $(grep ^kernel $g/answer)"
	free
	ask works
	ask 'toggle 2'
	finish
}

# with CR4 OPTION...: boot, and pin that
with()
{
	with4=$1
	shift
	boot "$@"
	pinned "$with4"
	ask 'toggle 1'
	pinned "$with4"
	note "$*"
}

row_words()
{
	with $all_cr4 nokaslr
	finish
	with 0x110800 clearcpuid=smap
	finish
	with 0x310000 clearcpuid=umip
	finish
	with 0x210800 clearcpuid=smep
	finish
	with 0x300800 nofsgsbase
	finish
}

row_la57()
{
	with $all_cr4 -f ,+la57
	la57 1
	finish
	with $all_cr4 -f ,+la57 no5lvl
	la57 0
	finish
}

# Its init has no shell.
row_i386()
{
	never_pins
	for i in 2 4; do
		start -c $i -k bzImage32 -i guest32.cpio
		booted
		asked="the 32-bit guest's work"
		while next_line 60; do
			case $line in
			online\ *) [ "$line" = "online 0-$((i - 1))" ] || fail "of $i CPUs: $line" ;;
			kernel\ *) note "${line#kernel }" ;;
			exit\ *) break ;;
			esac
		done
		[ "$line" = "exit 0" ] || fail "$line"
		ended
		note "$i CPUs"
	done
}

row_lkdtm()
{
	violations 1
	at_least 4
	boot
	pinned
	ask 'insmod lkdtm.ko'
	ask 'dmesg -c >/dev/null'
	try 'sh -c "echo UNSET_SMEP >/sys/kernel/debug/provoke-crash/DIRECT"' || :
	ask 'dmesg | sed "s/^\[[^]]*] //"'
	grep -q 'ok: SMEP did not get cleared' $g/answer || fail "no \"ok: SMEP did not get cleared\""
	[ "$(grep -c 'pinned CR4 bits changed' $g/answer)" -eq 1 ] || fail "not one warning"
	grep -q 'trying to clear SMEP with call gadget' $g/answer || fail "it did not try"
	grep -q 'general protection fault' $g/answer || fail "no #GP"
	! grep -q 'SMEP removal was reverted\|FAIL' $g/answer || fail "SMEP was gone"
	held
	ask works
	finish 1
	note "pinned: #GP"
	boot no-kvmcrpin
	ask 'insmod lkdtm.ko'
	ask 'dmesg -c >/dev/null'
	ask 'sh -c "echo UNSET_SMEP >/sys/kernel/debug/provoke-crash/DIRECT"'
	ask 'dmesg | sed "s/^\[[^]]*] //"'
	grep -q 'ok: SMEP did not get cleared' $g/answer || fail "unpinned: no \"ok: SMEP did not get cleared\""
	grep -q 'ok: SMEP removal was reverted' $g/answer || fail "unpinned: no \"ok: SMEP removal was reverted\""
	[ "$(grep -c 'pinned CR4 bits changed' $g/answer)" -ge 1 ] || fail "unpinned: no warning"
	free
	ask works
	finish
	note "unpinned: put back"
}
