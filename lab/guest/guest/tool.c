// SPDX-License-Identifier: GPL-2.0-only
/*
 * What busybox can't do in a guest:
 *
 *	tool msr CPU MSR			print an MSR's value
 *	tool load KERNEL INITRD CMDLINE		kexec_file_load()
 *	tool load-crash KERNEL INITRD CMDLINE	the same for a crash kernel
 *	tool load-old				kexec_load(), of something
 *	tool unload				forget what was loaded
 *	tool exec				go there
 *	tool find FILE STRING			is it an ELF file with STRING in it?
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

static int open_or_exit(const char *name)
{
	int fd = open(name, O_RDONLY);

	if (fd < 0)
		exit(failed(name));
	return fd;
}

static int msr(const char *cpu, const char *reg)
{
	unsigned long long value;
	char name[32];

	snprintf(name, sizeof(name), "/dev/cpu/%s/msr", cpu);
	if (pread(open_or_exit(name), &value, sizeof(value),
		  strtoul(reg, NULL, 0)) != sizeof(value))
		return failed(name);
	printf("0x%llx\n", value);
	return 0;
}

static int load(char **argv, unsigned long flags)
{
	if (syscall(SYS_kexec_file_load, open_or_exit(argv[0]), open_or_exit(argv[1]),
		    strlen(argv[2]) + 1, argv[2], flags))
		return failed("kexec_file_load");
	return 0;
}

/* A page that nothing ever jumps to, in memory that every guest has. */
static int load_old(void)
{
	static char page[4096];
	struct kexec_segment segment = {
		.buf = page,
		.bufsz = sizeof(page),
		.mem = (void *)0x4000000,
		.memsz = sizeof(page),
	};

	if (syscall(SYS_kexec_load, segment.mem, 1, &segment, KEXEC_ARCH_DEFAULT))
		return failed("kexec_load");
	return 0;
}

static int find(const char *name, const char *string)
{
	static char buf[1 << 20];
	size_t keep = strlen(string) - 1, have = 0;
	int fd = open_or_exit(name);
	int first = 1;
	ssize_t n;

	while ((n = read(fd, buf + have, sizeof(buf) - have)) > 0) {
		have += n;
		if (have < sizeof(buf) / 2)
			continue;
		if (first && memcmp(buf, "\177ELF", 4)) {
			printf("%s: not ELF\n", name);
			return 1;
		}
		first = 0;
		if (memmem(buf, have, string, keep + 1))
			return 0;
		memmove(buf, buf + have - keep, keep);
		have = keep;
	}
	if (n < 0)
		return failed(name);
	if (!first && memmem(buf, have, string, keep + 1))
		return 0;
	printf("%s: no \"%s\"\n", name, string);
	return 1;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "msr") && argc == 4)
		return msr(argv[2], argv[3]);
	if (!strcmp(what, "load") && argc == 5)
		return load(argv + 2, 0);
	if (!strcmp(what, "load-crash") && argc == 5)
		return load(argv + 2, KEXEC_FILE_ON_CRASH);
	if (!strcmp(what, "load-old") && argc == 2)
		return load_old();
	if (!strcmp(what, "find") && argc == 4)
		return find(argv[2], argv[3]);
	if (!strcmp(what, "unload") && argc == 2) {
		if (!syscall(SYS_kexec_load, 0, 0, NULL, KEXEC_ARCH_DEFAULT))
			return 0;
		return failed("kexec_load");
	}
	if (!strcmp(what, "exec") && argc == 2) {
		sync();
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
			LINUX_REBOOT_CMD_KEXEC, NULL);
		return failed("reboot");
	}
	fprintf(stderr, "tool: see its source for what it does\n");
	return 2;
}
