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
	SHOW(usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000 > 700);
	getrusage(RUSAGE_SELF, &usage);
	SHOW(usage.ru_maxrss > 100);
	TELL(getrusage(5, &usage));
	return 0;
}
