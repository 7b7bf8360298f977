#include "check.h"

static int child(void *argument)
{
	return (int)(long)argument;
}

int main(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int status;
	signal(SIGUSR1, SIG_IGN);
	pid_t pid = MUST(clone(child, stack + sizeof stack, 0, (void *)5));
	TELL(waitpid(pid, &status, 0));
	SHOW(waitpid(pid, &status, __WCLONE) == pid);
	print_status(status);
	pid = MUST(clone(child, stack + sizeof stack, SIGUSR1, (void *)6));
	SHOW(waitpid(pid, &status, __WALL) == pid);
	print_status(status);
	return 0;
}
