#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# See that every commit of build/linux builds, and the last one in every way, as TAP:
#
#	commits.sh [alone] [each] [tip] [sparse] [docs]
#
# alone		series that don't say that they go "on top of" others apply to the base
# each		each commit, with W=1 and warnings as errors; KVM's selftests if it
#		changes them
# tip		the last one with clang, for i386, without what can be left out, and the
#		directories that it touches as allmodconfig has them
# sparse, docs	on the base and on the last one: there are no new warnings

set -eu

# shellcheck source=lab/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=lab/tap.sh
. lab/tap.sh

[ $# -gt 0 ] || set -- alone each tip sparse docs
DEV=1 lab/packages.sh check
need_space build 8000 "building the commits"
linux=build/linux
tree=build/commits
log=build/log/commits
base=$(base_of $linux)
tip=$(g -C $linux rev-parse HEAD)
mkdir -p $log
g -C $linux worktree prune
[ -e $tree ] || g -C $linux worktree add --quiet --detach "$PWD/$tree" "$base"

checkout()
{
	g -C $tree checkout --quiet --force --detach "$1"
}

# dirs_of REGEX: of files that the series touch
dirs_of()
{
	g -C $linux diff --name-only --diff-filter=d "$base" "$tip" | grep -E "$1" |
		grep -vE '/boot/|/realmode/' | sed 's,[^/]*$,,' | sort -u
}

# kbuild OUT ARGUMENT...
kbuild()
{
	out=$1
	shift
	make -s -C $tree O="out-$out" -j"$(nproc)" "CC=ccache gcc" "HOSTCC=ccache gcc" \
		LOCALVERSION= KBUILD_BUILD_VERSION=1 KBUILD_BUILD_USER=lab \
		KBUILD_BUILD_HOST=lab KBUILD_BUILD_TIMESTAMP=1970-01-01 "$@" >$log/last 2>&1 || {
		cp $log/last "$log/$out"
		grep -aE -m 10 'error|warning|\*\*\*' $log/last
		return 1
	}
}

# variant OUT "OFF..." ARGUMENT...: what is configured for the lab and here, but for OFF
variant()
{
	out=$1 off=$2
	shift 2
	fragment=$PWD/$tree/out-$out/fragment
	mkdir -p "${fragment%/*}"
	cat lab/kernel.config lab/commits.config |
		grep -vE "^CONFIG_($(echo "$off" | tr ' ' '|'))=" >"$fragment"
	kbuild "$out" "$@" "KCONFIG_ALLCONFIG=$fragment" allnoconfig
	# What only the patches have is not there yet in the earlier ones.
	[ "$out $off" != "tip NOTHING" ] ||
		! grep ^CONFIG_ "$fragment" | grep -vxF -f "$tree/out-$out/.config"
	kbuild "$out" "$@" bzImage modules
}

# one COMMIT: what it changes decides what has to be built
one()
{
	checkout "$1"
	changed=$(g -C $linux diff --name-only "$1^" "$1")
	if echo "$changed" | grep -qvE '^(Documentation|tools)/|^MAINTAINERS$'; then
		variant each NOTHING W=1
	fi
	if echo "$changed" | grep -q '^tools/testing/selftests/kvm/'; then
		mkdir -p $tree/out-each/kvm
		kbuild each headers
		kbuild each -C tools/testing/selftests/kvm O= ARCH=x86 EXTRA_CFLAGS=-Werror \
			OUTPUT="$PWD/$tree/out-each/kvm" \
			KHDR_INCLUDES="-isystem $PWD/$tree/out-each/usr/include"
	fi
}

sparse()
{
	variant sparse NOTHING
	# shellcheck disable=SC2046 # a list
	kbuild sparse C=2 CHECK=sparse $(dirs_of '^(arch|kernel|virt)/.*\.c$')
}

docs()
{
	# The first python3 in PATH may be anything, Debian's is known to do.
	PATH=/usr/bin:$PATH kbuild docs htmldocs SPHINXDIRS="$(dirs_of '^Documentation/.*\.rst$' |
		sed 's,^Documentation/,,; s,/$,,' | paste -s -d ' ')"
}

# news PART: the warnings that the base lacks, wherever their lines are now
news()
{
	for commit in "$base" "$tip"; do
		checkout "$commit"
		"$1"
		grep -aiE 'warning|error:' $log/last | sed 's/:[0-9][0-9:]*:/:/' | sort >"$log/$commit" || :
	done
	comm -13 "$log/$base" "$log/$tip"
}

for part; do
	case $part in
	alone)
		checkout "$base"
		for series in $(series_of patches/linux); do
			grep -qsi 'on top of' "$series/0000-cover-letter.patch" ||
				t "$series applies to the base" eval \
				'patches_in "$series" | xargs cat | g -C $tree apply --check'
		done
		;;
	each)
		checkout "$base"
		t "the base" variant each NOTHING W=1
		for commit in $(g -C $linux rev-list --reverse "$base..$tip"); do
			t "$(g -C $linux log -1 --format='%h %s' "$commit")" one "$commit"
		done
		;;
	tip)
		checkout "$tip"
		t "all" variant tip NOTHING
		t "clang" variant clang NOTHING LLVM=-19 "CC=ccache clang-19" HOSTCC=gcc
		t "i386" variant i386 64BIT ARCH=i386
		for off in KVM_SMM KVM_GUEST KVM_XEN KVM_HYPERV "KEXEC KEXEC_FILE CRASH_DUMP"; do
			t "without $off" variant tip "$off"
		done
		t "allmodconfig" kbuild mod allmodconfig
		# shellcheck disable=SC2046 # a list
		t "what is touched" kbuild mod $(dirs_of '^(arch|kernel|virt)/.*\.[cS]$')
		;;
	sparse|docs) t "$part has nothing new to say" news "$part" ;;
	*) die "there is no $part" ;;
	esac
done
echo "1..$tests"
