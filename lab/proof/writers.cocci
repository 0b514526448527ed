// SPDX-License-Identifier: GPL-2.0-only
//
// What writes CR0, CR4, KVM's copies of them, their fields in VMCS and VMCB, or who owns
// which bit; and what has that done. See kvm-writers.

@@
expression E, V;
identifier f = {cr0, cr4, cr0_guest_owned_bits, cr4_guest_owned_bits};
@@
(
* E.f = V
|
* E.f |= V
|
* E.f &= V
|
* E->f = V
|
* E->f |= V
|
* E->f &= V
)

@@
expression list es;
identifier g =~ "^_*kvm_set_cr[04]$|^(vmx|svm|vt)_set_cr[04]$|^kvm_lmsw$|^svm_copy_vmrun_state$|^set_cr4_guest_host_mask$|^vmx_set_guest_owned_bits$|^__nested_copy_vmcb_save_to_cache$";
@@
* g(es)

@@
expression list es;
identifier op = {set_cr0, set_cr4, update_cr_pins};
@@
* kvm_x86_call(op)(es)

@@
expression E;
expression list es;
@@
* E->set_cr(es)

@@
expression V;
identifier fld = {GUEST_CR0, GUEST_CR4, CR0_READ_SHADOW, CR4_READ_SHADOW, CR0_GUEST_HOST_MASK, CR4_GUEST_HOST_MASK};
identifier w =~ "^vmcs_write";
@@
* w(fld, V)

// The CPU's own
@@
expression list es;
identifier h =~ "^(native_)?write_cr[04]$|^cr4_(set|clear)_bits.*|^cr4_init$|^(set|clear)_in_cr4$|^cr4_update.*";
@@
* h(es)
