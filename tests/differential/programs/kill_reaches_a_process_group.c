#include "check.h"

int main(void)
{
	TELL(kill(1 << 21, 0));
	TELL(kill(-(1 << 21), SIGTERM));
	TELL(kill(getpid(), 65));
	TELL(kill(getpid(), -1));
	TELL(kill(getpid(), 0));
	pid_t leader = 0, members[3];
	for (int i = 0; i < 3; i++) {
		members[i] = fork();
		if (!members[i])
			for (;;)
				pause();
		if (!i)
			leader = members[0];
		MUST(setpgid(members[i], leader));
	}
	TELL(kill(-leader, 0));
	TELL(killpg(leader, SIGUSR2));
	for (int i = 0; i < 3; i++)
		reap(members[i]);
	TELL(kill(-leader, 0));
	// A zombie can be signalled.
	pid_t zombie = fork();
	if (!zombie)
		_exit(1);
	waitid(P_PID, zombie, NULL, WEXITED | WNOWAIT);
	TELL(kill(zombie, SIGKILL));
	reap(zombie);
	TELL(kill(zombie, 0));
	return 0;
}
