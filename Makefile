# SPDX-License-Identifier: GPL-2.0-only
#
# The front door: "make help". What is built lies in build/, what is fetched and
# the compiler's cache in CACHE, which all clones share.

CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kvm-cr-pinning
# A kernel repository of your own to take the base from, and where it starts
LINUX ?=
REV ?= v7.3
# A clone of kvm-unit-tests
KUT ?=
# Replace work in the trees in build/ that patches/ does not have
FORCE ?=
# kvm: no emulation where this machine's CPU will do
ACCEL ?=
export CACHE LINUX REV KUT FORCE ACCEL

# Each step uses all processors, and the steps report one at a time.
.NOTPARALLEL:
.DEFAULT_GOAL := help

help::
	@echo 'Running things (emulated; ACCEL=kvm: as far as possible under KVM):'
	@echo '  demo          attack a guest without and one with pinning'
	@echo '  check         all tests: check-amd, check-intel and check-guest'
	@echo '  check-amd     KVM selftests on an AMD host, compared with the base'
	@echo '  check-intel   the same on an Intel host'
	@echo '  check-guest   Linux guests under attack, and through reboot, sleep, kexec,'
	@echo '                kdump, snapshots...; ROWS="NAME...": only these'
	@echo '  bench         what pinning costs: exits, instructions per exit, size'
	@echo '  fuzz          random sequences of what concerns CR0, CR4 and pins, against a model;'
	@echo '                STEPS=10000000: all night; SEED=N: others, or the same again;'
	@echo '                COVERAGE=y: and which lines of KVM have run'
	@echo '  mutate        take out of KVM, guest and QEMU what the tests guard, see that'
	@echo '                they notice; MUTATIONS="NAME...": only these, of lab/mutations'
	@echo
	@echo 'Working on the series:'
	@echo '  tree          build/linux and build/qemu: git trees with patches/ on top;'
	@echo '                LINUX=DIR REV=REV: on top of REV in a repository of your own;'
	@echo '                FORCE=1: replace work that patches/ does not have'
	@echo '  export        write the commits of the trees back to patches/'
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
	@lab/packages.sh
have-packages:
	@lab/packages.sh check

# The trees. Whether a file in one is out of date only the build systems in them know:
# these run each time, and leave what they make alone if it is what it was.
tree: tree-linux tree-qemu $(if $(KUT),tree-kvm-unit-tests)
tree-linux tree-qemu tree-kvm-unit-tests: tree-%: have-packages
	@lab/tree.sh $*
tree-base: tree-linux
	@lab/tree.sh linux-base
export:
	@lab/export.sh linux
	@lab/export.sh qemu
	@lab/export.sh kvm-unit-tests

linux := build/linux/out/arch/x86/boot/bzImage
base := build/linux-base/out/arch/x86/boot/bzImage
qemu := build/qemu-system-x86_64
$(linux): tree-linux
	@lab/kernel.sh linux
$(base): tree-base
	@lab/kernel.sh linux-base
build/initramfs.cpio: tree-linux $(linux) lab/init lab/initramfs.sh
	@lab/initramfs.sh build/linux/out $@
build/initramfs-base.cpio: tree-base $(base) lab/init lab/initramfs.sh
	@lab/initramfs.sh build/linux-base/out $@
build/selftests/linux/list: tree-linux $(linux)
	@lab/selftests.sh linux
build/selftests/linux-base/list: tree-base $(base)
	@lab/selftests.sh linux-base
$(qemu): tree-qemu
	@lab/build-qemu.sh

kernel: build/initramfs.cpio
kernel-base: build/initramfs-base.cpio
selftests: build/selftests/linux/list build/selftests/linux-base/list
qemu: $(qemu)

demo: kernel qemu
	@lab/guest.sh demo

# The results on the unpatched kernel are good until something changes there.
build/results/amd-base.tap: lab/machine-qemu.sh $(qemu)
build/results/intel-base.tap: lab/machine-bochs.sh lab/not-run.intel
build/results/%-base.tap: build/initramfs-base.cpio build/selftests/linux-base/list \
		lab/run.sh lab/selftests-run.sh lab/selftests-job.sh
	@lab/check.sh $*-base

# Names of rows of guests, all if empty
ROWS ?=
export ROWS
check: check-built build/results/amd-base.tap build/results/intel-base.tap
	@lab/check.sh amd intel guest
check-amd check-intel: check-%: check-built build/results/%-base.tap
	@lab/check.sh $*
check-guest: check-built
	@lab/check.sh guest
check-built: kernel kernel-base selftests qemu

bench: check-built
	@lab/bench.sh

# How many steps, from which seed, of which vendor, in all ways or with one parameter of
# KVM's module, and whether to count lines
STEPS ?= 100000
SEED ?= 1
VENDOR ?=
PARAMETER ?=
COVERAGE ?=
export STEPS SEED PARAMETER COVERAGE
fuzz: kernel build/selftests/linux/list qemu
	@lab/fuzz.sh $(VENDOR)

# Names in lab/mutations, all if empty
MUTATIONS ?=
mutate: check-built
	@lab/mutate.sh $(MUTATIONS)

clean:
	@lab/clean.sh
distclean:
	@lab/clean.sh all

.PHONY: help packages have-packages tree tree-linux tree-base tree-qemu \
	tree-kvm-unit-tests export kernel kernel-base selftests qemu demo check \
	check-built check-amd check-intel check-guest bench fuzz mutate clean distclean

# What is checked and made of the series themselves
-include lab/series.mk
