// SPDX-License-Identifier: GPL-2.0-only
/*
 * What busybox can't do in a guest:
 *
 *	kexec load KERNEL INITRD CMDLINE	kexec_file_load()
 *	kexec load-crash KERNEL INITRD CMDLINE	the same for a crash kernel
 *	kexec load-old				kexec_load(), of something
 *	kexec exec				go there
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

static long load(char **argv, unsigned long flags)
{
	int kernel = open(argv[0], O_RDONLY);
	int initrd = open(argv[1], O_RDONLY);

	return syscall(__NR_kexec_file_load, kernel, initrd, strlen(argv[2]) + 1,
		       argv[2], flags);
}

/* A page that nothing ever jumps to, in memory that every guest has. */
static long load_old(void)
{
	static char page[4096];
	struct kexec_segment segment = {
		.buf = page,
		.bufsz = sizeof(page),
		.mem = (void *)0x4000000,
		.memsz = sizeof(page),
	};

	return syscall(__NR_kexec_load, segment.mem, 1, &segment, KEXEC_ARCH_DEFAULT);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	long ret = -1;

	errno = EINVAL;
	if (!strcmp(what, "load") && argc == 5)
		ret = load(argv + 2, 0);
	else if (!strcmp(what, "load-crash") && argc == 5)
		ret = load(argv + 2, KEXEC_FILE_ON_CRASH);
	else if (!strcmp(what, "load-old"))
		ret = load_old();
	else if (!strcmp(what, "exec"))
		ret = reboot(LINUX_REBOOT_CMD_KEXEC);
	if (ret)
		printf("kexec %s: %s\n", what, strerror(errno));
	return !!ret;
}
