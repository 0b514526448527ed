# SPDX-License-Identifier: GPL-2.0-only
#
# What is checked and made beside the tests that run in machines; Makefile includes it.

# For packages: those in lab/packages.dev, too. For fresh: bookworm or trixie.
DEV ?=
SUITE ?= bookworm
# For proof: names in lab/proof/theorems, all if empty
PROOF ?=
# For deb: the kernel's configuration. The distribution's if empty.
CONFIG ?=
export DEV SUITE CONFIG

help::
	@echo
	@echo 'Checking the lab and the series:'
	@echo '  lint          the scripts, the patches as mails'
	@echo '  proof         the promise, by CBMC; PROOF="NAME...": only these theorems,'
	@echo '                PROOF=--mutate: it fails if one line of KVM is broken'
	@echo '  commits       each commit builds, the last one in every way ("make packages DEV=1")'
	@echo '  fresh         demo and check in a new Debian 12; SUITE=trixie: 13'
	@echo '  fresh-short   packages in a new Debian, each emulator boots there'
	@echo '  check-kut     kvm-unit-tests, of the clone KUT=DIR, compared with the base;'
	@echo '                TESTS="NAME...": only these'
	@echo '  check-deb     what "make deb" makes, installed and booted'
	@echo
	@echo 'Giving it to others:'
	@echo '  mail          write the mails of SERIES=NAME to build/mail, send nothing'
	@echo '  deb           packages of the kernel, CONFIG=FILE, and of QEMU ("make packages DEV=1")'

# prove says what failed, and why.
prove := prove --failures --comments --exec sh

lint: have-packages
	@$(prove) lab/lint.sh
proof: tree-linux
	@$(prove) lab/proof.sh :: $(PROOF)
commits: tree-linux
	@$(prove) lab/commits.sh
fresh: have-packages
	@lab/fresh.sh full
fresh-short: kernel qemu
	@lab/fresh.sh short
check-kut: kernel kernel-base qemu
	@$(prove) lab/kut.sh :: $(TESTS)
mail: have-packages
	@lab/mail.sh $(SERIES)
deb: tree-linux qemu
	@lab/deb.sh
check-deb: kernel qemu
	@lab/deb.sh check

.PHONY: lint proof commits fresh fresh-short check-kut mail deb check-deb
