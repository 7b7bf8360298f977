#include "library_text.h"

#include <ucontext.h>

// With the trap flag set, each instruction of a call is stepped over as it stands in the file.
static struct text text;
static long steps[64];
static int count;

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	long at = user->uc_mcontext.gregs[REG_RIP] - (long)text.getppid;
	if (at >= -16 && at < 16 && count < 64)
		steps[count++] = at;
}

static void step(void)
{
	long result;
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushf\n\torl $0x100, (%%rsp)\n\tpopf\n\tcall *%1\n\t"
			 "pushf\n\tandl $~0x100, (%%rsp)\n\tpopf\n\tlea 128(%%rsp), %%rsp"
			 : "=a"(result)
			 : "r"(text.getppid)
			 : "rcx", "r11", "memory", "cc");
	printf("%s:", result == getppid() ? "right" : "wrong");
	for (int i = 0; i < count; i++)
		printf(" %ld", steps[i]);
	printf("\n");
	count = 0;
}

int main(void)
{
	text = map_library();
	on_info(SIGTRAP, handler, 0);
	step();
	SHOW(always(text.getppid, 0, getppid()));
	step();
	step();
	SHOW(always(text.getppid, 0, getppid()));
	return 0;
}
