// SPDX-License-Identifier: GPL-2.0-only
/*
 * Make KVM offer CET, i.e. IBT, to guests in Bochs. Load it before KVM.
 *
 * KVM does so if the host has the CET components of XSAVES enabled, though IBT of
 * a guest's kernel has no need for them. Bochs would take them in MSR_IA32_XSS, but
 * doesn't have them in CPUID leaf 0xd, and the lab's hosts must not use XSAVES
 * anyway: XRSTORS refuses what XSAVES has saved.
 *
 * Hence claim what KVM looks at. The kernel proper, which has made up its mind about
 * XSAVES long before, doesn't use it all the same. What is missing is that U_CET and
 * the shadow stack pointers are switched along with the FPU: guests must leave user
 * mode without CET.
 */
#include <linux/module.h>

#include <asm/cpufeature.h>
#include <asm/fpu/types.h>
#include <asm/msr.h>

static int __init cet_init(void)
{
	int err = wrmsrq_safe(MSR_IA32_XSS, XFEATURE_MASK_CET_USER | XFEATURE_MASK_CET_KERNEL);

	if (!err)
		set_cpu_cap(&boot_cpu_data, X86_FEATURE_XSAVES);
	return err;
}
module_init(cet_init);

MODULE_DESCRIPTION("Make KVM offer IBT to guests in Bochs");
MODULE_LICENSE("GPL");
