# SPDX-License-Identifier: GPL-2.0-only
#
# The front door: "make help". What is built lies in build/, what is fetched and
# the compiler's cache in CACHE, which all clones share.

CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kvm-cr-pinning
export CACHE

# A kernel repository of your own to take the base from, and where it starts
LINUX ?=
REV ?= v7.3
# Replace work in build/linux and build/qemu that patches/ does not have
FORCE ?=
export LINUX REV FORCE

# Each step uses all processors, and the steps report one at a time.
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@echo 'Running things:'
	@echo '  demo          build it all, attack a guest without and one with pinning'
	@echo '  check         all tests: check-amd, check-intel, check-guest and the demo'
	@echo '  check-amd     KVM selftests on an (emulated) AMD host, compared with the base'
	@echo '  check-intel   the same on an (emulated) Intel host'
	@echo '  check-guest   Linux guests through reboot, sleep, kexec, kdump, snapshots...;'
	@echo '                ROWS="NAME...": only these, of lab/guest/rows'
	@echo '  bench         what pinning costs: exits, instructions per exit, size'
	@echo '  mutate        take out of KVM what the tests guard, see that they notice;'
	@echo '                MUTATIONS="NAME...": only these, of lab/mutations'
	@echo
	@echo 'Working on the series:'
	@echo '  tree          build/linux and build/qemu: git trees with patches/ on top;'
	@echo '                LINUX=DIR REV=REV: a worktree of your own kernel repository;'
	@echo '                FORCE=1: replace work that patches/ does not have'
	@echo '  export        write the commits of both trees back to patches/'
	@echo
	@echo 'Building parts:'
	@echo '  packages      install the Debian packages in lab/packages (as root)'
	@echo '  kernel        the patched kernel and its initramfs'
	@echo '  kernel-base   the unpatched kernel and its initramfs'
	@echo '  selftests     the KVM selftests of both trees'
	@echo '  qemu          the patched QEMU, static'
	@echo '  clean         remove what was built, keep the trees'
	@echo '  distclean     remove build/ (not the downloads in CACHE)'
	@echo
	@echo 'CACHE is $(CACHE)'

packages:
	@sh lab/packages.sh

tree: tree-linux tree-qemu
tree-linux: packages
	@lab/tree.sh linux
tree-base: tree-linux
	@lab/tree.sh linux-base
tree-qemu: packages
	@lab/tree.sh qemu

export:
	@lab/export.sh linux
	@lab/export.sh qemu

kernel: tree-linux
	@lab/kernel.sh linux
	@lab/initramfs.sh build/linux/out build/initramfs.cpio
kernel-base: tree-base
	@lab/kernel.sh linux-base
	@lab/initramfs.sh build/linux-base/out build/initramfs-base.cpio

selftests: tree-base
	@lab/selftests.sh linux
	@lab/selftests.sh linux-base

qemu: tree-qemu
	@lab/fetch.sh meson >/dev/null
	@lab/build-qemu.sh

demo: kernel qemu
	@lab/demo.sh

check: kernel kernel-base selftests qemu
	@lab/check.sh amd intel demo guest

bench: kernel kernel-base selftests qemu
	@lab/bench.sh

check-amd: kernel kernel-base selftests
	@lab/check.sh amd

check-intel: kernel kernel-base selftests
	@lab/check.sh intel

# Names in lab/guest/rows, all if empty
ROWS ?=
check-guest: kernel kernel-base qemu
	@lab/guest.sh $(ROWS)

# Names in lab/mutations, all if empty
MUTATIONS ?=
mutate: kernel selftests
	@lab/mutate.sh $(MUTATIONS)

clean:
	@lab/clean.sh
distclean:
	@lab/clean.sh all

.PHONY: help packages tree tree-linux tree-base tree-qemu export kernel \
	kernel-base selftests qemu demo check check-amd check-intel check-guest \
	bench mutate clean distclean
