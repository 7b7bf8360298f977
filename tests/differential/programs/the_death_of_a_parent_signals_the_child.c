#include "check.h"

static void handler(int signal)
{
	printf("got SIG%s\n", sigabbrev_np(signal));
	_exit(0);
}

int main(void)
{
	int value = -1;
	TELL(prctl(PR_SET_PDEATHSIG, 99));
	TELL(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	TELL(prctl(PR_GET_PDEATHSIG, &value));
	printf("%d\n", value);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	int ready[2];
	MUST(pipe(ready));
	pid_t child = fork();
	if (!child) {
		if (!fork()) {
			prctl(PR_GET_PDEATHSIG, &value);
			printf("inherited %d\n", value);
			on(SIGUSR2, handler, 0);
			prctl(PR_SET_PDEATHSIG, SIGUSR2);
			write(ready[1], "", 1);
			for (;;)
				pause();
		}
		char byte;
		read(ready[0], &byte, 1);
		_exit(4);
	}
	MUST(waitpid(child, &value, 0));
	reap(-1);
	return 0;
}
