// SPDX-License-Identifier: GPL-2.0-only
/*
 * What busybox can't do in a guest:
 *
 *	tool msr CPU MSR			print an MSR's value
 *	tool load KERNEL INITRD CMDLINE		kexec_file_load()
 *	tool exec				go there
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
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

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "msr") && argc == 4)
		return msr(argv[2], argv[3]);
	if (!strcmp(what, "load") && argc == 5) {
		if (syscall(SYS_kexec_file_load, open_or_exit(argv[2]),
			    open_or_exit(argv[3]), strlen(argv[4]) + 1, argv[4], 0))
			return failed("kexec_file_load");
		return 0;
	}
	if (!strcmp(what, "exec") && argc == 2) {
		syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
			LINUX_REBOOT_CMD_KEXEC, NULL);
		return failed("reboot");
	}
	return 2;
}
