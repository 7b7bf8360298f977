#include "check.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static char *low;
static size_t size = 65536;

static void handler(int signal)
{
	char here;
	stack_t stack;
	(void)signal;
	SHOW(&here >= low && &here < low + size);
	sigaltstack(NULL, &stack);
	printf("flags %d size %zu same %d\n", stack.ss_flags, stack.ss_size, stack.ss_sp == low);
	stack.ss_flags = SS_DISABLE;
	TELL(sigaltstack(&stack, NULL));
}

int main(void)
{
	low = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = low, .ss_size = size }, old;
	sigaltstack(NULL, &old);
	printf("flags %d size %zu sp %d\n", old.ss_flags, old.ss_size, old.ss_sp == NULL);
	stack.ss_size = 100;
	TELL(sigaltstack(&stack, NULL));
	stack.ss_size = size;
	stack.ss_flags = 77;
	TELL(sigaltstack(&stack, NULL));
	stack.ss_flags = 0;
	TELL(sigaltstack(&stack, &old));
	on(SIGUSR1, handler, SA_ONSTACK);
	raise(SIGUSR1);
	on(SIGUSR1, handler, 0);
	raise(SIGUSR1);
	stack.ss_sp = low;
	stack.ss_flags = SS_AUTODISARM;
	TELL(sigaltstack(&stack, &old));
	on(SIGUSR1, handler, SA_ONSTACK);
	raise(SIGUSR1);
	sigaltstack(NULL, &old);
	printf("afterwards %d\n", old.ss_flags == SS_AUTODISARM);
	IN_CHILD({
		sigaltstack(NULL, &old);
		printf("in the child %d\n", old.ss_flags == SS_AUTODISARM);
	});
	return 0;
}
