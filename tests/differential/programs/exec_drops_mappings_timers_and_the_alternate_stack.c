#include "check.h"

int main(int argc, char **argv)
{
	if (argc == 1) {
		static char alternate[65536];
		stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
		timer_t timer;
		sigaltstack(&stack, NULL);
		MUST(mmap((void *)0x300000000, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
		MUST(timer_create(CLOCK_MONOTONIC, NULL, &timer));
		alarm(100);
		mlockall(MCL_FUTURE);
		nice(2);
		umask(031);
		chdir("/usr");
		setenv("KEPT", "yes", 1);
		execl("/proc/self/exe", argv[0], "again", NULL);
		return 1;
	}
	stack_t stack;
	unsigned char residence;
	char path[PATH_MAX];
	sigaltstack(NULL, &stack);
	printf("%d\n", stack.ss_flags);
	TELL(mincore((void *)0x300000000, 4096, &residence));
	struct itimerspec spec;
	TELL(syscall(SYS_timer_gettime, 0, &spec));
	SHOW(alarm(0) > 90);
	TELL(getpriority(PRIO_PROCESS, 0));
	printf("%o %s %s\n", umask(0), getcwd(path, sizeof path), getenv("KEPT"));
	return 0;
}
