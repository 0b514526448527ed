// SPDX-License-Identifier: GPL-2.0-only
/*
 * PID 1 of a 32-bit guest, for which there is no busybox: take the last CPU away and
 * bring it back, run on each, see that a child can be had, report, power off. Without
 * a C library, because there is none either.
 */
#include <asm/unistd_32.h>
#include <linux/reboot.h>

static int call(int n, long a, long b, long c, long d, long e)
{
	int ret;

	asm volatile("int $0x80" : "=a"(ret)
		     : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
	return ret;
}

#define O_RDWR 2
#define O_NOCTTY 0400

static int port;

static int length(const char *s)
{
	int n = 0;

	while (s[n])
		n++;
	return n;
}

static void say(const char *s)
{
	call(__NR_write, port, (long)s, length(s), 0, 0);
}

static void end(const char *s)
{
	say(s);
	call(__NR_close, port, 0, 0, 0, 0);
	call(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
	     LINUX_REBOOT_CMD_POWER_OFF, 0, 0);
	for (;;)
		;
}

/* The file's first line, without what ends it */
static char *contents(const char *name)
{
	static char buf[4096];
	int fd = call(__NR_open, (long)name, 0, 0, 0, 0);
	int i, n = call(__NR_read, fd, (long)buf, sizeof(buf) - 1, 0, 0);

	call(__NR_close, fd, 0, 0, 0, 0);
	if (fd < 0 || n <= 0)
		end("exit 1: a file cannot be read\n");
	for (i = 0; i < n && buf[i] != '\n'; i++)
		;
	buf[i] = 0;
	return buf;
}

static void put(const char *name, const char *s)
{
	int fd = call(__NR_open, (long)name, O_RDWR, 0, 0, 0);

	if (fd < 0 || call(__NR_write, fd, (long)s, length(s), 0, 0) != length(s))
		end("exit 1: a file cannot be written\n");
	call(__NR_close, fd, 0, 0, 0, 0);
}

/* What the kernel says about pins, if anything */
static void kernel_says(void)
{
	static char log[1 << 18];
	static const char what[] = "kvm-guest: ";
	int n = call(__NR_syslog, 3, (long)log, sizeof(log) - 1, 0, 0);
	int i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; what[j] && log[i + j] == what[j]; j++)
			;
		if (what[j])
			continue;
		for (j = i; log[j] && log[j] != '\n'; j++)
			;
		log[j] = 0;
		for (j = i; log[j]; j++) {
			if (log[j] == 'p' && log[j + 1] == 'i' && log[j + 2] == 'n' &&
			    log[j + 3] == 'n') {
				say("kernel ");
				say(log + i);
				say("\n");
				break;
			}
		}
	}
}

void _start(void)
{
	static char online[] = "/sys/devices/system/cpu/cpu0/online";
	static char id[9];
	unsigned long mask;
	int last, cpu, pid, status;

	call(__NR_mount, (long)"dev", (long)"/dev", (long)"devtmpfs", 0, 0);
	call(__NR_mount, (long)"proc", (long)"/proc", (long)"proc", 0, 0);
	call(__NR_mount, (long)"sys", (long)"/sys", (long)"sysfs", 0, 0);
	port = call(__NR_open, (long)"/dev/ttyS1", O_RDWR | O_NOCTTY, 0, 0, 0);

	call(__NR_getrandom, (long)&mask, sizeof(mask), 0, 0, 0);
	for (cpu = 0; cpu < 8; cpu++)
		id[cpu] = 'a' + (mask >> (4 * cpu) & 0xf);
	/* The first character may get lost, this one isn't missed. */
	say("\n");
	say("booted ");
	say(id);
	say("\n");
	kernel_says();

	last = contents("/sys/devices/system/cpu/online")[2] - '0';
	if (last < 1 || last > 7)
		end("exit 1: no second CPU\n");
	online[27] = '0' + last;
	put(online, "0");
	put(online, "1");

	for (cpu = 0; cpu <= last; cpu++) {
		mask = 1ul << cpu;
		if (call(__NR_sched_setaffinity, 0, sizeof(mask), (long)&mask, 0, 0))
			end("exit 1: a CPU cannot be had\n");
		pid = call(__NR_fork, 0, 0, 0, 0, 0);
		if (!pid)
			call(__NR_exit, 42, 0, 0, 0, 0);
		if (call(__NR_waitpid, pid, (long)&status, 0, 0, 0) != pid ||
		    status != 42 << 8)
			end("exit 1: a child did not end as it should\n");
	}

	say("online ");
	say(contents("/sys/devices/system/cpu/online"));
	say("\n");
	end("exit 0\n");
}
