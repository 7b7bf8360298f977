#include "check.h"

int main(void)
{
	int status;
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < 3; i++)
		if (!fork())
			_exit(i);
	// wait() blocks until all are gone, then fails.
	TELL(wait(&status));

	on(SIGCHLD, SIG_DFL, SA_NOCLDWAIT);
	if (!fork())
		_exit(1);
	TELL(waitpid(-1, &status, 0));
	on(SIGCHLD, SIG_DFL, 0);
	IN_CHILD(_exit(1));
	return 0;
}
