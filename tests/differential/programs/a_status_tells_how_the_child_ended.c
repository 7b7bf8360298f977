#include "check.h"

int main(void)
{
	IN_CHILD(_exit(0));
	IN_CHILD(_exit(3));
	IN_CHILD(_exit(255));
	IN_CHILD(_exit(256 + 7));
	IN_CHILD(raise(SIGKILL));
	IN_CHILD(raise(SIGTERM));
	IN_CHILD(raise(SIGUSR1));
	IN_CHILD(raise(SIGALRM));
	IN_CHILD(raise(SIGRTMIN + 1));
	IN_CHILD(raise(SIGCHLD));
	IN_CHILD(raise(SIGWINCH));
	IN_CHILD({
		prctl(PR_SET_DUMPABLE, 0);
		abort();
	});
	return 42;
}
