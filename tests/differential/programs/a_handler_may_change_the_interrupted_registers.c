#include "check.h"
#include <ucontext.h>

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	(void)signal, (void)info;
	// Step over `ud2` and change the result; the mask at return is the frame's.
	user->uc_mcontext.gregs[REG_RIP] += 2;
	user->uc_mcontext.gregs[REG_RBX] = 1234;
	sigaddset(&user->uc_sigmask, SIGUSR2);
	printf("trap %d code %d at-fault %d\n", (int)user->uc_mcontext.gregs[REG_TRAPNO], info->si_code,
	       info->si_addr == (void *)(user->uc_mcontext.gregs[REG_RIP] - 2));
}

int main(void)
{
	long value;
	on_info(SIGILL, handler, 0);
	__asm__ volatile("mov $1, %%rbx; ud2; mov %%rbx, %0" : "=r"(value)::"rbx", "memory");
	printf("%ld\n", value);
	sigset_t set;
	sigprocmask(SIG_BLOCK, NULL, &set);
	SHOW(sigismember(&set, SIGUSR2));
	return 0;
}
