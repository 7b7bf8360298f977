#include "check.h"
#include <setjmp.h>

static sigjmp_buf buffer;

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	printf("code %d\n", info->si_code);
	siglongjmp(buffer, 1);
}

__attribute__((noinline)) static int deeper(int n)
{
	volatile char page[4096];
	page[0] = n;
	return deeper(n + 1) + page[0];
}

int main(void)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };
	setrlimit(RLIMIT_STACK, &limit);
	static char alternate[65536];
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
	sigaltstack(&stack, NULL);
	on_info(SIGSEGV, handler, SA_ONSTACK);
	for (int i = 0; i < 3; i++)
		if (!sigsetjmp(buffer, 1))
			deeper(0);
	printf("alive\n");
	// Without one, the process is killed though it has a handler.
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
	IN_CHILD(deeper(0));
	return 0;
}
