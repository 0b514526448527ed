// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of a 32-bit guest, for which there is no busybox: take the last CPU away, bring
 * it back, and see on each that a child can be had. The environment says how many there
 * are, "cpus=N" on the kernel's command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/reboot.h>
#include <unistd.h>

static int port;

static void end(const char *why)
{
	dprintf(port, why ? "%s: error %d\nexit 1\n" : "exit 0\n", why, errno);
	close(port);
	reboot(LINUX_REBOOT_CMD_POWER_OFF);
}

static void put(const char *name, const char *s)
{
	int fd = open(name, O_WRONLY);

	if (fd < 0 || write(fd, s, strlen(s)) < 0)
		end(name);
	close(fd);
}

int main(void)
{
	const char *env = getenv("cpus");
	int cpu, cpus = env ? atoi(env) : 0, pid, status = 0;
	unsigned int id;
	char online[64];

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	port = open("/dev/ttyS1", O_RDWR | O_NOCTTY);

	getrandom(&id, sizeof(id), 0);
	dprintf(port, "booted %x\n", id);

	snprintf(online, sizeof(online), "/sys/devices/system/cpu/cpu%d/online", cpus - 1);
	put(online, "0");
	put(online, "1");

	for (cpu = 0; cpu < cpus; cpu++) {
		unsigned long mask = 1ul << cpu;

		if (syscall(__NR_sched_setaffinity, 0, sizeof(mask), &mask))
			end("a CPU cannot be had");
		pid = fork();
		if (!pid)
			exit(42);
		if (waitpid(pid, &status, 0) != pid || status != 42 << 8)
			end("a child did not end as it should");
		dprintf(port, "CPU %d works\n", cpu);
	}
	end(NULL);
	return 0;
}
