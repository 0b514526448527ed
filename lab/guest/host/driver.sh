# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=dash disable=SC2086,SC2034 # $g has no spaces
#
# Linux guests, one at a time, for whoever sources this in a host, with qemu-system-x86_64,
# firmware, bzImage and guest.cpio beside it, and an empty directory $g. A guest whose job
# is lab/guest/guest/run does what it is told:
#
#	cpus=4; boot no5lvl; ask 'uname -r'; cat $g/answer; move; tell exit; ended
#
# and to one with a job of its own, as those of lab/bench, one listens:
#
#	cpus=1 disks=; start quiet; listen 60; ended; cat $g/answer
#
# What does not go as it should ends the process and is said in $g/why. All that guests
# print is in $g/console. QEMU, $g/*.pid, may still be there.

g=/tmp/guest
tracing=/sys/kernel/tracing

# How QEMU is started
cpus=2 memory=256 machine=q35 kernel=bzImage initrd=guest.cpio more='' resume='' qemu=''
# How many seconds a guest may take to boot
patience=45
cpu=qemu64,-svm,+smep,+smap,+umip,+fsgsbase,+x2apic,+kvm-cr-pin
disks="-drive file=files.tar,format=raw,if=virtio,readonly=on
	-drive file=$g/disk,format=qcow2,if=virtio,cache=unsafe"

# Timers are periodic: emulators lose an interrupt now and then, and a timer that has to
# be started anew for each would have ended with it.
words="console=ttyS0 oops=panic panic=-1 nohz=off highres=off"

fail()
{
	echo "$*" >$g/why
	echo "FAILED: $*"
	exit 1
}

# lines FROM: whole ones, whoever writes there. Those of the guest end in \n, those of
# QEMU in \r\n.
lines()
{
	while IFS= read -r relayed; do
		echo "${relayed%"$cr"}"
	done <>"$1"
}
cr=$(printf '\r')

# ticks: an empty line each second, for those who would wait for another one forever. A
# read with a time limit loses the half of a line that it has when the time is over.
ticks()
{
	while sleep 1; do
		echo
	done
}

# seconds: since the host booted, in $now
seconds()
{
	read -r now _ </proc/uptime
	now=${now%.*}
}

# open_pipes: to and from the guest (3 is the results), and to and from the monitors, of
# which there are two, for QEMU and one that takes over. All are open in both directions:
# nothing waits for the other end, or ends because of it.
open_pipes()
{
	for pipe in port qmp qmp2; do
		mkfifo $g/$pipe.in $g/$pipe.out $g/$pipe.lines
		lines $g/$pipe.out 1<>$g/$pipe.lines 3>&- &
		relays="$relays $!"
		ticks 1<>$g/$pipe.lines 3>&- &
		relays="$relays $!"
	done
	trap 'kill $relays' EXIT
	exec 4<>$g/port.in 5<>$g/port.lines
	side qmp
}
relays=

# side qmp|qmp2: the QEMU to talk to
side()
{
	side=$1
	exec 6<>$g/$1.in 7<>$g/$1.lines
	qemu=$(cat $g/$1.pid 2>/dev/null || :)
}

# start [WORD...]: QEMU, with these WORDs for the kernel
start()
{
	started=$*
	[ -e $g/port.in ] || open_pipes
	events=
	echo "start: $cpus CPUs, $kernel, $cpu $more $*"
	timeout -s KILL 300 ./qemu-system-x86_64 -L firmware \
		-nodefaults -no-user-config -display none \
		-machine $machine -accel kvm -m $memory -smp $cpus -cpu $cpu \
		-chardev "file,id=console,path=$g/console,append=on" -serial chardev:console \
		-chardev pipe,id=port,path=$g/port -serial chardev:port \
		-chardev pipe,id=qmp,path=$g/$side -mon chardev=qmp,mode=control $disks \
		-kernel $kernel -initrd $initrd -append "$words $*" $more $resume \
		3>&- 4>&- 5>&- 6>&- 7>&- &
	qemu=$!
	echo $qemu >$g/$side.pid
	qmp '{"execute":"qmp_capabilities"}'
}

# boot [WORD...]: start QEMU and wait for Linux
boot()
{
	start "$@"
	echo "$*" >>$g/boots
	booted || hung "in boot"
}

# hung WHEN: where are the CPUs, and which interrupts wait?
hung()
{
	[ "$(violations)" -ne 0 ] || touch $g/hung
	monitor 'info registers -a'
	grep -o 'CPU#[0-9]*\|RIP=[0-9a-f]*\|RFL=[^ ]*\|HLT=.' $g/monitor | paste -s -d ' '
	for n in $(seq 0 $((cpus - 1))); do
		monitor "info lapic $n"
		grep "^ISR\|^IRR" $g/monitor || :
	done
	fail "hung $*"
}

# violations: that KVM counts, with those of QEMUs that are gone
violations()
{
	echo $((gone + $(cat /sys/kernel/debug/kvm/cr_pin_violations 2>/dev/null || echo 0)))
}
gone=0

# leave: this QEMU
leave()
{
	gone=$(violations)
	qmp '{"execute":"quit"}'
	ended
}

# next_line SECONDS: of the guest, in $line, if there is one. If it is quiet for long, its
# port may have lost an interrupt and wait for it to send more. An empty line makes
# another one, and before the port is raw, an empty line is the answer.
next_line()
{
	seconds
	deadline=$((now + $1)) nudge=$((now + 5))
	while read -r line <&5 && [ -z "$line" ]; do
		kill -0 $qemu 2>/dev/null || fail "QEMU ended while waiting for the guest"
		seconds
		[ $now -lt $deadline ] || return 1
		[ $now -lt $nudge ] || {
			echo >&4
			nudge=$((now + 5))
		}
	done
	echo "guest: $line"
}

# booted: wait until a kernel, another one than before, asks for work
booted()
{
	next_line $patience || return
	case $line in
	# UEFI's firmware has cleared the screen there, without ending the line.
	*booted\ ?*) line=booted${line##*booted} ;;
	*) fail "not booted, but: $line" ;;
	esac
	[ "$line" != "${id-}" ] || fail "booted, but the kernel is the same"
	id=$line
}

# booted_again: because of what it was told
booted_again()
{
	booted || hung "after $asked"
}

# listen SECONDS: to a guest until it is done; what it says is in $g/answer
listen()
{
	: >$g/answer
	while next_line "$1"; do
		case $line in
		exit\ 0) return ;;
		exit\ *) fail "$line: $(tail -n 1 $g/answer)" ;;
		*) echo "$line" >>$g/answer ;;
		esac
	done
	hung "for $1 s"
}

# tell COMMAND: don't expect an answer
tell()
{
	asked=$1
	echo "host: $1"
	echo "$1" >&4
}

# answered SECONDS: to what the guest was told. What that printed is in $g/answer, its
# status is returned.
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
	hung "for $1 s when told: $asked"
}

# ask COMMAND [SECONDS]: it has to succeed
ask()
{
	tell "$1"
	answered "${2:-60}" || fail "$1: $line: $(tr '\n' ' ' <$g/answer)"
}

# qmp COMMAND: the answer is in $answer. Events are remembered.
qmp()
{
	echo "$1" >&6
	while qmp_line; do
		case $answer in
		*'"return":'*) return ;;
		*'"error":'*) fail "QEMU: $1: $answer" ;;
		esac
	done
}

qmp_line()
{
	seconds
	deadline=$((now + 60))
	while read -r answer <&7 && [ -z "$answer" ]; do
		kill -0 $qemu 2>/dev/null || fail "QEMU ended"
		seconds
		[ $now -lt $deadline ] || fail "nothing from QEMU's monitor in 60 s"
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

# A reset lets go of pins, see trace.awk. There may be more of them than one, SeaBIOS
# makes another one when it is entered again. They are over long before Linux runs.
was_reset()
{
	echo reset >$tracing/trace_marker
}

# await NAME: an event of QEMU since $events was emptied, or the last one that was awaited
await()
{
	until [ "$events" != "${events#* "$1" }" ]; do
		qmp_line
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
	awk '/^CPU#/ { if (n++) print line; sub(/^CPU#/, ""); line = $1 }
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
	[ "$count" -eq $cpus ] || fail "QEMU shows $count CPUs, not $cpus"
}

# ended: QEMU, by itself
ended()
{
	left=40
	while kill -0 $qemu 2>/dev/null; do
		left=$((left - 1))
		[ $left -gt 0 ] || fail "QEMU does not end"
		sleep 0.5
	done
	status=0
	wait $qemu || status=$?
	[ $status -eq 0 ] || fail "QEMU ended with status $status"
}

# move: to another QEMU, which has the same pins and registers
move()
{
	monitor stop
	registers
	cp $g/registers $g/registers.saved
	monitor 'savevm here'
	! grep -q '[a-z]' $g/monitor || fail "savevm: $(cat $g/monitor)"
	leave
	resume="-S -loadvm here"
	start $started
	resume=
	go_on
}

# go_on: the guest, if all that there was before is there
go_on()
{
	registers
	cmp -s $g/registers $g/registers.saved ||
		fail "restored vCPUs have $(tr '\n' ',' <$g/registers) and had $(tr '\n' ',' <$g/registers.saved)"
	# The threads of the vCPUs are others, trace.awk has to know what it is with them.
	monitor 'info cpus'
	sed -n 's/.*CPU #\([0-9]*\): thread_id=\([0-9]*\).*/\1 \2/p' $g/monitor >$g/threads
	while read -r n cr0 cr4 pin0 pin4 low; do
		thread=$(sed -n "s/^$n //p" $g/threads)
		echo "restored $thread $cr0 $cr4 ${pin0:-0} ${pin4:-0} $low" >$tracing/trace_marker
	done <$g/registers
	monitor cont
}

# migrate [postcopy]: while the guest runs, to another QEMU, $cpu and $more of which may be
# others. If that says no, $answer is why, and the guest goes on where it was. The host has
# no sockets.
migrate()
{
	from=$side
	[ $from = qmp ] && to=qmp2 || to=qmp
	rm -f $g/there $g/back
	mkfifo $g/there $g/back
	side $to
	resume="-S -incoming defer"
	start $started
	resume=
	ways='{"execute":"migrate-set-capabilities","arguments":{"capabilities":[
		{"capability":"return-path","state":true},
		{"capability":"postcopy-ram","state":'$([ $# -eq 0 ] && echo false || echo true)'}]}}'
	qmp "$ways"
	qmp '{"execute":"migrate-incoming","arguments":{"uri":"exec:cat '$g/there' & exec cat >'$g/back'","exit-on-error":false}}'
	side $from
	qmp "$ways"
	qmp '{"execute":"migrate-set-parameters","arguments":{"downtime-limit":5000}}'
	qmp '{"execute":"migrate","arguments":{"uri":"exec:cat '$g/back' & exec cat >'$g/there'"}}'
	[ $# -eq 0 ] || qmp '{"execute":"migrate-start-postcopy"}'
	migrated && registers && cp $g/registers $g/registers.saved && leave
	side $to
	migrated || {
		refusal=$answer
		leave
		side $from
		answer=$refusal
		return 1
	}
	go_on
}

# migrated: wait until it's over, on the side that is talked to
migrated()
{
	while sleep 1; do
		qmp '{"execute":"query-migrate"}'
		case $answer in
		*'"status": "completed"'*) return ;;
		*'"status": "failed"'*) return 1 ;;
		esac
	done
}
