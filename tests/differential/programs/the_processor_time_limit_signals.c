#include "check.h"

static void handler(int signal)
{
	printf("SIG%s\n", sigabbrev_np(signal));
	fflush(stdout);
	_exit(3);
}

int main(void)
{
	struct rlimit limit = { 1, 3 };
	IN_CHILD({
		on(SIGXCPU, handler, 0);
		setrlimit(RLIMIT_CPU, &limit);
		for (;;)
			;
	});
	struct rusage usage;
	getrusage(RUSAGE_CHILDREN, &usage);
	// How much there is of it, and how much is the kernel's, is a matter of which ticks find it there.
	struct timeval used;
	timeradd(&usage.ru_utime, &usage.ru_stime, &used);
	SHOW(used.tv_sec * 1000 + used.tv_usec / 1000 > 100);
	getrusage(RUSAGE_SELF, &usage);
	SHOW(usage.ru_maxrss > 100);
	TELL(getrusage(5, &usage));
	return 0;
}
