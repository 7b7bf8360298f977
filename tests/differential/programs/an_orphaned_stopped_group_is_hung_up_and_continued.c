#include "check.h"

static void handler(int signal)
{
	if (signal == SIGHUP)
		_exit(11);
}

int main(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t child = fork();
	if (!child) {
		setsid();
		pid_t middle = fork();
		if (!middle) {
			pid_t grandchild = fork();
			if (!grandchild) {
				setpgid(0, 0);
				on(SIGHUP, handler, 0);
				raise(SIGSTOP);
				for (;;)
					pause();
			}
			int status;
			waitpid(grandchild, &status, WUNTRACED);
			print_status(status);
			_exit(0);
		}
		reap(middle);
		pause_ms(20);
		_exit(0);
	}
	reap(child);
	reap(-1);
	return 0;
}
