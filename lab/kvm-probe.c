// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does /dev/kvm run guests? A device that opens proves nothing, so run one:
 * 64-bit code with paging on, that exits many times and computes a number.
 * Exit status 0 only if it arrived at the number. With an argument, first ask
 * whether guests could be hosts themselves: the answer no is quick and final,
 * for a yes run this program in a guest.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MEM_SIZE	(2UL << 20)
#define PML4		0x1000
#define PDPT		0x2000
#define PD		0x3000
#define CODE		0x4000

#define NR_LOOPS	1000
#define PORT		0xe9

#define PTE_P		(1ULL << 0)
#define PTE_W		(1ULL << 1)
#define PTE_PS		(1ULL << 7)

#define CR0_PE		(1ULL << 0)
#define CR0_NE		(1ULL << 5)
#define CR0_PG		(1ULL << 31)
#define CR4_PAE		(1ULL << 5)
#define EFER_LME	(1ULL << 8)
#define EFER_LMA	(1ULL << 10)

#define CPUID_1_ECX_VMX		(1U << 5)
#define CPUID_80000001_ECX_SVM	(1U << 2)

static const uint8_t code[] = {
	0x31, 0xf6,				/* xor	%esi, %esi	*/
	0xbf, NR_LOOPS & 0xff, NR_LOOPS >> 8, 0, 0, /* mov $NR_LOOPS, %edi */
	0x31, 0xc0,				/* 1: xor %eax, %eax	*/
	0x31, 0xc9,				/* xor	%ecx, %ecx	*/
	0x0f, 0xa2,				/* cpuid		*/
	0x0f, 0x20, 0xd8,			/* mov	%cr3, %rax	*/
	0x0f, 0x22, 0xd8,			/* mov	%rax, %cr3	*/
	0x48, 0x01, 0xc6,			/* add	%rax, %rsi	*/
	0xff, 0xcf,				/* dec	%edi		*/
	0x75, 0xec,				/* jnz	1b		*/
	0x89, 0xf0,				/* mov	%esi, %eax	*/
	0xe7, PORT,				/* out	%eax, $PORT	*/
	0xf4,					/* hlt			*/
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int xioctl(int fd, unsigned long nr, unsigned long arg, const char *name)
{
	int ret = ioctl(fd, nr, arg);

	if (ret < 0)
		fail(name);
	return ret;
}
#define IOCTL(fd, nr, arg) xioctl(fd, nr, (unsigned long)(arg), #nr)

static void setup_vcpu(int vcpu)
{
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_segment seg = {
		.limit = ~0U, .present = 1, .s = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	IOCTL(vcpu, KVM_GET_SREGS, &sregs);
	seg.selector = 8;
	seg.type = 11;
	seg.l = 1;
	sregs.cs = seg;
	seg.selector = 16;
	seg.type = 3;
	seg.l = 0;
	seg.db = 1;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = seg;
	sregs.cr0 = CR0_PE | CR0_NE | CR0_PG;
	sregs.cr3 = PML4;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	IOCTL(vcpu, KVM_SET_SREGS, &sregs);
	IOCTL(vcpu, KVM_SET_REGS, &regs);
}

static int guests_have_vmx_or_svm(int kvm)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = { .head.nent = 256 };
	uint32_t i;

	IOCTL(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
	for (i = 0; i < cpuid.head.nent; i++) {
		if (cpuid.entries[i].function == 1 &&
		    cpuid.entries[i].ecx & CPUID_1_ECX_VMX)
			return 1;
		if (cpuid.entries[i].function == 0x80000001 &&
		    cpuid.entries[i].ecx & CPUID_80000001_ECX_SVM)
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct kvm_userspace_memory_region region = { .memory_size = MEM_SIZE };
	uint32_t want = (uint32_t)NR_LOOPS * PML4, got = 0;
	int kvm, vm, vcpu, run_size;
	struct kvm_run *run;
	char *mem;

	/* A vCPU that never comes back is killed, and that is an answer, too. */
	alarm(10);

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		fail("/dev/kvm");
	if (argc > 1 && !guests_have_vmx_or_svm(kvm)) {
		fprintf(stderr, "guests have neither VMX nor SVM\n");
		return 1;
	}
	vm = IOCTL(kvm, KVM_CREATE_VM, 0);

	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		fail("mmap");
	*(uint64_t *)(mem + PML4) = PDPT | PTE_P | PTE_W;
	*(uint64_t *)(mem + PDPT) = PD | PTE_P | PTE_W;
	*(uint64_t *)(mem + PD) = 0 | PTE_P | PTE_W | PTE_PS;
	memcpy(mem + CODE, code, sizeof(code));
	region.userspace_addr = (uintptr_t)mem;
	IOCTL(vm, KVM_SET_USER_MEMORY_REGION, &region);

	vcpu = IOCTL(vm, KVM_CREATE_VCPU, 0);
	run_size = IOCTL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED)
		fail("mmap of the vCPU");
	setup_vcpu(vcpu);

	for (;;) {
		IOCTL(vcpu, KVM_RUN, 0);
		if (run->exit_reason == KVM_EXIT_HLT)
			break;
		if (run->exit_reason != KVM_EXIT_IO || run->io.port != PORT ||
		    run->io.size != sizeof(got)) {
			fprintf(stderr, "unexpected exit %u\n", run->exit_reason);
			return 1;
		}
		memcpy(&got, (char *)run + run->io.data_offset, sizeof(got));
	}
	if (got != want) {
		fprintf(stderr, "the guest computed %#x, not %#x\n", got, want);
		return 1;
	}
	return 0;
}
