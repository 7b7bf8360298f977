#include "check.h"
#include <ucontext.h>

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	printf("SIG%s code %d trap %d address-is-ip %d\n", sigabbrev_np(signal), info->si_code,
	       (int)user->uc_mcontext.gregs[REG_TRAPNO], (long)info->si_addr == user->uc_mcontext.gregs[REG_RIP]);
	fflush(stdout);
	_exit(0);
}

int main(void)
{
	int signals[] = { SIGILL, SIGFPE, SIGTRAP, SIGSEGV, SIGBUS };
	for (size_t i = 0; i < COUNT(signals); i++)
		on_info(signals[i], handler, 0);
	IN_CHILD(__asm__ volatile("ud2"));
	IN_CHILD(__asm__ volatile("xor %%ecx, %%ecx; mov $1, %%eax; cltd; idiv %%ecx" ::: "eax", "ecx", "edx"));
	IN_CHILD(__asm__ volatile("int3"));
	IN_CHILD(__asm__ volatile("hlt"));
	IN_CHILD(__asm__ volatile("pushf; orl $0x100, (%%rsp); popf; nop" ::: "memory", "cc"));
	IN_CHILD({
		double one = 1, none = 0;
		unsigned csr = 0x1d80;
		__asm__ volatile("ldmxcsr %0; divsd %2, %1" : : "m"(csr), "x"(one), "x"(none));
	});
	IN_CHILD(*(volatile char *)0x800000000000ul = 1);
	IN_CHILD(__asm__ volatile("int $0x21"));
	// Blocked or ignored, a fault kills.
	IN_CHILD({
		sigset_t set;
		sigfillset(&set);
		sigprocmask(SIG_BLOCK, &set, NULL);
		*(volatile char *)8 = 1;
	});
	IN_CHILD({
		signal(SIGSEGV, SIG_IGN);
		*(volatile char *)8 = 1;
	});
	return 0;
}
