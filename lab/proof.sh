#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Prove what lab/proof/theorems says of KVM's code in build/linux, as TAP:
#
#	proof.sh [FUNCTION...]
#	proof.sh --mutate [NAME...]
#
# The second form breaks one line of a copy after the other, as lab/proof/mutations says,
# and sees that the proof fails.

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=lab/tap.sh
. lab/tap.sh

here=lab/proof
out=build/proof
# Seconds for one theorem, one vendor, one mode
limit=600
need gcc spatch
[ -e build/linux/arch/x86/kvm/cr_pin.c ] || die "build/linux has no KVM that pins: run \"make tree\""
rm -rf $out
mkdir -p $out

# CBMC as Debian 13 has it, with the libraries that it wants
cbmc=build/cbmc
deb=$(lab/fetch.sh cbmc)
if [ "$(cat "$cbmc/from" 2>/dev/null)" != "$deb" ]; then
	rm -rf "$cbmc"
	mkdir -p "$cbmc"
	for package in cbmc libc6 libgcc-s1 libstdc++6 minisat zlib1g; do
		dpkg-deb -x "$(find "$DL" -name "${package}_*.deb" | sort -V | tail -n 1)" "$cbmc" ||
			die "cannot unpack $package: remove $deb, it will be fetched again"
	done
	echo "$deb" >"$cbmc/from"
fi

# sources TREE OUT: what is to be compiled, of KVM and of ours
sources()
{
	kvm=$1/arch/x86/kvm
	mkdir -p "$2/linux" "$2/asm"
	cp "$kvm/cr_pin.c" "$kvm/cr_pin.h" "$kvm/regs.h" "$kvm/smm.h" $here/*.c "$2"
	cp "$1/arch/x86/include/asm/kvm_cr_pin.h" "$2/asm"
	cp $here/shim.h "$2/linux/kvm_host.h"
	for file in cpuid.h msrs.h trace.h linux/types.h linux/mem_encrypt.h linux/build_bug.h; do
		: >"$2/$file"
	done
	# A "?" is in front of what need not be there.
	while read -r file function only; do
		case $file in
		''|'#'*) continue ;;
		esac
		awk -v name="$function" -v only="$only" -f $here/take.awk "$kvm/${file#\?}" ||
			[ "${file#\?}" != "$file" ] || die "$kvm/$file has no $function any more that lab/proof/taken describes"
	done <$here/taken >"$2/taken.h"
}

# rows: FUNCTION VENDOR MODES WHAT of the functions asked for
rows()
{
	awk -F '\t' -v asked=" $* " '
		/^#/ || !NF || (asked !~ /^ *$/ && !index(asked, " " $1 " ")) { next }
		{ for (i = 1; i <= length($2); i++) print $1 "\t" substr($2, i, 1) "\t" $3 "\t" $4 }
	' $here/theorems
}

# prove SOURCES FUNCTION VENDOR MODES: say nothing, or what is wrong
prove()
{
	vmx=1
	[ "$3" != a ] || vmx=0
	mask=
	! grep -q cr0_pin_mask "$1/cr_pin.c" || mask=-DPIN_MASK
	for mode in $(echo "$4" | sed 's/./& /g'); do
		log=$1/$2.$3.$mode
		result=0
		# shellcheck disable=SC2086 # nothing if empty
		setpriv --pdeathsig TERM timeout $limit "$cbmc/usr/lib64/ld-linux-x86-64.so.2" \
			--library-path "$cbmc/usr/lib/x86_64-linux-gnu:$cbmc/usr/lib" \
			"$cbmc/usr/bin/cbmc" "$1/predicate.c" --function "$2" --drop-unused-functions \
			--no-standard-checks --unwind 17 --unwinding-assertions --trace --trace-hex \
			-DVMX=$vmx -DMODE="$mode" $mask -DCONFIG_X86_64 -DCONFIG_KVM_SMM=1 \
			-DCONFIG_KVM_PROVE_CR_PIN=1 -I "$1" -I build/linux/arch/x86/include/uapi \
			-I build/linux/arch/x86/include -I build/linux/include/uapi >"$log" 2>&1 || result=$?
		case $result in
		0) continue ;;
		10)
			echo "fails when it starts in mode $mode, see all of $log:"
			sed -n 's/^\[.*\] line [0-9]* \(.*\): FAILURE$/  \1/p; s/^  \(\(before\|after\)_[a-z0-9_]*=\).*(\(0x.*\))/    \1\3/p' "$log" |
				awk '!seen[$0]++' | head -n 60
			;;
		124) echo "has no result after $limit s" ;;
		*) grep -v '^CBMC\|^Type' "$log" | tail -n 5; echo "is no theorem, see $log" ;;
		esac
		return
	done
}

# all SOURCES [FUNCTION...]: as many at a time as there are processors
all()
{
	compiled=$1
	shift
	rows "$@" >$out/rows
	[ -s $out/rows ] || die "none of that is in lab/proof/theorems: $*"
	jobs=0 pids=
	# shellcheck disable=SC2016 # when it is called
	on_exit 'kill $pids 2>/dev/null || :'
	while read -r function vendor modes _; do
		prove "$compiled" "$function" "$vendor" "$modes" >"$compiled/$function.$vendor.said" &
		pids="$pids $!"
		jobs=$((jobs + 1))
		[ $((jobs % $(nproc))) -ne 0 ] || wait
	done <$out/rows
	wait
	pids=
}

# named TABLE: what is found, on stdin, and what lab/proof/TABLE has are the same
named()
{
	sort >$out/found
	sed '/^#/d; /^$/d; s/\t.*//' "$here/$1" | sort | diff - $out/found |
		sed -n "s|^<|$here/$1 has this, the tree not:|p; s|^>|$here/$1 lacks this writer:|p"
}

# FILE FUNCTION WRITES, as writers.cocci matches them: it shows lines as if they went away.
kvm_writers()
{
	kvm=build/linux/arch/x86/kvm
	if ! spatch --very-quiet --no-includes --sp-file $here/writers.cocci --dir $kvm >$out/matches 2>$out/log; then
		tail -n 3 $out/log
		return
	fi
	awk '/^--- / { file = $2 } /^@@/ { n = -$2; next } /^-[^-]/ { print file, n } /^[- ]/ { n++ }' $out/matches |
	while read -r file n; do
		echo "${file#"$kvm/"} $(awk -v n="$n" 'NR > n { exit }
			/^[a-z].*\(/ && !/;$/ { name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
			END { print name }' "$file")"
	done | sort | uniq -c | awk '{ print $2, $3, $1 }' | named kvm-writers
}

# FILE WRITES, in C and in assembly
guest_writers()
{
	(cd build/linux/arch/x86 && find . -name '*.[chS]' ! -path './kvm/*' ! -path './tools/*' -print0 | xargs -0 awk '
		FNR == 1 && n { print file, n }
		FNR == 1 { file = substr(FILENAME, 3); n = 0 }
		/^[ \t]+\*|^[^ \t].*[);{]$|^#/ && !/^[0-9]:/ { next }
		{ sub(/\/\*.*/, "") }
		/(mov[lq]?|lmsw|clts)[^;,]*,[ \t]*%+cr[04]([^0-9]|$)|(^|[ \t])(lmsw|clts)([ \t]|$)/ ||
		/[^a-z_](native_write_cr[04]|write_cr[04]|__write_cr4|cr4_(set|clear)_bits[a-z_]*|cr4_init|cr4_update_irqsoff)\(/ { n++ }
		END { if (n) print file, n }') | named guest-writers
}

who()
{
	case $1 in
	i) echo ", Intel" ;;
	a) echo ", AMD" ;;
	esac
}

if [ "${1-}" != --mutate ]; then
	sources build/linux $out/src
	all $out/src "$@"
	if [ $# -eq 0 ]; then
		t "who writes CR0 or CR4 in KVM is in $here/kvm-writers" kvm_writers
		t "who does in a guest is in $here/guest-writers" guest_writers
	fi
	while IFS='	' read -r function vendor _ what; do
		t "$what$(who "$vendor") ($function)" cat "$out/src/$function.$vendor.said"
	done <$out/rows
	echo "1..$tests"
	exit
fi

shift
killed()
{
	sources=$1
	shift
	for function; do
		grep -q "^fails when" "$sources/$function".*.said || {
			echo "$function holds without it"
			cat "$sources/$function".*.said
		}
	done
}
while read -r name functions; do
	case $name in
	''|'#'*) continue ;;
	esac
	[ $# -eq 0 ] || case " $* " in
	*" $name "*) ;;
	*) continue ;;
	esac
	diff=lab/mutations/$name.diff
	[ -r "$diff" ] || diff=$here/$name.diff
	dir=$out/$name
	mkdir -p "$dir/linux/arch/x86/include/asm" "$dir/src"
	g -C "$dir/linux" init --quiet --template=
	cp -r build/linux/arch/x86/kvm "$dir/linux/arch/x86"
	cp build/linux/arch/x86/include/asm/kvm_cr_pin.h "$dir/linux/arch/x86/include/asm"
	if ! g -C "$dir/linux" apply --recount "$PWD/$diff" 2>"$dir/log"; then
		t "$name applies" cat "$dir/log"
		continue
	fi
	sources "$dir/linux" "$dir/src"
	# shellcheck disable=SC2086 # a list
	all "$dir/src" $functions
	# shellcheck disable=SC2086
	t "$(sed -n '1s/^# //p' "$diff"): noticed by $functions ($name)" killed "$dir/src" $functions
	rm -rf "$dir/linux"
done <$here/mutations
echo "1..$tests"
