#include "check.h"
#include <ucontext.h>

static void wreck(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	(void)signal, (void)info;
	user->uc_mcontext.gregs[REG_RIP] = 0x1234567812345678;
}

static void wreck_stack(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	__asm__ volatile("mov $8, %rsp; mov $15, %eax; syscall");
}

static void odd_segments(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	(void)signal, (void)info;
	user->uc_mcontext.gregs[REG_CSGSFS] = 0;
}

int main(void)
{
	IN_CHILD({
		on_info(SIGUSR1, wreck, 0);
		raise(SIGUSR1);
	});
	IN_CHILD({
		on_info(SIGUSR1, wreck_stack, 0);
		raise(SIGUSR1);
	});
	IN_CHILD({
		on_info(SIGUSR1, odd_segments, 0);
		raise(SIGUSR1);
	});
	printf("alive\n");
	return 0;
}
