/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * <linux/kvm_host.h> for the proof: the types and helpers that the code which the proof
 * takes out of KVM needs, as small as they can be. What is not about CR0 and CR4 does
 * nothing, and what the proof need not know is any value, nondet_*().
 */
#ifndef SHIM_H
#define SHIM_H

typedef _Bool bool;
typedef unsigned char u8, __u8;
typedef unsigned short u16, __u16;
typedef unsigned int u32, __u32;
typedef int __s32;
typedef long long __s64;
typedef unsigned long long u64, __u64;
typedef unsigned long ulong, size_t;

#define true	1
#define false	0
#define NULL	((void *)0)
void *memset(void *p, int c, size_t bytes);


unsigned long nondet_ulong(void);
bool nondet_bool(void);
int nondet_int(void);

#define assume(e)		__CPROVER_assume(e)
#define proved(e, what)		__CPROVER_assert(e, what)

/* Compiler and kernel */
#define __always_inline		inline
#define __packed		__attribute__((packed))
#define unlikely(e)		(e)
#define likely(e)		(e)
#define static_assert(e)	_Static_assert(e, #e)
#define BUILD_BUG_ON(e)		_Static_assert(1, "")
#define EXPORT_SYMBOL_FOR_KVM_INTERNAL(s) _Static_assert(1, #s)
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define BIT(n)			(1ul << (n))
#define GENMASK(h, l)		((~0ul << (l)) & (~0ul >> (63 - (h))))
#define READ_ONCE(x)		(x)
#define WRITE_ONCE(x, v)	((x) = (v))
#define WARN_ON_ONCE(e)		(e)
#define KVM_BUG_ON(e, kvm)	proved(!(e), "KVM_BUG_ON(" #e ")")
#define IS_ENABLED(option)	option
#define EINVAL			22
#define ENOTTY			25
#define KVM_REQ_SMI		0
#define MSR_IA32_SMBASE		0x9e
#define EBUSY			16
#define lockdep_assert_held(l)	do { } while (0)
#define lockdep_assert_once(l)	do { } while (0)
#define kvm_arch_pmi_in_guest(v) false
#define in_task()		true
#define might_sleep()		do { } while (0)
#define smp_rmb()		do { } while (0)
#define test_bit(n, p)		(!!(*(p) & BIT(n)))
#define __set_bit(n, p)		(*(p) |= BIT(n))
#define __clear_bit(n, p)	(*(p) &= ~BIT(n))
#define clear_bit(n, p)		__clear_bit(n, p)
#define arch___test_and_set_bit(n, p) (__set_bit(n, p), false)
/* Scopes end where the model says so. */
#define guard(name)		guard_##name
#define CLASS(type, name)	struct type name = map_##type

static inline bool test_and_clear_bit(int n, unsigned long *p)
{
	bool was = test_bit(n, p);

	__clear_bit(n, p);
	return was;
}

static inline void *memchr_inv(const void *p, int c, size_t bytes)
{
	const unsigned long *words = p;

	for (int i = 0; i < bytes / sizeof(*words); i++)
		if (words[i])
			return (void *)(words + i);
	return NULL;
}

/* KVM */
#define kvm_x86_call(op)	x86_##op
#define HF_GUEST_MASK		BIT(0)
#define HF_SMM_MASK		BIT(1)
#define HF_SMM_INSIDE_NMI_MASK	BIT(2)
#define EFER_LME		BIT(8)
#define EFER_LMA		BIT(10)
#define MSR_EFER		0xc0000080
#define KVM_MSR_RET_UNSUPPORTED	2
#define KVM_NESTED_RUN_PENDING	1
#define KVM_GUESTDBG_USE_HW_BP	2
#define KVM_REQ_LOAD_EOI_EXITMAP 0
#define KVM_X86_QUIRK_CD_NW_CLEARED 0
#define kvm_make_request(r, v)	do { } while (0)
#define kvm_mmu_reset_context(v) do { } while (0)

/* Features that change what is valid. All others are pinned down by cr4_guest_rsvd_bits. */
enum { X86_FEATURE_LM, X86_FEATURE_XSAVE, X86_FEATURE_SMEP, X86_FEATURE_SMAP,
       X86_FEATURE_FSGSBASE, X86_FEATURE_PKU, X86_FEATURE_LA57, X86_FEATURE_UMIP,
       X86_FEATURE_VMX, X86_FEATURE_PCID, X86_FEATURE_LAM, X86_FEATURE_SHSTK,
       X86_FEATURE_IBT };
#define kvm_cpu_cap_has(f)	nondet_bool()

enum kvm_reg {
	VCPU_REGS_RAX, VCPU_REGS_RCX, VCPU_REGS_RDX, VCPU_REGS_RBX, VCPU_REGS_RSP,
	VCPU_REGS_RBP, VCPU_REGS_RSI, VCPU_REGS_RDI, VCPU_REGS_R8, VCPU_REGS_R9,
	VCPU_REGS_R10, VCPU_REGS_R11, VCPU_REGS_R12, VCPU_REGS_R13, VCPU_REGS_R14,
	VCPU_REGS_R15, VCPU_REG_RIP, VCPU_REG_CR0, VCPU_REG_CR3, VCPU_REG_CR4,
	VCPU_REG_PDPTR, NR_VCPU_TOTAL_REGS,
	NR_VCPU_GENERAL_PURPOSE_REGS = VCPU_REG_RIP,
};

enum { VCPU_SREG_CS };
struct kvm_segment {
	u8 type, s, g, present;
};

struct msr_data {
	bool host_initiated;
	u32 index;
	u64 data;
};

struct kvm_lapic {
	unsigned long pending_events;
	u8 sipi_vector;
	struct kvm_vcpu *vcpu;
};
enum { KVM_APIC_INIT, KVM_APIC_SIPI };
enum { KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_INIT_RECEIVED };

#include <asm/kvm_cr_pin.h>
#include <uapi/asm/kvm_para.h>

struct kvm {
	int lock, created_vcpus;
	struct {
		unsigned long cr_pin_allowed[2];
		bool smm_disabled;
	} arch;
};

struct kvm_vcpu_arch {
	unsigned long regs[NR_VCPU_GENERAL_PURPOSE_REGS], rip;
	unsigned long regs_avail[1], regs_dirty[1];
	unsigned long cr0, cr0_guest_owned_bits, cr3, cr4, cr4_guest_owned_bits;
	unsigned long cr4_guest_rsvd_bits, cr0_pin_mask, cr4_pin_mask, guest_debug_dr7, dr7;
	u64 pdptrs[4], efer, smbase;
	u32 hflags;
	int mp_state, nested_run_pending;
	bool guest_state_protected, load_eoi_exitmap_pending, cpuid_dynamic_bits_dirty;
	bool pv_feature, lm, leaving_smm;
	struct kvm_lapic *apic;
	struct kvm_cr_pins cr_pins;
	bool cr_pin_loaded;
	unsigned long cr0_pin_tolerated, cr4_pin_tolerated;
};

struct kvm_vcpu {
	struct kvm *kvm;
	unsigned long guest_debug;
	bool wants_to_run;
	struct {
		u64 guest_mode, cr_pin_violations;
	} stat;
	struct kvm_vcpu_arch arch;
};

#define guest_pv_has(v, f)	((v)->arch.pv_feature)
#define guest_cpu_cap_has(v, f)	((v)->arch.lm)
#define trace_kvm_cr_pin_violation(v, cr0, cr4) do { } while (0)

#define NR_VCPUS		3
#define kvm_for_each_vcpu(i, v, k) \
	for (i = 0; i < NR_VCPUS && ((v) = vcpu_of(i)); i++)
struct kvm_vcpu *vcpu_of(int i);

/* struct kvm_x86_ops */
bool x86_has_emulated_msr(struct kvm *kvm, u32 index);
void x86_update_cr_pins(struct kvm_vcpu *vcpu);
void x86_cache_reg(struct kvm_vcpu *vcpu, enum kvm_reg reg);
void x86_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0);
void x86_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4);
bool x86_is_valid_cr0(struct kvm_vcpu *vcpu, unsigned long cr0);
bool x86_is_valid_cr4(struct kvm_vcpu *vcpu, unsigned long cr4);
int x86_enter_smm(struct kvm_vcpu *vcpu, void *smram);
int x86_leave_smm(struct kvm_vcpu *vcpu, const void *smram);
void x86_get_cs_db_l_bits(struct kvm_vcpu *vcpu, int *db, int *l);
#define x86_get_segment_base(v, s)	0
#define x86_set_segment(v, p, s)	do { } while (0)
#define x86_get_segment(v, p, s)	do { } while (0)
#define x86_set_nmi_mask(v, m)		do { } while (0)
#define x86_vcpu_deliver_sipi_vector(v, s) do { } while (0)
#define x86_unhandleable_emulation_required(v) nondet_bool()

#endif
