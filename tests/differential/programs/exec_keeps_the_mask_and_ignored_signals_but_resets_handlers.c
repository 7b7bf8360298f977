#include "check.h"

static void handler(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	if (argc == 1) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		sigprocmask(SIG_BLOCK, &set, NULL);
		on(SIGUSR1, handler, SA_RESTART);
		signal(SIGHUP, SIG_IGN);
		raise(SIGUSR2);
		execl("/proc/self/exe", argv[0], "again", NULL);
		return 1;
	}
	struct sigaction action;
	sigset_t set;
	sigaction(SIGUSR1, NULL, &action);
	SHOW(action.sa_handler == SIG_DFL);
	sigaction(SIGHUP, NULL, &action);
	SHOW(action.sa_handler == SIG_IGN);
	sigprocmask(SIG_BLOCK, NULL, &set);
	SHOW(sigismember(&set, SIGUSR2));
	sigpending(&set);
	SHOW(sigismember(&set, SIGUSR2));
	return 0;
}
