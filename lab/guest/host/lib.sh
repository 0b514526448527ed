# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash disable=SC2086,SC3045,SC2015,SC2034 # $g has no spaces, busybox has read -t
#
# What rows.sh is written with. A row has one guest at a time, which does what it is
# told through its second serial port. What does not go as it should ends the row.

# Of which all files of a row are
g=/tmp/guest
tracing=/sys/kernel/tracing

# Seconds that one QEMU may take
limit=300

# What a guest has to pin: CR0 WP, PE and PG, CR4 SMEP, SMAP, UMIP and FSGSBASE
all_cr0=0x80010001
all_cr4=0x310800
cpu=qemu64,-svm,+smep,+smap,+umip,+fsgsbase,+x2apic

# Timers are periodic: emulators lose an interrupt now and then, and a timer that
# has to be started anew for each would have ended with it.
words="console=ttyS0 panic=-1 nohz=off highres=off"

fail()
{
	echo "$*" >$g/why
	echo "FAILED: $*"
	exit 1
}

# lost WHAT: fail, but by no answer at all, which may be the emulator's fault
lost()
{
	touch $g/lost
	fail "$@"
}

# note WHAT: for the table, if all goes well
note()
{
	echo "$*" >>$g/notes
}

# lines FROM: whole ones, whoever writes there. Those of the guest end in \n, those of
# QEMU in \r\n.
lines()
{
	while IFS= read -r relayed; do
		echo "${relayed%"$cr"}"
	done <"$1"
}
cr=$(printf '\r')

# open_pipes: to and from the guest (3 is the results), and to and from the monitor.
# They are kept while one QEMU takes over from another.
open_pipes()
{
	for pipe in port qmp; do
		mkfifo $g/$pipe.in $g/$pipe.out $g/$pipe.lines
	done
	# Without the descriptors below, that they end when QEMU and the row do
	lines $g/port.out >$g/port.lines 3>&- &
	lines $g/qmp.out >$g/qmp.lines 3>&- &
	exec 4<>$g/port.in 5<>$g/port.lines 6<>$g/qmp.in 7<>$g/qmp.lines \
		8<>$g/port.out 9<>$g/qmp.out
}

# start [-c CPUS] [-f FEATURES] [-k KERNEL] [-i INITRD] [-m MB] [-M MACHINE] [WORD...]: QEMU
more=
start()
{
	started=$*
	cpus=2 features='' kernel=bzImage initrd=guest.cpio memory=256 machine=q35
	OPTIND=1
	while getopts c:f:k:i:m:M: opt; do
		case $opt in
		c) cpus=$OPTARG ;;
		f) features=$OPTARG ;;
		k) kernel=$OPTARG ;;
		i) initrd=$OPTARG ;;
		m) memory=$OPTARG ;;
		M) machine=$OPTARG ;;
		*) fail "start: -$opt" ;;
		esac
	done
	shift $((OPTIND - 1))
	[ -e $g/port.in ] || open_pipes
	[ -e $g/disk ] || cp disk.qcow2 $g/disk
	events=
	echo "start: $cpus CPUs, $kernel, $features $more $*"
	# shellcheck disable=SC2086 # a list
	timeout -s KILL $limit ./qemu-system-x86_64 -L firmware \
		-nodefaults -no-user-config -display none \
		-machine $machine -accel kvm -m $memory -smp "$cpus" -cpu "$cpu$features" \
		-chardev "file,id=console,path=$g/console,append=on" -serial chardev:console \
		-chardev pipe,id=port,path=$g/port -serial chardev:port \
		-chardev pipe,id=qmp,path=$g/qmp -mon chardev=qmp,mode=control \
		-drive file=files.tar,format=raw,if=virtio,readonly=on \
		-drive file=$g/disk,format=qcow2,if=virtio,cache=unsafe \
		-kernel "$kernel" -initrd "$initrd" -append "$words $*" $more \
		3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
	qemu=$!
	echo $qemu >$g/pid
	qmp '{"execute":"qmp_capabilities"}'
}

# boot [OPTION...] [WORD...]: start QEMU and wait for Linux. In emulated hosts, guests
# with several CPUs hang now and then when their first program starts, with or without
# the patches; that is not what a row is about. Try again, twice.
boot()
{
	for try in 1 2 3; do
		start "$@"
		may_hang=y
		[ $try -lt 3 ] || may_hang=
		if booted; then
			may_hang=
			return
		fi
		monitor 'info registers -a'
		grep -o 'CPU#[0-9]*\|RIP=[0-9a-f]*\|RFL=[^ ]*\|HLT=.' $g/monitor | paste -s -d ' '
		note "hung in boot"
		kill -KILL "$qemu"
		wait "$qemu" || :
	done
}
may_hang=

# next_line SECONDS: of the guest, in $line. If it is quiet for long, its port may have
# lost an interrupt and wait for it to send more. An empty line makes another one.
next_line()
{
	left=$1
	# What an empty line is answered with, before the port is raw, is one.
	line=
	until read -r -t 1 line <&5 && [ -n "$line" ]; do
		kill -0 "$qemu" 2>/dev/null || fail "QEMU ended while waiting for the guest"
		left=$((left - 1))
		[ $((left % 5)) -ne 0 ] || echo >&4
		[ $left -gt 0 ] || [ -z "$may_hang" ] || return 1
		[ $left -gt 0 ] || lost "no answer in $1 s${asked:+ to: $asked}"
	done
	echo "guest: $line"
}

# booted: wait until a kernel, another one than before, asks for work
booted()
{
	asked="boot"
	next_line 45 || return
	case $line in
	booted\ ?*) ;;
	*) fail "not booted, but: $line" ;;
	esac
	[ "${line#booted }" != "${id-}" ] || fail "booted, but the kernel is the same"
	id=${line#booted }
}

# tell COMMAND: don't expect an answer
tell()
{
	asked=$1
	echo "host: $1"
	echo "$1" >&4
}

# try COMMAND [SECONDS]: what it prints is in $g/answer, its status is returned
try()
{
	tell "$1"
	answered "${2:-60}"
}

# answered SECONDS: to a command
answered()
{
	: >$g/answer
	while next_line "$1"; do
		case $line in
		done\ *) return "${line#done }" ;;
		booted\ *) fail "rebooted when told: $asked" ;;
		*) echo "$line" >>$g/answer ;;
		esac
	done
}

# ask COMMAND [SECONDS]: it has to succeed
ask()
{
	try "$@" || fail "$1: $line: $(tr '\n' ' ' <$g/answer)"
}

# qmp COMMAND: the answer is in $answer. Events are remembered.
qmp()
{
	echo "$1" >&6
	while qmp_line 60; do
		case $answer in
		*'"return":'*) return ;;
		*'"error":'*) fail "QEMU: $1: $answer" ;;
		esac
	done
}

qmp_line()
{
	left=$1
	until read -r -t 1 answer <&7; do
		kill -0 "$qemu" 2>/dev/null || fail "QEMU ended"
		left=$((left - 1))
		[ $left -gt 0 ] || lost "nothing from QEMU's monitor in $1 s"
	done
	case $answer in
	*'"event":'*)
		event=${answer#*\"event\": \"}
		event=${event%%\"*}
		echo "$(cut -d' ' -f1 /proc/uptime) QEMU: $event"
		events="$events $event "
		[ "$event" != RESET ] || was_reset
		;;
	esac
}

# await_event NAME [SECONDS]: of QEMU, since the last one that was awaited
await_event()
{
	until [ "$events" != "${events#* "$1" }" ]; do
		qmp_line "${2:-60}"
	done
	events=${events#* "$1" }
}

# monitor COMMAND: what it prints is in $g/monitor
monitor()
{
	qmp '{"execute":"human-monitor-command","arguments":{"command-line":"'"$1"'"}}'
	printf '%s\n' "$answer" | sed 's/^{"return": "//; s/"}$//; s/"[,}].*//; s/\\r\\n/\n/g' >$g/monitor
}

# registers: of all vCPUs, a line for each in $g/registers: N CR0 CR4 PINNED0 PINNED4
registers()
{
	monitor "info registers -a"
	awk '/^CPU#/ { if (n++) print line; sub(/^CPU#/, ""); line = $1; pins = "" }
	     /^CR0=/ { sub(/CR0=/, "0x", $1); sub(/CR4=/, "0x", $4); line = line " " $1 " " $4 }
	     /^PINNED:/ {
		sub(/CR0=/, "0x", $2)
		sub(/CR4=/, "0x", $3)
		line = line " " $2 " " $3
		if ($4 !~ /=0+$/ || $5 !~ /=0+$/)
			line = line " LOW"
	     }
	     END { if (n) print line }' $g/monitor >$g/registers
	count=$(wc -l <$g/registers)
	[ "$count" -eq "$cpus" ] || fail "QEMU shows $count CPUs, not $cpus"
}

# held [CR4]: QEMU shows that each vCPU holds what it has to, and is within paging
# with these bits set. With -p: is it as far as pins go, wherever it may be.
held()
{
	pins_only=
	if [ "${1-}" = -p ]; then
		pins_only=y
		shift
	fi
	want4=$((${1:-$all_cr4}))
	registers
	while read -r n cr0 cr4 pin0 pin4 low; do
		[ -n "$pin4" ] || fail "vCPU $n holds no pins: $n $cr0 $cr4"
		if [ $((pin0)) -ne $((all_cr0)) ] || [ $((pin4)) -ne $want4 ] || [ -n "$low" ]; then
			fail "vCPU $n holds CR0 $pin0, CR4 $pin4, $low"
		fi
		if [ -z "$pins_only" ] &&
		   { [ $((cr0 & pin0)) -ne $((pin0)) ] || [ $((cr4 & pin4)) -ne $((pin4)) ]; }; then
			fail "vCPU $n lacks what it holds: CR0 $cr0, CR4 $cr4"
		fi
	done <$g/registers
}

# free: QEMU shows no pin on any vCPU
free()
{
	registers
	while read -r n cr0 cr4 pin0 pin4 low; do
		[ -z "$pin0" ] || fail "vCPU $n holds pins: CR0 $pin0 CR4 $pin4 $low, and has CR0 $cr0 CR4 $cr4"
	done <$g/registers
}

# says WHAT: the guest's kernel says exactly this about pins, once
says()
{
	ask report
	[ "$(grep -c '^kernel ' $g/answer)" -eq 1 ] && grep -qxF "kernel $1" $g/answer ||
		fail "the kernel does not say once \"$1\", but \"$(grep '^kernel ' $g/answer)\""
}

# online CPUS: as the guest sees it, and report has MSRs of each
online()
{
	[ "$(sed -n 's/^online //p' $g/answer)" = "$([ "$1" -eq 1 ] || echo 0-)$(($1 - 1))" ] ||
		fail "of $1 CPUs $(grep '^online' $g/answer)"
	[ "$(grep -c '^msr ' $g/answer)" -eq "$1" ] || fail "not $1 CPUs have MSRs"
}

# pinned [CR4 [WORDS]]: by what the kernel says, what it reads, and what QEMU shows, all CPUs
# are online, hold their pins and work
pinned()
{
	cr4=${1:-$all_cr4}
	says "pinned CR0 bits $all_cr0, CR4 bits $cr4${2-}"
	online "$cpus"
	[ "$(grep -c "^msr [0-9]* $all_cr0 $cr4\$" $g/answer)" -eq "$cpus" ] ||
		fail "other MSRs than CR0 $all_cr0, CR4 $cr4: $(grep ^msr $g/answer)"
	held "$cr4"
	ask works
}

# unpinned REASON: likewise that nothing is
unpinned()
{
	says "no pinned CR0 and CR4 bits: $1"
	online "$cpus"
	free
	ask works
}

# A reset lets go of pins, see gap.awk. There may be more of them than one, SeaBIOS
# makes another one when it is entered again. They are over long before Linux runs.
was_reset()
{
	echo reset >$tracing/trace_marker
}

# drain: what has happened so far is not to be awaited
drain()
{
	qmp '{"execute":"query-status"}'
	events=
}

# reset: wait for one, and see that nothing is pinned afterwards. The firmware alone
# takes longer than that.
reset()
{
	await_event RESET 60
	free
}

# finish: the guest has to come to a good end
finish()
{
	[ "$unpatched_host" = y ] || {
		count=$(cat /sys/kernel/debug/kvm/cr_pin_violations)
		[ "$count" = "${1:-0}" ] || fail "KVM counts $count violations"
	}
	tell exit
	next_line 20
	[ "$line" = "exit 0" ] || fail "not \"exit 0\", but: $line"
	ended
}

# ended: QEMU, by itself
ended()
{
	left=40
	while kill -0 "$qemu" 2>/dev/null; do
		left=$((left - 1))
		[ $left -gt 0 ] || lost "QEMU does not end"
		sleep 0.5
	done
	status=0
	wait "$qemu" || status=$?
	[ $status -eq 0 ] || fail "QEMU ended with status $status"
}

# quit: QEMU, whatever the guest does
quit()
{
	qmp '{"execute":"quit"}'
	ended
}

# move: to another QEMU, which has the same pins and registers
move()
{
	monitor stop
	registers
	cp $g/registers $g/registers.saved
	monitor 'savevm here'
	! grep -q '[a-z]' $g/monitor || fail "savevm: $(cat $g/monitor)"
	quit
	more="-S -loadvm here"
	# shellcheck disable=SC2086 # a list
	start $started
	more=
	registers
	cmp -s $g/registers $g/registers.saved ||
		fail "restored vCPUs have $(tr '\n' ',' <$g/registers) and had $(tr '\n' ',' <$g/registers.saved)"
	# The threads of the vCPUs are others, gap.awk has to know what it is with them.
	monitor 'info cpus'
	sed -n 's/.*CPU #\([0-9]*\): thread_id=\([0-9]*\).*/\1 \2/p' $g/monitor >$g/threads
	while read -r n cr0 cr4 pin0 pin4 low; do
		thread=$(sed -n "s/^$n //p" $g/threads)
		echo "restored $thread $cr0 $cr4 ${pin0:-0} ${pin4:-0} $low" >$tracing/trace_marker
	done <$g/registers
	monitor cont
}
