#include "check.h"

static volatile sig_atomic_t done;

static void handler(int signal)
{
	(void)signal;
	done = 1;
}

int main(void)
{
	on(SIGALRM, handler, 0);
	ualarm(20000, 0);
	while (!done)
		;
	printf("done\n");
	IN_CHILD({
		alarm(1);
		signal(SIGALRM, SIG_DFL);
		for (;;)
			;
	});
	return 0;
}
