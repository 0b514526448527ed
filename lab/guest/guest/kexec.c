// SPDX-License-Identifier: GPL-2.0-only
/*
 * What busybox can't do in a guest:
 *
 *	kexec load KERNEL INITRD CMDLINE	kexec_file_load()
 *	kexec load-crash KERNEL INITRD CMDLINE	the same for a crash kernel
 *	kexec load-old KERNEL INITRD CMDLINE	kexec_load()
 *	kexec exec				go there
 */
#include <asm/bootparam.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long load(char **argv, unsigned long flags)
{
	int kernel = open(argv[0], O_RDONLY);
	int initrd = open(argv[1], O_RDONLY);

	return syscall(__NR_kexec_file_load, kernel, initrd, strlen(argv[2]) + 1,
		       argv[2], flags);
}

static char *map(const char *name, size_t *size)
{
	int fd = open(name, O_RDONLY);
	struct stat st = { 0 };

	fstat(fd, &st);
	*size = st.st_size;
	return mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
}

/* Where things go, in memory that every guest has */
#define LOW	0x90000ul
#define KERNEL	0x1000000ul
#define INITRD	0xa000000ul
#define PAGE(n)	(((n) + 4095) & ~4095ul)

/* What a boot loader does: see Documentation/arch/x86/boot.rst, 64-bit boot protocol */
static long load_old(char **argv)
{
	static struct {
		struct boot_params params;
		char cmdline[4096];
		char code[4096];
	} low = {
		/* mov $params, %rsi; mov $entry, %rax; jmp *%rax */
		.code = "\x48\xbe........\x48\xb8........\xff\xe0",
	};
	unsigned long params = LOW, entry = KERNEL + 0x200;
	size_t kernel_size, initrd_size;
	char *kernel = map(argv[0], &kernel_size), *initrd = map(argv[1], &initrd_size);
	int fd = open("/sys/kernel/boot_params/data", O_RDONLY);

	if (kernel == MAP_FAILED || initrd == MAP_FAILED ||
	    read(fd, &low.params, sizeof(low.params)) != sizeof(low.params))
		return -1;

	memcpy(&low.params.hdr, kernel + 0x1f1, sizeof(low.params.hdr));
	low.params.hdr.type_of_loader = 0xff;
	low.params.hdr.cmd_line_ptr = LOW + ((char *)&low.cmdline - (char *)&low);
	low.params.hdr.ramdisk_image = INITRD;
	low.params.hdr.ramdisk_size = initrd_size;
	strncpy(low.cmdline, argv[2], sizeof(low.cmdline) - 1);
	memcpy(low.code + 2, &params, 8);
	memcpy(low.code + 12, &entry, 8);

	size_t setup = (low.params.hdr.setup_sects + 1) * 512;
	struct kexec_segment segments[] = {
		{ &low, sizeof(low), (void *)LOW, sizeof(low) },
		{ kernel + setup, kernel_size - setup, (void *)KERNEL, PAGE(low.params.hdr.init_size) },
		{ initrd, initrd_size, (void *)INITRD, PAGE(initrd_size) },
	};

	return syscall(__NR_kexec_load, LOW + ((char *)&low.code - (char *)&low), 3,
		       segments, KEXEC_ARCH_DEFAULT);
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
	else if (!strcmp(what, "load-old") && argc == 5)
		ret = load_old(argv + 2);
	else if (!strcmp(what, "exec"))
		ret = reboot(LINUX_REBOOT_CMD_KEXEC);
	if (ret)
		printf("kexec %s: %s\n", what, strerror(errno));
	return !!ret;
}
