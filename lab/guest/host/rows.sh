# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash disable=SC2154,SC2086,SC2016,SC2034 # of driver.sh
#
# What happens in the life of a guest: row NAME is the last function. In front of it is
# what rows are written with.

# What a guest has to pin: CR0 WP, and of CR4
smep=0x100000 smap=0x200000 umip=0x800 fsgsbase=0x10000 cet=0x800000
all_cr0=0x10000
all_cr4=$((smep | smap | umip | fsgsbase))

# What the trace has to show, or it isn't worth much: so many writes that pin, or
# "none", so many violations, and, if writes of CR0 are traced, so often paging turned
# on with pins. INIT keeps them, a CPU that comes back finds them.
pins=2 violations=0 gates=0

# note WHAT: for the table, if all goes well
note()
{
	echo "$*" >>$g/notes
}

# provokes STRING: a kernel that complains with it is no fault, but what the row is about
provokes()
{
	printf 'row\tsome\t%s\n' "$1" >>$g/provoked
}

# told CPUS CR0 CR4 SAYS: $g/answer is the report of a kernel that says this about pins,
# once, shows these in sysfs, has so many CPUs online, and these pins in the MSRs of each,
# if there are MSRs
told()
{
	{
		[ -z "$4" ] || printf 'kernel %s\nheld 0x%x 0x%x\n' "$4" $2 $3
		for n in $(seq 0 $(($1 - 1))); do
			printf 'msr %d %016x %016x\n' $n $2 $3
		done
		echo "online $([ $1 -eq 1 ] || echo 0-)$(($1 - 1))"
	} | sed 's/ 0\{16\}//g' >$g/expected
	sed '/^state /d; s/ 0\{16\}//g' $g/answer | cmp -s - $g/expected ||
		fail "not $(paste -s -d ';' $g/expected), but $(paste -s -d ';' $g/answer)"
}

# told_pins CPUS [CR4 [WORDS]]: that the guest pinned, with these WORDS behind it
told_pins()
{
	told $1 $all_cr0 ${2:-$all_cr4} \
		"$(printf 'pinned CR0 bits 0x%x, CR4 bits 0x%x' $all_cr0 ${2:-$all_cr4})${3-}"
}

# holds CR0 CR4: QEMU shows that each vCPU has pinned this and no more, and has these bits
# set whenever paging is on
holds()
{
	registers
	while read -r n cr0 cr4 pin0 pin4 low; do
		if [ $((${pin0:=0})) -ne $(($1)) ] || [ $((${pin4:=0})) -ne $(($2)) ] || [ -n "$low" ]; then
			fail "vCPU $n holds CR0 $pin0, CR4 $pin4 $low"
		fi
		[ $((cr0 >> 31)) -eq 0 ] || [ $((~cr0 & pin0 | ~cr4 & pin4)) -eq 0 ] ||
			fail "vCPU $n lacks what it holds: CR0 $cr0, CR4 $cr4"
	done <$g/registers
}

# held [CR4]: what it has to be is
held()
{
	holds $all_cr0 ${1:-$all_cr4}
}

# pinned [CR4 [WORDS]]: by what the kernel says, what it reads, and what QEMU shows; all
# CPUs are online, hold their pins and work
pinned()
{
	ask report
	told_pins $cpus "$@"
	held ${1-}
	ask works
}

# unpinned [REASON]: likewise that nothing is. An unpatched kernel says nothing.
unpinned()
{
	ask report
	told $cpus 0 0 "${1:+no pinned CR0 and CR4 bits: $1}"
	holds 0 0
	ask works
}

# guest [WORD...]: boot one, when the one before is done
guest()
{
	finish
	boot "$@"
}

# begin [WORD...]: a guest that pins
begin()
{
	guest "$@"
	pinned
}

# begin_without REASON [WORD...]: a guest that does not
begin_without()
{
	reason=$1
	shift
	guest "$@"
	unpinned "$reason"
	ask 'toggle 2'
}

# guest_with WORD [CR4]: all of the life of one that pins that
guest_with()
{
	guest $1
	pinned ${2-}
	ask 'toggle 1'
	pinned ${2-}
}

# finish: the guest, if there is one, has to come to a good end
finish()
{
	[ -n "$qemu" ] || return 0
	[ "$(violations)" -eq "$(grep -c 'kvm_cr_pin_violation: ' $tracing/trace)" ] ||
		fail "KVM counts $(violations) violations, other than it traces"
	gone=$(violations)
	tell exit
	listen 20
	ended
	qemu=
}

# again: the guest boots
again()
{
	booted_again
	pinned
}

# reset_by COMMAND...: wait for it, and see that nothing is pinned then. The firmware alone
# takes longer than that.
reset_by()
{
	events=
	"$@"
	await RESET
	holds 0 0
}

# sleep_s3: until QEMU says so
sleep_s3()
{
	tell 'state=kept; echo deep >/sys/power/mem_sleep && echo mem >/sys/power/state; report; echo "state $state"'
	await SUSPEND
}

wake_s3()
{
	was_reset
	monitor system_wakeup
	await WAKEUP
	answered 60
	grep -qx "state kept" $g/answer || fail "woke up, but memory is not what it was"
	# What it had before anything else ran, on the boot CPU as well
	told_pins $cpus
	pinned
}

# hibernate [WORD...]: to disk, and off, and start the kernel that shall find it
hibernate()
{
	ask 'state=kept; grep -q vdb /proc/swaps || { mkswap /dev/vdb >/dev/null && swapon /dev/vdb; }'
	ask 'echo shutdown >/sys/power/disk'
	tell 'echo disk >/sys/power/state; echo "status $? state $state"'
	ended
	start resume=/dev/vdb "$@"
}

# resumed: the image by the kernel that was started
resumed()
{
	answered 120 || fail "not resumed: $line"
	grep -qx "status 0 state kept" $g/answer || fail "resumed, but: $(cat $g/answer)"
}

# hibernate_and_resume [WORD...]
hibernate_and_resume()
{
	hibernate "$@"
	resumed
	pinned
	ask 'toggle 2'
	pinned
}

# image_refused: by the kernel that restores it, which goes on without
image_refused()
{
	hibernate
	again
	ask 'dmesg | grep "Hibernate image cannot live with"'
	note "$(sed 's/^\[[^]]*] //' $g/answer | head -n 1)"
}

# unasked REASON [CR0 CR4]: a kernel that asked for no pins, and says so, lives with these
unasked()
{
	ask report
	told $cpus ${2:-$all_cr0} ${3:-$all_cr4} "no pinned CR0 and CR4 bits: $1"
	holds ${2:-$all_cr0} ${3:-$all_cr4}
	ask 'works; toggle 2; works'
	holds ${2:-$all_cr0} ${3:-$all_cr4}
}

# kexec [KERNEL WORD...]: with the usual words and these
kexec()
{
	what=${1:-bzImage}
	[ $# -eq 0 ] || shift
	ask "kexec load $what $words $*"
	tell './kexec exec'
	booted_again
}

# refused COMMAND: and the kernel says why
refused()
{
	ask 'dmesg -c >/dev/null'
	tell "$1"
	! answered 60 || fail "not refused: $1"
	why=$(tail -n 1 $g/answer)
	ask 'dmesg | grep -v "run: "'
	grep -qi kexec $g/answer || fail "refused, $why, but the kernel does not say why: $(cat $g/answer)"
	note "$why, $(sed -n 's/^\[[^]]*] //; /kexec/{p;q}' $g/answer)"
	held
}

# la57 0|1: as the register has it, on all CPUs
la57()
{
	registers
	while read -r n cr0 cr4 holds; do
		[ $((cr4 >> 12 & 1)) -eq $1 ] || fail "vCPU $n has CR4 $cr4"
	done <$g/registers
}

# lack BITS: of CR4, on all CPUs
lack()
{
	registers
	while read -r n cr0 cr4 holds; do
		[ $((cr4 & $1)) -eq 0 ] || fail "vCPU $n has CR4 $cr4"
	done <$g/registers
}

# lkdtm_smep PATTERN...: have LKDTM clear SMEP; the kernel has to say all this
lkdtm_smep()
{
	ask 'insmod lkdtm.ko && dmesg -c >/dev/null'
	ask '(echo UNSET_SMEP >/sys/kernel/debug/provoke-crash/DIRECT); dmesg'
	for pattern; do
		grep -q "$pattern" $g/answer || fail "no \"$pattern\""
	done
}

# attacked GUEST won|lost: by each attack in lab/guest/modules on each CPU, and the guest lives on
attacked()
{
	ask attack
	sed "s/^/# attack: $1: /" $g/answer >&3
	[ "$(grep -c "^$2: " $g/answer)" -eq $((9 * cpus)) ] ||
		fail "not $((9 * cpus)) attacks $2: $(grep -v "^$2: " $g/answer | paste -s -d ';')"
	ask works
}

# has_ibt CPUS: the kernel found CET, and has each CPU use it, by S_CET.ENDBR_EN
has_ibt()
{
	ask 'dmesg | grep "CET detected: Indirect Branch Tracking enabled" && msrs 0x6a2'
	[ "$(grep -c '^msr [0-9]* 0*4$' $g/answer)" -eq $1 ] || fail "no IBT: $(cat $g/answer)"
}

# life_with_cet: CPU 1 goes away and comes back
life_with_cet()
{
	pinned $((all_cr4 | cet))
	has_ibt 2
	ask 'echo 0 >/sys/devices/system/cpu/cpu1/online; report'
	told_pins 1 $((all_cr4 | cet))
	has_ibt 1
	held $((all_cr4 | cet))
	ask 'echo 1 >/sys/devices/system/cpu/cpu1/online'
	pinned $((all_cr4 | cet))
	has_ibt 2
}

# get CPU PROPERTY: of a vCPU, as QMP shows it, in $value
get()
{
	qmp '{"execute":"query-cpus-fast"}'
	path=$(echo "$answer" | grep -o '"qom-path": "[^"]*"' | sed -n "$(($1 + 1))s/.*: \(\".*\"\)/\1/p")
	qmp '{"execute":"qom-get","arguments":{"path":'"$path"',"property":"'$2'"}}'
	value=${answer#*\"return\": }
	value=${value%, \"id\"*}
	value=${value%\}}
}

# shows CPU PROPERTY VALUE: as JSON
shows()
{
	get $1 $2
	[ "$value" = "$3" ] || fail "vCPU $1 has $2 $value, not $3"
}

# expanded MODEL STRING...: of this model of a CPU QEMU says all that
expanded()
{
	qmp '{"execute":"query-cpu-model-expansion","arguments":{"type":"full","model":'"$1"'}}'
	model=$1
	shift
	for expected; do
		case $answer in
		*"$expected"*) ;;
		*) fail "$model has not $expected" ;;
		esac
	done
}

# try WORD...: start a machine and no guest; what QEMU says is in $g/said, its status is returned
try()
{
	status=0
	printf '{"execute":"qmp_capabilities"}\n{"execute":"query-cpus-fast"}\n{"execute":"quit"}\n' |
		timeout -s KILL 60 ./qemu-system-x86_64 -L firmware -nodefaults -no-user-config \
			-display none -S -qmp stdio "$@" >$g/said 2>&1 || status=$?
	grep -v '^{' $g/said | sed 's/^/QEMU: /' || :
	return $status
}

# says STRING: QEMU did, and didn't pass over it
says()
{
	grep -qF "$*" $g/said || fail "QEMU does not say \"$*\", but: $(paste -s -d ';' $g/said)"
}

# quiet: QEMU had nothing to complain about
quiet()
{
	! grep -v '^{' $g/said || fail "QEMU says: $(grep -v '^{' $g/said)"
}

# unplug CPU: the last one. The guest has no driver for that. What one would do with the
# registers of q35: choose the interface, choose the CPU, eject it.
unplug()
{
	ask "echo 0 >/sys/devices/system/cpu/cpu$1/online"
	events=
	monitor 'o/b 0xcd8 0'
	monitor "o/b 0xcd8 $1"
	monitor 'o/b 0xcdc 8'
	await DEVICE_DELETED
	cpus=$1
	registers
}

# plug CPU: again
plug()
{
	qmp '{"execute":"device_add","arguments":{"driver":"qemu64-x86_64-cpu","id":"cpu'$1'","socket-id":0,"die-id":0,"module-id":0,"core-id":'$1',"thread-id":0}}'
	cpus=$(($1 + 1))
	ask "echo 1 >/sys/devices/system/cpu/cpu$1/online"
}

# unpatched_kvm, patched_kvm: in the host
unpatched_kvm()
{
	other_kvm ./ -base.ko
}

patched_kvm()
{
	other_kvm /lib/modules/ .ko
}

other_kvm()
{
	vendor=$(basename /sys/module/kvm_[ai]* | tr _ -)
	rmmod $vendor
	rmmod kvm
	insmod $1kvm$2
	insmod $1$vendor$2
	trace
}

# Behind a name is how many seconds it takes, a guess by which rows are spread over
# machines, the host, and what it is. The AMD emulator ends with "invalid tss type" when
# it runs 32-bit user space in a guest: intel.
row()
{
	case $1 in
	demo) # 30 patched each attack wins without pins, loses with them, on each CPU
		violations=18
		begin_without no-kvmcrpin no-kvmcrpin
		attacked unpinned won
		begin
		attacked pinned lost
		held
		;;
	boot) # 29 patched boot with 1, 2 and 4 CPUs
		pins=14
		for cpus in 1 2 4; do
			begin
		done
		note "1, 2 and 4 CPUs hold $(sed -n 's/kernel pinned //p' $g/expected)"
		;;
	hotplug) # 15 patched CPU 1 away 20 times under load
		gates=20
		begin
		ask busy
		tell 'toggle 20'
		for _ in 1 2 3 4 5; do
			held
			sleep 1
		done
		answered 120 || fail "CPU 1 did not come back"
		held
		ask idle
		pinned
		;;
	reboot) # 54 patched reboot, triple fault, panic, system_reset
		pins=10
		provokes 'Kernel panic - not syncing: sysrq triggered crash'
		begin
		reset_by tell 'reboot -f'
		again
		reset_by tell 'echo triple >/sys/kernel/reboot/type && reboot -f'
		again
		reset_by tell 'echo c >/proc/sysrq-trigger'
		again
		ask busy
		reset_by monitor system_reset
		again
		;;
	reboot-bios) # 20 patched reboot=bios
		# That leaves paging and goes to real mode, and to the BIOS.
		pins=4
		begin
		reset_by tell 'echo bios >/sys/kernel/reboot/type && reboot -f'
		again
		;;
	s3) # 16 patched suspend to RAM, twice
		# Of the machines that QEMU has, only pc wakes up with its power management
		# intact; the firmware of q35 leaves it to where the reset has put it.
		pins=6 machine=pc
		begin
		sleep_s3
		wake_s3
		sleep_s3
		wake_s3
		ask 'toggle 1'
		pinned
		;;
	hibernate) # 30 patched suspend to disk, resume by no-kvmcrpin
		pins=4
		begin
		hibernate_and_resume
		hibernate_and_resume no-kvmcrpin
		;;
	hibernate-unasked) # 40 patched image of a kernel with no-kvmcrpin: lives with pins
		begin_without no-kvmcrpin no-kvmcrpin
		hibernate
		resumed
		unasked no-kvmcrpin
		# It knows what is held by now.
		refused "kexec load base $words"
		;;
	hibernate-host) # 60 patched image from, and to, a host that does not offer pinning
		pins=4
		offered=$cpu
		cpu=${cpu%,+kvm-cr-pin}
		begin_without "not supported by the host"
		cpu=$offered
		hibernate no-kvmcrpin
		resumed
		unasked "not supported by the host" 0 0
		hibernate
		resumed
		unasked "not supported by the host"
		begin
		cpu=${cpu%,+kvm-cr-pin}
		hibernate
		resumed
		ask 'dmesg | grep "hypervisor does not hold"; works; toggle 2; works'
		[ "$(wc -l <$g/answer)" -eq 1 ] || fail "not said once: $(cat $g/answer)"
		note "$(sed 's/^\[[^]]*] //' $g/answer)"
		holds 0 0
		;;
	hibernate-base) # 26 patched image of an unpatched kernel
		kernel=base
		guest
		kernel=bzImage
		image_refused
		;;
	hibernate-lacking) # 26 patched image of a kernel that lacks a bit
		pins=4
		guest clearcpuid=smap
		pinned $((all_cr4 & ~smap))
		image_refused
		;;
	kexec) # 30 patched kexec, 3 times
		gates=3
		begin
		# Loaded on CPU 1; it is CPU 0 that starts what is loaded.
		ask 'taskset -p 2 $$'
		for _ in 1 2 3; do
			kexec
			pinned
		done
		;;
	kdump) # 43 patched panic on CPU 0, CPU 1, crash kernel
		pins=4 memory=512
		provokes 'Kernel panic - not syncing: sysrq triggered crash'
		for i in 0 1; do
			begin crashkernel=160M
			ask "kexec load-crash bzImage $words nr_cpus=1"
			tell "taskset -c $i sh -c 'echo c >/proc/sysrq-trigger'"
			booted_again
			ask report
			told_pins 1
			held
			ask 'head -c 4 /proc/vmcore | grep -q ELF'
			ask 'head -c 64k /proc/vmcore | strings | grep ^OSRELEASE='
			ask works
		done
		;;
	kexec-base) # 43 patched kexec of an unpatched kernel: only without pins
		begin
		refused "kexec load base $words"
		# To kexec-tools, that is no reason to try kexec_load().
		[ "${why#*not permitted}" != "$why" ] || fail "refused, but for another reason: $why"
		# The message about pins is gone with the others.
		ask 'toggle 1; works'
		held
		kexec
		pinned
		begin_without no-kvmcrpin no-kvmcrpin
		kexec base
		unpinned
		;;
	kexec-load) # 40 patched kexec_load(), which can't tell
		begin
		ask 'dmesg -c >/dev/null'
		ask "kexec load-old bzImage $words && kexec load-old bzImage $words"
		ask 'dmesg | grep "kexec_load() can.t tell"'
		[ "$(wc -l <$g/answer)" -eq 1 ] || fail "not one warning: $(cat $g/answer)"
		tell './kexec exec'
		again
		# Without pins, anything is good, and nothing is said.
		begin_without no-kvmcrpin no-kvmcrpin
		ask 'dmesg -c >/dev/null'
		ask "kexec load-old base $words && ! dmesg | grep 'kexec_load()'"
		tell './kexec exec'
		booted_again
		unpinned
		;;
	kexec-skew) # 60 patched kexec of kernels that preserve less, and more, than is held
		memory=512
		begin crashkernel=160M
		ask "kexec load-crash bzImage $words"
		refused "kexec load-crash less $words"
		ask 'grep 1 /sys/kernel/kexec_crash_loaded'
		refused "kexec load less $words"
		ask 'grep 0 /sys/kernel/kexec_loaded'
		kexec more
		pinned
		guest clearcpuid=umip
		pinned $((all_cr4 & ~umip))
		kexec less
		pinned
		;;
	kexec-words) # 60 patched kexec with no-kvmcrpin, nopv, clearcpuid=
		# The kernel tries to clear four bits, before it uses them after all.
		violations=4
		# Without pins, they are cleared.
		begin_without no-kvmcrpin no-kvmcrpin
		kexec bzImage no-kvmcrpin clearcpuid=smap,umip,smep nofsgsbase
		unpinned no-kvmcrpin
		lack $all_cr4
		ask 'toggle 1; works'
		lack $all_cr4
		begin
		kexec bzImage no-kvmcrpin
		pinned $all_cr4 " already, in spite of no-kvmcrpin"
		ask 'toggle 2'
		held
		kexec bzImage "clearcpuid=smap,umip,smep nofsgsbase"
		pinned
		ask 'dmesg | grep -c "stays enabled, its bit in CR4"; toggle 1'
		grep -qx 4 $g/answer || fail "not said of 4 bits: $(cat $g/answer)"
		pinned
		kexec bzImage nopv
		ask 'report | grep -v "^kernel\|^held"'
		told $cpus $all_cr0 $all_cr4 ""
		held
		ask 'works && toggle 1 && works'
		held
		kexec
		pinned
		;;
	kexec-la57) # 60 patched kexec to and from 5-level paging
		cpu=$cpu,+la57
		begin no5lvl
		la57 0
		kexec
		pinned
		la57 1
		kexec bzImage no5lvl
		pinned
		la57 0
		;;
	savevm) # 24 patched savevm and loadvm
		begin
		move
		pinned
		ask 'toggle 1'
		pinned
		;;
	savevm-hotplug) # 23 patched savevm and loadvm, 3 times while CPU 1 comes and goes
		gates=10
		begin
		ask busy
		tell 'toggle 10'
		for _ in 1 2 3; do
			sleep 1
			move
		done
		answered 120 || fail "CPU 1 did not come back"
		ask idle
		pinned
		;;
	savevm-s3) # 16 patched savevm and loadvm while suspended to RAM
		pins=4 machine=pc
		begin
		sleep_s3
		move
		wake_s3
		;;
	savevm-reboot) # 33 patched savevm and loadvm in a reboot
		pins=4
		begin
		reset_by tell 'reboot -f'
		move
		holds 0 0
		again
		move
		pinned
		;;
	savevm-kexec) # 45 patched savevm and loadvm before, during and after kexec
		begin
		ask "kexec load bzImage $words"
		move
		tell './kexec exec'
		sleep 3
		move
		again
		move
		pinned
		kexec
		pinned
		;;
	migrate) # 90 patched live migration, and back by postcopy, while busy and attacked
		begin
		ask busy
		tell 'attack_for 25'
		migrate || fail "refused: $answer"
		migrate postcopy || fail "refused: $answer"
		answered 120
		lost=$(sed -n 's/^lost //p' $g/answer)
		# All attacks once, on the last of the three QEMUs
		ask 'attack_for 0'
		once=$(sed -n 's/^lost //p' $g/answer)
		if [ $lost -lt $((2 * once)) ] || [ $((lost % once)) -ne 0 ]; then
			fail "$lost attacks were lost, and $once afterwards"
		fi
		qmp '{"execute":"query-stats","arguments":{"target":"vcpu","providers":[{"provider":"kvm","names":["cr_pin_violations"]}]}}'
		counted=$(echo "$answer" | grep -o '"cr_pin_violations", "value": [0-9]*' | awk '{ n += $3 } END { print n + 0 }')
		[ $counted -ge $once ] || fail "query-stats: $answer"
		violations=$((lost + once))
		# The message about pins is gone with the others.
		ask 'idle; toggle 1; works'
		held
		;;
	migrate-refused) # 60 patched migration to vCPUs that can't pin, or not all of it; to those that can
		begin
		for less in -kvm-cr-pin:pin-wp pin-umip=off,pin-smap=off:pin-umip,pin-smap; do
			offered=$cpu
			cpu=$cpu,${less%:*}
			! migrate || fail "not refused: $less"
			cpu=$offered
			case $answer in
			*kvm-cr-pin:*"${less#*:}"*) ;;
			*) fail "refused, but not because of ${less#*:}: $answer" ;;
			esac
			note "$(echo "$answer" | sed 's/.*\(kvm-cr-pin: [^"]*\)".*/\1/')"
			pinned
		done
		cpu=$cpu,pin-pce=off
		migrate || fail "refused: $answer"
		pinned
		;;
	migrate-kvm) # 60 patched snapshots, from a KVM that can pin to one that can't, and back
		begin
		monitor stop
		monitor 'savevm pinned'
		leave
		unpatched_kvm
		resume="-S -loadvm pinned"
		! try $disks -machine $machine -accel kvm -m $memory -smp $cpus -cpu $cpu $resume ||
			fail "restored where nothing can be pinned"
		says "host doesn't support requested feature: CPUID[eax=40000001h].EAX.kvm-cr-pin"
		says "kvm-cr-pin: the guest has pinned bits of CR0 or CR4, for which the vCPU lacks pin-"
		resume=
		qemu=
		begin_without "not supported by the host"
		monitor stop
		monitor 'savevm unpinned'
		leave
		patched_kvm
		resume="-S -loadvm unpinned"
		start
		resume=
		monitor cont
		unpinned "not supported by the host"
		reset_by monitor system_reset
		again
		;;
	loadvm) # 40 patched loadvm in place, of more pins and of fewer
		begin
		monitor 'savevm pinned'
		reset_by monitor system_reset
		monitor stop
		monitor 'savevm reset'
		monitor 'loadvm pinned'
		held
		monitor cont
		ask works
		monitor 'loadvm reset'
		holds 0 0
		monitor cont
		again
		;;
	unplug) # 60 patched vCPU 2 unplugged and plugged, then migration, then unplugged for a reset
		cpus=3 pins=4
		begin
		unplug 2
		pinned
		plug 2
		pinned
		migrate || fail "refused: $answer"
		pinned
		unplug 2
		reset_by monitor system_reset
		again
		;;
	unplug-unpinned) # 40 patched pins of a vCPU that was unplugged are not those of others
		cpus=3 pins=3
		guest no-kvmcrpin msr.allow_writes=on
		ask 'set_msr 0x4b564d0c 0x100000'
		holds 0 $smep
		unplug 2
		reset_by monitor system_reset
		booted_again
		unpinned no-kvmcrpin
		;;
	pinned-low) # 40 patched bits pinned to 0: saved, migrated, shown
		pins=none
		guest no-kvmcrpin msr.allow_writes=on
		ask 'set_msr 0x4b564d0e 0x4'
		ask 'set_msr 0x4b564d0d 0x4'
		for i in 0 1; do
			shows $i kvm-cr-pinned-low '["pin-em", "pin-tsd"]'
			shows $i kvm-cr-pinned '[]'
		done
		move
		migrate || fail "refused: $answer"
		for i in 0 1; do
			shows $i kvm-cr-pinned-low '["pin-em", "pin-tsd"]'
		done
		ask works
		reset_by monitor system_reset
		shows 1 kvm-cr-pinned-low '[]'
		booted_again
		unpinned no-kvmcrpin
		;;
	cpu-host) # 40 patched -cpu host, also of a machine that has been released
		# Without what emulators of CPUs get wrong
		cpu=host,-xsave,-svm
		begin no5lvl
		machine=pc-q35-10.2
		begin_without "not supported by the host" no5lvl
		;;
	features) # 20 patched CPUs that QEMU refuses or complains about; others it doesn't
		pins=none
		q35="-machine q35,smm=off -accel kvm -cpu"
		try $q35 $cpu,enforce || fail "refused: $(cat $g/said)"
		quiet
		try $q35 host || fail "refused: $(cat $g/said)"
		quiet
		! try $q35 ${cpu},-smap,+pin-smap,enforce || fail "not refused"
		says "This feature depends on other features that were not requested: MSR(4B564D0Ah).pin-smap"
		! try $q35 ${cpu%,+kvm-cr-pin},+pin-wp,enforce || fail "not refused"
		says "This feature depends on other features that were not requested: MSR(4B564D09h).pin-wp"
		! try $q35 $cpu,kvm=off,enforce || fail "not refused"
		says "This feature needs KVM, and kvm=on: CPUID[eax=40000001h].EAX.kvm-cr-pin"
		! try -accel tcg -cpu $cpu,enforce || fail "not refused"
		says "This feature needs KVM, and kvm=on: CPUID[eax=40000001h].EAX.kvm-cr-pin"
		! try $q35 $cpu -smp 1,maxcpus=2 -device "qemu64-x86_64-cpu,socket-id=0,core-id=1,thread-id=0,pin-smep=off" ||
			fail "not refused"
		says "kvm-cr-pin: what can be pinned has to be the same on all vCPUs"
		try -machine q35 -accel kvm -cpu $cpu -smp 2 || fail "refused: $(cat $g/said)"
		[ "$(grep -c "kvm-cr-pin: nothing is pinned in SMM" $g/said)" -eq 1 ] ||
			fail "not one warning of SMM: $(cat $g/said)"
		try -machine q35 -accel kvm -cpu host || fail "refused: $(cat $g/said)"
		quiet
		disks='' cpus=1 cpu=qemu64
		start
		expanded '{"name":"host"}' '"kvm-cr-pin": true' '"pin-wp": true'
		expanded '{"name":"qemu64"}' '"kvm-cr-pin": false' '"pin-wp": false'
		expanded '{"name":"qemu64","props":{"kvm-cr-pin":true,"smep":true,"pin-pge":false}}' \
			'"pin-wp": true' '"pin-smep": true' '"pin-smap": false' '"pin-pge": false'
		leave
		qemu=
		;;
	narrowed) # 15 patched a guest that can't pin UMIP
		cpu=$cpu,pin-umip=off
		guest
		pinned $((all_cr4 & ~umip))
		;;
	uefi) # 100 patched UEFI: its runtime services, kexec, a reset by it
		machine=q35,smm=off memory=512 patience=150 more='-bios firmware/OVMF.fd' pins=4 gates=1
		begin
		ask 'efi 1'
		kexec
		pinned
		ask 'efi 2'
		reset_by tell 'echo efi >/sys/kernel/reboot/type && reboot -f'
		again
		;;
	smm-off) # 20 patched smm=off: no SMI is taken, whoever sends it
		machine=q35,smm=off
		begin msr.allow_writes=on
		# By the x2APIC's ICR, to all CPUs, whose handlers are in ordinary memory
		ask 'set_msr 0x830 0x80200'
		pinned
		ask 'toggle 1'
		pinned
		;;
	irqchip) # 25 patched kernel-irqchip=split, with off there is no APIC any more
		machine=q35,kernel-irqchip=split
		begin
		ask 'toggle 2'
		pinned
		! try -machine q35,kernel-irqchip=off -accel kvm -cpu $cpu -smp 2 || fail "not refused"
		says "KVM does not support userspace APIC"
		;;
	microvm) # 20 patched microvm, which has no port to talk through
		machine=microvm disks=
		start
		for i in 0 1; do
			until
				get $i kvm-cr-pinned
				[ "$value" != '[]' ]
			do
				sleep 1
			done
		done
		sleep 5
		held
		leave
		qemu=
		;;
	no-pins) # 12 patched no-kvmcrpin
		pins=none
		begin_without no-kvmcrpin no-kvmcrpin
		;;
	not-offered) # 8 patched QEMU does not offer pinning
		pins=none cpu=${cpu%,+kvm-cr-pin}
		begin_without "not supported by the host"
		;;
	base-host) # 11 base unpatched host
		pins=none
		begin_without "not supported by the host"
		;;
	base-guest) # 14 patched unpatched guest
		pins=none kernel=base
		begin_without ""
		;;
	base-boots) # 60 base 10 unpatched guests, unpatched host
		# Their hangs are the measure for those of the other rows' guests.
		pins=none kernel=base
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			guest
		done
		unpinned
		;;
	words) # 71 patched nokaslr, clearcpuid= of SMAP, UMIP and SMEP, nofsgsbase
		guest_with nokaslr
		guest_with clearcpuid=smap $((all_cr4 & ~smap))
		guest_with clearcpuid=umip $((all_cr4 & ~umip))
		guest_with clearcpuid=smep $((all_cr4 & ~smep))
		guest_with nofsgsbase $((all_cr4 & ~fsgsbase))
		;;
	la57) # 19 patched 5-level paging, no5lvl
		cpu=$cpu,+la57
		for i in 1 0; do
			begin "$([ $i -eq 1 ] || echo no5lvl)"
			ask 'toggle 1'
			pinned
			la57 $i
		done
		;;
	i386) # 130 intel 32-bit guests with 2 and 4 CPUs, which pin nothing
		# Its init has no shell.
		pins=none kernel=bzImage32 initrd=guest32.cpio
		for cpus in 2 4; do
			guest cpus=$cpus
			listen 60
			[ "$(grep -c works $g/answer)" -eq $cpus ] || fail "of $cpus CPUs: $(cat $g/answer)"
			ended
			qemu=
		done
		;;
	lkdtm) # 22 patched LKDTM clears SMEP: put back without pins, #GP with them
		violations=1
		# To oops is how it ends.
		words=$(echo "$words" | sed 's/oops=panic//')
		provokes native_write_cr
		provokes 'general protection fault'
		begin_without no-kvmcrpin no-kvmcrpin
		lkdtm_smep 'ok: SMEP did not get cleared' 'ok: SMEP removal was reverted' \
			'pinned CR4 bits changed'
		ask works
		holds 0 0
		begin
		lkdtm_smep 'ok: SMEP did not get cleared' 'pinned CR4 bits changed' \
			'trying to clear SMEP with call gadget' 'general protection fault'
		[ "$(grep -c 'pinned CR4 bits changed' $g/answer)" -eq 1 ] || fail "not one warning"
		! grep -q 'SMEP removal was reverted\|FAIL' $g/answer || fail "SMEP was gone"
		# The same by accident, to CR0
		ask 'dmesg -c >/dev/null; insmod attack.ko accident=1; dmesg | grep -c "CR0 WP bit went missing"'
		held
		ask works
		;;
	cet) # 70 intel IBT, which KVM was made to offer: CPU hotplug, kexec, hotplug
		# Bochs has IBT, but KVM would not offer it there: cet.ko claims what KVM looks
		# at, see lab/guest/modules/cet.c. That costs two warnings: there is nothing in
		# CPUID to tell guests of, and in the FPU's state no place for what INIT resets.
		# QEMU has no names for CET in CPUID, "host" passes what KVM offers. This has to
		# be the last row of its host, from which cet.ko can't go.
		provokes __do_cpuid_func
		provokes fpstate_clear_xstate_component
		dmesg -n 1
		rmmod kvm-intel
		rmmod kvm
		insmod cet.ko
		insmod /lib/modules/kvm.ko
		insmod /lib/modules/kvm-intel.ko
		trace
		memory=512 cpu=host,migratable=off,-vmx
		guest
		life_with_cet
		kexec
		life_with_cet
		;;
	esac
}
