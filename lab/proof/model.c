// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the promise of control register pinning rests on, as a machine that CBMC can
 * prove: one vCPU, and all that can change its CR0, its CR4 or its pins. Each prove_*()
 * starts in any state that satisfies invariant(), does one thing, with any operand, and
 * ends in a state that satisfies invariant(). By induction, any sequence of any length
 * of them does. Whatever other vCPUs do, this one learns only their pins, which are any.
 *
 * Functions called kvm_*(), vmx_*() and so on are KVM's own, see "taken". Compiled with
 * VMX=1 for Intel, VMX=0 for AMD.
 *
 * What is taken for granted, and not proved:
 *  - The CPU: what VMX's masks and shadows and SVM's intercepts do, see prove_write();
 *    that VMX operation and VMRUN need paging.
 *  - What the taken functions call, see the macros: that vmcs12 and what KVM_SET_SREGS
 *    loads are checked to be valid, and that nothing there changes a pin.
 *  - A step ends before the next one begins. Other vCPUs write guest memory, SMRAM and the
 *    host save area at any time, but pins one at a time.
 *  - After a shutdown, i.e. RSM that fails, and after an ioctl that fails half way,
 *    userspace resets the vCPU before it runs again. It restores nested state that KVM saved.
 *  - KVM calls the functions where the steps here do; kvm-writers lists who else could.
 */
#include <linux/kvm_host.h>
#include "regs.h"
#include "smm.h"
#include "cr_pin.c"

/* The hardware's configuration, any that exists */
static bool enable_ept, enable_unrestricted_guest, npt_enabled, umip_emulated, quirk;
static unsigned long host_cr4;

/* What KVM finds valid for reasons that are of no interest here: any answer, but the
 * same if it is asked again. */
enum { GUEST_CR0_VALID, HOST_CR0_VALID, CR4_VALID, CS_L, CS_DB, NR_ANSWERS };
static bool any_answer[NR_ANSWERS];
/* Without unrestricted guest, L2 has paging. */
#define nested_guest_cr0_valid(v, cr)	((enable_unrestricted_guest || ((cr) & X86_CR0_PG)) && any_answer[GUEST_CR0_VALID])
#define nested_host_cr0_valid(v, cr)	any_answer[HOST_CR0_VALID]
#define nested_cr4_valid(v, cr)		any_answer[CR4_VALID]
static bool pdptrs_valid;
#define load_pdptrs(v, cr3)		(pdptrs_valid)
#define kvm_set_cr3(v, value)		nondet_bool()
#define __kvm_emulate_msr_write(v, i, d) model_set_efer(v, d)
#define kvm_vcpu_write_guest(v, a, p, n) nondet_bool()
#define nested_vmx_check_restored_vmcs12(v) (paging(m.vmcs12.host_cr0) ? -(int)nondet_bool() : -1)
#define kvm_vm_dead(k)			(m.dead = true)
#define kvm_post_set_cr0(v, o, n)	do { } while (0)
#define kvm_post_set_cr4(v, o, n)	do { } while (0)

/* VMX */
enum { CR0_GUEST_HOST_MASK, CR4_GUEST_HOST_MASK, CR0_READ_SHADOW, CR4_READ_SHADOW,
       GUEST_CR0, GUEST_CR4, GUEST_CR3, GUEST_RSP, GUEST_RIP, NR_FIELDS };

struct vmcs12 {
	unsigned long guest_cr0, guest_cr4, host_cr0, host_cr4;
	unsigned long cr0_guest_host_mask, cr4_guest_host_mask;
	unsigned long cr0_read_shadow, cr4_read_shadow;
	u32 cpu_based_vm_exec_control;
};

enum vm_entry_failure_code { ENTRY_FAIL_DEFAULT };
enum { NVMX_VMENTRY_SUCCESS, NVMX_VMENTRY_VMEXIT };

/* SVM */
struct vmcb_save_area {
	u64 cr0, cr3, cr4, efer;
};

struct vmcb {
	bool cr0_read, cr0_write, cr0_sel_write, cr4_write;
	struct vmcb_save_area save;
};

struct model {
	struct kvm_vcpu vcpu;
	struct kvm_lapic apic;

	struct {
		unsigned long f[NR_FIELDS];
	} vmcs[2];
	int loaded_vmcs;
	struct vmcs12 vmcs12;
	struct {
		bool vm86_active;
	} rmode;
	struct {
		bool emulation_required;
	} vt;

	struct vmcb *vmcb, vmcbs[2];
	struct {
		struct vmcb *ptr;
	} vmcb01;
	struct vmcb_save_area hsave;

	struct {
		bool vmxon, from_vmentry, mtf_pending;
		struct {
			bool vmxon, guest_mode;
		} smm;
		u64 hsave_msr;
	} nested;

	/* RSM failed, or KVM did. Only userspace can go on, and has to reset the vCPU. */
	bool dead;
	/* Userspace has written no register or pin, other than to create the vCPU. */
	bool untouched;
	/* Deferred pins that L1 has set since INIT or RSM */
	unsigned long deferred_set;
};
#define vcpu_vmx model
#define vcpu_svm model

static struct model m;
static struct kvm vm;
static struct kvm_vcpu others[NR_VCPUS - 1];
static struct kvm_vcpu *const vcpu = &m.vcpu;

struct kvm_vcpu *vcpu_of(int i)
{
	return i ? &others[i - 1] : vcpu;
}

#define to_vmx(v)			(&m)
#define to_svm(v)			(&m)
#define get_vmcs12(v)			(&m.vmcs12)
#define vmcs_readl(field)		(m.vmcs[m.loaded_vmcs].f[field])
#define vmcs_writel(field, v)		(m.vmcs[m.loaded_vmcs].f[field] = (v))
#define guard_vmx_vmcs01(v)		(m.loaded_vmcs = 0)
#define cr4_read_shadow()		host_cr4
#define vmx_umip_emulated()		umip_emulated
#define nested_cpu_has2(v, bit)		nondet_bool()
#define secondary_exec_controls_setbit(x, b) do { } while (0)
#define secondary_exec_controls_clearbit(x, b) do { } while (0)
#define exec_controls_get(x)		nondet_int()
#define exec_controls_set(x, b)		do { } while (0)
#define exec_controls_setbit(x, b)	do { } while (0)
#define exec_controls_clearbit(x, b)	do { } while (0)
#define CPU_BASED_CR3_LOAD_EXITING	BIT(15)
#define CR3_EXITING_BITS		BIT(15)
#define vmx_emulation_required(v)	nondet_bool()
#define ept_save_pdptrs(v)		do { } while (0)
#define enter_lmode(v)			((v)->arch.efer |= EFER_LMA)
#define exit_lmode(v)			((v)->arch.efer &= ~EFER_LMA)
#define nested_read_cr0(v)		nondet_ulong()
#define nested_read_cr4(v)		nondet_ulong()
#define nested_vmx_fail(v, error)	1
#define nested_vmx_update_pending_dbg(v) do { } while (0)
#define kvm_event_needs_reinjection(v)	nondet_bool()
#define CC(e)				(e)
#define nested_vmx_vmexit(v, r, i, q)	model_vmx_exit(false)
#define vmx_clear_hlt(v)		do { } while (0)

/* Those of vmcb02 are made of these, and of vmcb12's. */
#define svm_set_intercept(s, i)		(m.vmcbs[0].i = true)
#define svm_clr_intercept(s, i)		(m.vmcbs[0].i = false)
#define INTERCEPT_CR0_READ		cr0_read
#define INTERCEPT_CR0_WRITE		cr0_write
#define svm_switch_vmcb(s, v)		((s)->vmcb = (v)->ptr)
#define vmcb_mark_dirty(v, bit)		do { } while (0)
#define is_sev_es_guest(v)		false
#define kvm_check_has_quirk(k, q)	quirk
#define kvm_queue_exception(v, e)	do { } while (0)
#define nested_svm_simple_vmexit(s, c)	nested_svm_vmexit(s)
#define gpa_to_gfn(gpa)			(gpa)
#define enter_svm_guest_mode(v, gpa, from_vmrun) model_enter_svm_guest_mode()

struct kvm_vcpu_map_local {
	struct {
		struct vmcb_save_area *hva;
	} map;
};
/* The host save area is guest memory, that other vCPUs write, i.e. any each time. */
#define map_kvm_vcpu_map_local(v, gfn)	{ .map = { .hva = &m.hsave - 0x400 } }

static void svm_copy_vmrun_state(struct vmcb_save_area *to, struct vmcb_save_area *from)
{
	struct vmcb_save_area any;

	*to = from == &m.hsave ? any : *from;
}

#define X86EMUL_CONTINUE	0
#define X86EMUL_UNHANDLEABLE	1
struct x86_emulate_ctxt {
	struct kvm_vcpu *vcpu;
};
/* SMRAM is any value, and what the guest writes there itself is not looked at. */
#define kvm_vcpu_read_guest(v, a, p, n)	(__CPROVER_havoc_object(p), \
	((union kvm_smram *)(p))->smram64.svm_guest_flag = MODE == 3, -(int)nondet_bool())
#define kvm_smm_changed(v, in) \
	((v)->arch.hflags = ((v)->arch.hflags & ~HF_SMM_MASK) | ((in) ? HF_SMM_MASK : 0))
#define kvm_apic_has_pending_init_or_sipi(v) ((v)->arch.apic->pending_events)
#define kvm_vcpu_is_bsp(v)		nondet_bool()
#define kvm_lapic_reset(v, init)		(m.deferred_set = 0)
#define kvm_set_mp_state(v, s)		((v)->arch.mp_state = (s))
#define lapic_in_kernel(v)		true
#define x86_apic_init_signal_blocked(v)	(VMX && m.nested.vmxon && !is_guest_mode(v))

static bool paging(unsigned long cr0);
static unsigned long possible(int i);
static int model_set_efer(struct kvm_vcpu *vcpu, u64 efer);
static void model_vmx_exit(bool late_failure);
static int model_enter_svm_guest_mode(void);
static int nested_vmx_enter_non_root_mode(struct kvm_vcpu *vcpu, bool from_vmentry);
static void kvm_leave_nested(struct kvm_vcpu *vcpu);
static int kvm_check_nested_events(struct kvm_vcpu *vcpu);
static int vmx_check_nested_events(struct kvm_vcpu *vcpu);
static void load_vmcs12_host_state(struct kvm_vcpu *vcpu, struct vmcs12 *vmcs12);
static void nested_svm_vmexit(struct model *svm);

#include "taken.h"

/*
 * The state
 */
static unsigned long fields_cr(int mask, int shadow, int guest)
{
	unsigned long *f = m.vmcs[0].f;

	return (f[shadow] & f[mask]) | (f[guest] & ~f[mask]);
}

/* The registers as the guest sees them */
static unsigned long guest_cr(int i)
{
	bool cached = vcpu->arch.regs_avail[0] & BIT(i ? VCPU_REG_CR4 : VCPU_REG_CR0);
	unsigned long cr = i ? vcpu->arch.cr4 : vcpu->arch.cr0;
	unsigned long owned = i ? vcpu->arch.cr4_guest_owned_bits :
				  vcpu->arch.cr0_guest_owned_bits;

	if (!VMX || cached)
		return cr;
	return (cr & ~owned) |
	       (m.vmcs[m.loaded_vmcs].f[i ? GUEST_CR4 : GUEST_CR0] & owned);
}

/* In words that are not the kernel's: the bits that lack their value */
static unsigned long lacking(int i, unsigned long cr, unsigned long deferred)
{
	return (vcpu->arch.cr_pins.msr[i] & ~deferred & ~cr) |
	       (vcpu->arch.cr_pins.msr[i + 2] & cr);
}

#define DEFERRED	X86_CR4_PCIDE

/* The promise, for registers that L1 has or will have outside of SMM */
static bool promised(unsigned long cr0, unsigned long cr4)
{
	if (m.deferred_set & ~cr4)
		return false;
	if (vcpu->arch.cr_pin_loaded)
		return true;
	return !(cr0 & X86_CR0_PG) ||
	       (!(lacking(0, cr0, 0) & ~vcpu->arch.cr0_pin_tolerated) &&
		!(lacking(1, cr4, DEFERRED) & ~vcpu->arch.cr4_pin_tolerated));
}

/* What the guest may own if it pins nothing, and what it may not as it has pinned it */
static unsigned long possible(int i)
{
	if (!i)
		return KVM_POSSIBLE_CR0_GUEST_BITS & (enable_ept ? ~0ul : ~X86_CR0_WP);
	return KVM_POSSIBLE_CR4_GUEST_BITS & ~vcpu->arch.cr4_guest_rsvd_bits &
	       (enable_ept ? ~0ul : ~(X86_CR4_TLBFLUSH_BITS | X86_CR4_PDPTR_BITS));
}

static unsigned long pinned(int i)
{
	return vcpu->arch.cr_pins.msr[i] | vcpu->arch.cr_pins.msr[i + 2];
}

static bool paging(unsigned long cr0)
{
	return (cr0 & X86_CR0_PG) && (cr0 & X86_CR0_PE);
}

static bool vmx_consistent(void)
{
	unsigned long own0 = possible(0) & ~pinned(0);
	unsigned long own4 = possible(1) & ~pinned(1);
	unsigned long *f = m.vmcs[0].f;

	if (m.loaded_vmcs != is_guest_mode(vcpu))
		return false;

	/* No pinned bit is the guest's, and what could be is right in its register. */
	if (f[CR0_GUEST_HOST_MASK] != ~own0 || f[CR4_GUEST_HOST_MASK] != ~own4 ||
	    ((f[GUEST_CR0] ^ f[CR0_READ_SHADOW]) & possible(0) & ~own0) ||
	    ((f[GUEST_CR4] ^ f[CR4_READ_SHADOW]) & possible(1) & ~own4))
		return false;

	/* VMX has it that L1 has paging, and L2 unless it is an unrestricted guest. */
	if (is_guest_mode(vcpu) && !paging(m.vmcs12.host_cr0))
		return false;
	if (is_guest_mode(vcpu) && m.nested.from_vmentry &&
	    (!paging(fields_cr(CR0_GUEST_HOST_MASK, CR0_READ_SHADOW, GUEST_CR0)) ||
	     (!enable_unrestricted_guest && !paging(vcpu->arch.cr0))))
		return false;
	if ((vcpu->arch.cr0_guest_owned_bits & ~possible(0)) ||
	    (vcpu->arch.cr4_guest_owned_bits & ~possible(1)))
		return false;
	if (is_guest_mode(vcpu))
		return !is_smm(vcpu) && promised(m.vmcs12.host_cr0, m.vmcs12.host_cr4) &&
		       (!m.nested.from_vmentry ||
			promised(fields_cr(CR0_GUEST_HOST_MASK, CR0_READ_SHADOW, GUEST_CR0),
				 fields_cr(CR4_GUEST_HOST_MASK, CR4_READ_SHADOW, GUEST_CR4)));

	/* KVM's copies are what the guest sees. */
	return vcpu->arch.cr0_guest_owned_bits == own0 &&
	       vcpu->arch.cr4_guest_owned_bits == own4 &&
	       guest_cr(0) == fields_cr(CR0_GUEST_HOST_MASK, CR0_READ_SHADOW, GUEST_CR0) &&
	       guest_cr(1) == fields_cr(CR4_GUEST_HOST_MASK, CR4_READ_SHADOW, GUEST_CR4) &&
	       !(is_smm(vcpu) && m.nested.vmxon);
}

static bool svm_consistent(void)
{
	struct vmcb *vmcb01 = &m.vmcbs[0];

	if (m.vmcb != &m.vmcbs[is_guest_mode(vcpu)] || !vmcb01->cr0_sel_write ||
	    !vmcb01->cr4_write || vcpu->arch.cr0_guest_owned_bits ||
	    vcpu->arch.cr4_guest_owned_bits)
		return false;
	if (is_guest_mode(vcpu))
		return !is_smm(vcpu) &&
		       promised(vmcb01->save.cr0 | X86_CR0_PE, vmcb01->save.cr4);
	return vmcb01->cr0_write || vmcb01->save.cr0 == vcpu->arch.cr0;
}

static bool invariant(void)
{
	unsigned long *allowed = vm.arch.cr_pin_allowed;
	int i;

	/* Nothing is pinned that the VM may not pin, i.e. without opt-in nothing at all. */
	for (i = 0; i < 4; i++)
		if (vcpu->arch.cr_pins.msr[i] & ~allowed[i & 1])
			return false;
	if ((allowed[0] & ~KVM_CR0_PINNABLE_BITS) || (allowed[1] & ~KVM_CR4_PINNABLE_BITS))
		return false;

#ifdef PIN_MASK
	if ((vcpu->arch.cr0_pin_mask | X86_CR0_PG) != (pinned(0) | X86_CR0_PG) ||
	    vcpu->arch.cr4_pin_mask != pinned(1) ||
	    ((pinned(0) | pinned(1)) && !(vcpu->arch.cr0_pin_mask & X86_CR0_PG)))
		return false;
#endif
	if (vcpu->arch.leaving_smm || (vcpu->arch.cr0 & (X86_CR0_PG | X86_CR0_PE)) == X86_CR0_PG)
		return false;

	if (m.untouched && (vcpu->arch.cr_pin_loaded || vcpu->arch.cr0_pin_tolerated ||
			    vcpu->arch.cr4_pin_tolerated))
		return false;
	if (m.deferred_set & ~(DEFERRED & vcpu->arch.cr_pins.cr4_high))
		return false;
	if (!(VMX ? vmx_consistent() : svm_consistent()))
		return false;
	/* AMD's L2 never waits for a SIPI. */
	if (!VMX && is_guest_mode(vcpu) && !vcpu->arch.cr_pin_loaded &&
	    vcpu->arch.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return false;
	if (is_guest_mode(vcpu) || is_smm(vcpu))
		return true;
	if (vcpu->arch.mp_state == KVM_MP_STATE_INIT_RECEIVED &&
	    (guest_cr(0) & X86_CR0_PG) && !vcpu->arch.cr_pin_loaded)
		return false;
	return promised(guest_cr(0), guest_cr(1));
}

/* Any configuration, any vCPU, but for pointers */
static void any(void)
{
	int i;

	/* CBMC takes the members of a union for independent unless told so. */
	__CPROVER_havoc_object(&m);
	__CPROVER_havoc_object(&vm);
	__CPROVER_havoc_object(others);
	__CPROVER_havoc_object(any_answer);
	enable_ept = nondet_bool();
	enable_unrestricted_guest = enable_ept && nondet_bool();
	npt_enabled = nondet_bool();
	umip_emulated = nondet_bool();
	quirk = nondet_bool();
	host_cr4 = nondet_ulong();
	pdptrs_valid = nondet_bool();
	vcpu->arch.hflags = MODE < 3 ? MODE : HF_SMM_MASK;
	m.nested.smm.guest_mode = MODE == 3;
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_of(i)->kvm = &vm;
	vcpu->arch.apic = &m.apic;
	m.apic.vcpu = vcpu;
	m.vmcb01.ptr = &m.vmcbs[0];
	m.vmcb = &m.vmcbs[is_guest_mode(vcpu)];
	assume(m.loaded_vmcs == 0 || m.loaded_vmcs == 1);
	assume(!m.dead && !vcpu->arch.guest_state_protected && vcpu->arch.pv_feature);
	/* The bits that no CPU has are reserved on all. */
	assume(!(CR4_RESERVED_BITS & ~vcpu->arch.cr4_guest_rsvd_bits));
}

/* For who reads a counterexample */
#define SHOW(when) do {							\
	unsigned long when##_cr0 = guest_cr(0), when##_cr4 = guest_cr(1),	\
		when##_cr0_high = vcpu->arch.cr_pins.cr0_high,			\
		when##_cr4_high = vcpu->arch.cr_pins.cr4_high,			\
		when##_cr0_low = vcpu->arch.cr_pins.cr0_low,			\
		when##_cr4_low = vcpu->arch.cr_pins.cr4_low,			\
		when##_l2 = is_guest_mode(vcpu), when##_smm = is_smm(vcpu),	\
		when##_waits_for_sipi = vcpu->arch.mp_state,			\
		when##_host_cr0 = VMX ? m.vmcs12.host_cr0 : m.vmcbs[0].save.cr0, \
		when##_host_cr4 = VMX ? m.vmcs12.host_cr4 : m.vmcbs[0].save.cr4; \
} while (0)

static void any_good(void)
{
	any();
	assume(invariant());
	SHOW(before);
}

static void still_good(void)
{
	SHOW(after);
	proved(m.dead || invariant(), "the invariant holds");
}

static void userspace(void)
{
	m.untouched = false;
	m.deferred_set = 0;
	vcpu->wants_to_run = false;
}

/*
 * What KVM does around the functions that are taken
 */
static unsigned long any_valid_cr0(void)
{
	unsigned long cr0 = nondet_ulong();

	assume((cr0 & X86_CR0_PE) || !(cr0 & X86_CR0_PG));
	return cr0;
}

/* From here on, KVM has to read what the guest can have changed. */
static void vm_exit(void)
{
	if (VMX)
		vcpu->arch.regs_avail[0] &= ~(BIT(VCPU_REG_CR0) | BIT(VCPU_REG_CR4));
	else if (is_guest_mode(vcpu))
		vcpu->arch.cr0 = any_valid_cr0();
	else if (!m.vmcb->cr0_write)
		vcpu->arch.cr0 = m.vmcb->save.cr0;
}

static int model_set_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	if (nondet_bool())
		return 1;
	vcpu->arch.efer = efer & ~EFER_LMA;
	return 0;
}

void x86_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	VMX ? vmx_set_cr0(vcpu, cr0) : svm_set_cr0(vcpu, cr0);
}

void x86_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	VMX ? vmx_set_cr4(vcpu, cr4) : svm_set_cr4(vcpu, cr4);
}

void x86_cache_reg(struct kvm_vcpu *vcpu, enum kvm_reg reg)
{
	if (VMX)
		vmx_cache_reg(vcpu, reg);
}

bool x86_is_valid_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	return VMX ? vmx_is_valid_cr0(vcpu, cr0) : true;
}

bool x86_is_valid_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	return VMX ? vmx_is_valid_cr4(vcpu, cr4) : true;
}

void x86_get_cs_db_l_bits(struct kvm_vcpu *vcpu, int *db, int *l)
{
	*db = any_answer[CS_DB];
	*l = any_answer[CS_L];
}

void x86_update_cr_pins(struct kvm_vcpu *vcpu)
{
	int loaded = m.loaded_vmcs;

	if (VMX)
		vmx_update_cr_pins(vcpu);
	m.loaded_vmcs = loaded;
}

bool x86_has_emulated_msr(struct kvm *kvm, u32 index)
{
	return true;
}

int x86_enter_smm(struct kvm_vcpu *vcpu, void *smram)
{
	return VMX ? vmx_enter_smm(vcpu, smram) : svm_enter_smm(vcpu, smram);
}

int x86_leave_smm(struct kvm_vcpu *vcpu, const void *smram)
{
	return VMX ? vmx_leave_smm(vcpu, smram) : svm_leave_smm(vcpu, smram);
}

/* __nested_vmx_vmexit(): late_failure is vmx->fail */
static void model_vmx_exit(bool late_failure)
{
	leave_guest_mode(vcpu);
	m.loaded_vmcs = 0;
	if (late_failure && m.nested.from_vmentry) {
		nested_vmx_restore_host_state(vcpu);
		return;
	}
	vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	load_vmcs12_host_state(vcpu, &m.vmcs12);
}

static int nested_vmx_enter_non_root_mode(struct kvm_vcpu *vcpu, bool from_vmentry)
{
	m.nested.from_vmentry = from_vmentry;
	m.loaded_vmcs = 1;
	enter_guest_mode(vcpu);
	/* prepare_vmcs02_rare() sets it if vmcs12 has changed. */
	assume(!(~vmcs_readl(CR4_GUEST_HOST_MASK) & ~possible(1)));
	if (prepare_vmcs02(vcpu, &m.vmcs12, from_vmentry, NULL) || nondet_bool()) {
		leave_guest_mode(vcpu);
		m.loaded_vmcs = 0;
		if (from_vmentry)
			load_vmcs12_host_state(vcpu, &m.vmcs12);
		else
			nested_vmx_restore_host_crs(vcpu);
		return NVMX_VMENTRY_VMEXIT;
	}
	return NVMX_VMENTRY_SUCCESS;
}


static int model_enter_svm_guest_mode(void)
{
	/* nested_vmcb02_prepare_save() */
	m.vmcb = &m.vmcbs[1];
	enter_guest_mode(vcpu);
	svm_set_cr0(vcpu, any_valid_cr0());
	svm_set_cr4(vcpu, nondet_ulong());
	return nondet_bool();
}

/* svm_leave_nested() leaves KVM's copies alone, VMX has L1's at once */
static void kvm_leave_nested(struct kvm_vcpu *vcpu)
{
	if (!is_guest_mode(vcpu))
		return;
	if (VMX) {
		model_vmx_exit(false);
		return;
	}
	leave_guest_mode(vcpu);
	if (!vcpu->wants_to_run)
		kvm_cr_pins_set_loaded(vcpu);
	m.vmcb = &m.vmcbs[0];
	/* What L2 has in CR0 need not be what vmcb01 has. */
	m.vmcb->cr0_write = true;
}

static int kvm_check_nested_events(struct kvm_vcpu *vcpu)
{
	if (VMX)
		return vmx_check_nested_events(vcpu);
	if (nondet_bool())
		return -EBUSY;
	if (nondet_bool())
		nested_svm_vmexit(&m);
	return 0;
}

/*
 * What happens to a vCPU
 */
void prove_create(void)
{
	any();
	/* vmx_vcpu_create(), init_vmcs(), init_vmcb(): all is zero at first */
	memset(&vcpu->arch.cr_pins, 0, sizeof(vcpu->arch.cr_pins));
	memset(&m.nested, 0, sizeof(m.nested));
	assume(!(vm.arch.cr_pin_allowed[0] & ~KVM_CR0_PINNABLE_BITS));
	assume(!(vm.arch.cr_pin_allowed[1] & ~KVM_CR4_PINNABLE_BITS));
	vcpu->arch.hflags = vcpu->arch.cr0 = vcpu->arch.cr4 = vcpu->arch.efer = 0;
	vcpu->arch.cr0_pin_tolerated = vcpu->arch.cr4_pin_tolerated = 0;
	vcpu->arch.cr0_pin_mask = vcpu->arch.cr4_pin_mask = 0;
	vcpu->arch.leaving_smm = false;
	vcpu->arch.cr_pin_loaded = false;
	vcpu->arch.mp_state = KVM_MP_STATE_RUNNABLE;
	m.loaded_vmcs = m.deferred_set = 0;
	m.vmcb = &m.vmcbs[0];
	m.untouched = true;
	vcpu->arch.cr0_guest_owned_bits = vcpu->arch.cr4_guest_owned_bits = 0;
	if (VMX) {
		vcpu->arch.cr0_guest_owned_bits = possible(0) & ~pinned(0);
		vmcs_writel(CR0_GUEST_HOST_MASK, ~vcpu->arch.cr0_guest_owned_bits);
		set_cr4_guest_host_mask(&m);
	}
	m.vmcb->cr0_sel_write = m.vmcb->cr4_write = true;
	kvm_vcpu_reset(vcpu, false);
	still_good();
}

/* vcpu_enter_guest(): the promise itself, and that KVM's own oracle agrees */
void prove_entry(void)
{
	unsigned long cr0, cr4;

	any_good();
	assume(vcpu->arch.mp_state == KVM_MP_STATE_RUNNABLE);
	kvm_prove_cr_pins(vcpu);
	if (VMX)
		kvm_prove_cr_intercepts(vcpu, vmcs_readl(CR0_GUEST_HOST_MASK),
					vmcs_readl(CR4_GUEST_HOST_MASK));
	else
		kvm_prove_cr_intercepts(vcpu, m.vmcb->cr0_sel_write ? ~0ul : 0,
					m.vmcb->cr4_write ? ~0ul : 0);

	cr0 = guest_cr(0);
	cr4 = guest_cr(1);
	if (!is_guest_mode(vcpu) && !is_smm(vcpu)) {
		if (m.untouched && (cr0 & X86_CR0_PG)) {
			proved(!lacking(0, cr0, 0), "paging is on: CR0 has all pinned bits");
			proved(!(lacking(1, cr4, DEFERRED)),
			       "paging is on: CR4 has all pinned bits but deferred ones");
		}
		m.deferred_set |= DEFERRED & vcpu->arch.cr_pins.cr4_high & cr4;
	}
	still_good();
}

/* MOV, LMSW, CLTS as the hardware does them, or KVM's emulator, in L1, L2 and SMM */
static void prove_write(int i)
{
	unsigned long val = nondet_ulong(), was, *f = m.vmcs[0].f;
	bool lmsw = !i && nondet_bool(), exits = nondet_bool();
	int mask = i ? CR4_GUEST_HOST_MASK : CR0_GUEST_HOST_MASK;
	int shadow = i ? CR4_READ_SHADOW : CR0_READ_SHADOW;
	int field = i ? GUEST_CR4 : GUEST_CR0;
	int err;

	any_good();
	assume(vcpu->arch.mp_state == KVM_MP_STATE_RUNNABLE);
	was = guest_cr(i);
	if (lmsw)
		val = (was & ~0xeul) | (val & 0xf);
	if (is_guest_mode(vcpu)) {
		exits = true;
	} else if (VMX) {
		if ((val ^ f[shadow]) & f[mask])
			exits = true;
		if (!exits)
			f[field] = (f[field] & f[mask]) | (val & ~f[mask]);
	} else {
		if (i || m.vmcb->cr0_write ||
		    (m.vmcb->cr0_sel_write && ((val ^ m.vmcb->save.cr0) & ~(X86_CR0_TS | X86_CR0_MP))))
			exits = true;
		if (!exits)
			m.vmcb->save.cr0 = val;
	}
	vm_exit();
	if (exits) {
		was = guest_cr(i);
		err = lmsw ? kvm_lmsw(vcpu, val & 0xf) :
		      i ? kvm_set_cr4(vcpu, val) : kvm_set_cr0(vcpu, val);
		proved(!err || guest_cr(i) == was, "a write that is refused changes nothing");
	}
	still_good();
}

void prove_write_cr0(void)
{
	prove_write(0);
}

void prove_write_cr4(void)
{
	prove_write(1);
}

static int wrmsr(bool host)
{
	struct msr_data msr = { .host_initiated = host, .data = nondet_ulong() };

	msr.index = nondet_int();
	assume(msr.index >= MSR_KVM_CR0_PIN_ALLOWED && msr.index <= MSR_KVM_CR4_PINNED_LOW);
	return kvm_cr_pin_set_msr(vcpu, &msr);
}

/* WRMSR, also from the MSR lists of nested VM-entry and VM-exit */
void prove_wrmsr(void)
{
	struct kvm_cr_pins was;
	int err, i;

	any_good();
	assume(vcpu->arch.mp_state == KVM_MP_STATE_RUNNABLE);
	was = vcpu->arch.cr_pins;
	vm_exit();
	err = wrmsr(false);
	for (i = 0; i < 4; i++) {
		unsigned long now = vcpu->arch.cr_pins.msr[i], added = now & ~was.msr[i];

		proved(!(was.msr[i] & ~now), "the guest takes no pin back");
		proved(!added || (!err && !is_smm(vcpu) && !is_guest_mode(vcpu)),
		       "no pin is added from SMM or L2, or by a write that fails");
		proved(!(added & was.msr[i ^ 2]), "the guest pins no bit both ways");
		proved(!(added & (i & 2 ? guest_cr(i & 1) : ~guest_cr(i & 1))),
		       "bits have the value that the guest pins them to");
		proved(!added || !(added & vcpu->arch.cr4_guest_rsvd_bits) || !(i & 1),
		       "the guest pins no bit that it has not");
		proved(!added || vm.arch.cr_pin_allowed[i & 1], "nothing without opt-in");
	}
	still_good();
}

/* KVM_SET_MSRS, at any time */
void prove_set_msrs(void)
{
	any_good();
	userspace();
	wrmsr(true);
	m.deferred_set &= vcpu->arch.cr_pins.cr4_high;
	still_good();
}

/* INIT and SIPI, one or both, at any time */
void prove_init_sipi(void)
{
	struct kvm_cr_pins was;
	bool sipi;
	int i, n;

	any_good();
	m.apic.pending_events &= BIT(KVM_APIC_INIT) | BIT(KVM_APIC_SIPI);
	vcpu->wants_to_run = true;
	was = vcpu->arch.cr_pins;
	sipi = m.apic.pending_events == BIT(KVM_APIC_SIPI) && !is_guest_mode(vcpu) &&
	       kvm_apic_init_sipi_allowed(vcpu) &&
	       vcpu->arch.mp_state == KVM_MP_STATE_INIT_RECEIVED;
	vm_exit();
	kvm_apic_accept_events(vcpu);

	for (n = 0; n < 4; n++) {
		unsigned long all = ~0ul, some = 0, now = vcpu->arch.cr_pins.msr[n];

		for (i = 1; i < NR_VCPUS; i++) {
			unsigned long *p = vcpu_of(i)->arch.cr_pins.msr;

			if (p[0] | p[1] | p[2] | p[3])
				all &= p[n];
			some |= p[0] | p[1] | p[2] | p[3];
		}
		if (!some)
			all = 0;
		proved(!(was.msr[n] & ~now), "INIT and SIPI take no pin back");
		proved(!(now & ~was.msr[n] & ~all), "SIPI adds only what all others have");
		proved(!(now & ~was.msr[n] & was.msr[n ^ 2]), "SIPI adds nothing opposite");
		if (n & 1)
			all &= ~vcpu->arch.cr4_guest_rsvd_bits;
		proved(!sipi || !(all & vm.arch.cr_pin_allowed[n & 1] & ~now &
				  ~vcpu->arch.cr_pins.msr[n ^ 2]), "SIPI adds what all others have");
	}
	still_good();
}

/* SMI, in L1 or L2 */
void prove_smi(void)
{
	any_good();
	vcpu->wants_to_run = true;
	assume(!is_smm(vcpu) && vcpu->arch.mp_state == KVM_MP_STATE_RUNNABLE);
	vm_exit();
	enter_smm(vcpu);
	still_good();
}

/* RSM, whatever is in SMRAM, the host save area and an enlightened VMCS */
void prove_rsm(void)
{
	struct x86_emulate_ctxt ctxt = { .vcpu = vcpu };

	any_good();
	vcpu->wants_to_run = true;
	assume(is_smm(vcpu) && vcpu->arch.mp_state == KVM_MP_STATE_RUNNABLE);
	vm_exit();
	m.dead = emulator_leave_smm(&ctxt) != X86EMUL_CONTINUE;
	m.deferred_set = 0;
	still_good();
}

/* VMLAUNCH, VMRESUME with anything in vmcs12, also in wait-for-SIPI; VMRUN */
void prove_nested_entry(void)
{
	any_good();
	vcpu->wants_to_run = true;
	assume(!is_guest_mode(vcpu) && vcpu->arch.mp_state == KVM_MP_STATE_RUNNABLE);
	/* VMX operation and VMRUN need paging. */
	assume(guest_cr(0) & X86_CR0_PG);
	vm_exit();
	if (VMX) {
		struct vmcs12 any;

		assume(m.nested.vmxon);
		/* nested_vmx_check_host_state() */
		any.host_cr0 |= X86_CR0_PG | X86_CR0_PE;
		any.guest_cr0 = any_valid_cr0();
		if (!enable_unrestricted_guest)
			any.guest_cr0 |= X86_CR0_PG | X86_CR0_PE;
		m.vmcs12 = any;
		if (nested_vmx_run(vcpu, true))
			return;
		if (!nested_vmx_enter_non_root_mode(vcpu, true) && nondet_bool())
			vcpu->arch.mp_state = KVM_MP_STATE_INIT_RECEIVED;
	} else if (!nested_svm_vmrun(vcpu) && !is_smm(vcpu)) {
		if (model_enter_svm_guest_mode())
			nested_svm_vmexit(&m);
	}
	still_good();
}

/* Any exit from L2 to L1; on VMX also one that is a VM-entry that failed late */
void prove_nested_exit(void)
{
	any_good();
	vcpu->wants_to_run = true;
	assume(is_guest_mode(vcpu));
	vm_exit();
	if (VMX)
		model_vmx_exit(vcpu->arch.mp_state == KVM_MP_STATE_RUNNABLE && nondet_bool());
	else
		nested_svm_vmexit(&m);
	still_good();
}

/* KVM_SET_SREGS{,2}, KVM_SET_VCPU_EVENTS, KVM_SET_NESTED_STATE, KVM_SET_MP_STATE */
void prove_userspace(void)
{
	unsigned long cr0;

	any_good();
	userspace();
	kvm_cr_pins_set_loaded(vcpu);
	switch (nondet_int()) {
	case 0:
		cr0 = nondet_ulong();
		assume(kvm_is_valid_cr0(vcpu, cr0));
		x86_set_cr0(vcpu, cr0);
		x86_set_cr4(vcpu, nondet_ulong());
		break;
	case 1:
		kvm_leave_nested(vcpu);
		kvm_smm_changed(vcpu, nondet_bool());
		m.nested.vmxon = m.nested.vmxon && !is_smm(vcpu);
		break;
	case 2:
		kvm_leave_nested(vcpu);
		if (is_smm(vcpu))
			break;
		if (VMX) {
			struct vmcs12 any;

			any.host_cr0 |= X86_CR0_PG | X86_CR0_PE;
			any.guest_cr0 = any_valid_cr0();
			m.vmcs12 = any;
			m.nested.vmxon = true;
			/* If it fails, the ioctl does, and L1 has what it had. */
			nested_vmx_enter_non_root_mode(vcpu, false);
		} else {
			m.vmcbs[0].save.cr0 = nondet_ulong();
			m.vmcbs[0].save.cr4 = nondet_ulong();
			model_enter_svm_guest_mode();
		}
		break;
	case 3:
		vcpu->arch.mp_state = nondet_bool() ? KVM_MP_STATE_RUNNABLE :
						      KVM_MP_STATE_INIT_RECEIVED;
		break;
	}
	still_good();
}
