#include "check.h"

int main(void)
{
	int status;
	TELL(waitpid(-1, &status, 0));
	TELL(waitpid(-1, &status, WNOHANG));
	TELL(waitpid(1 << 20, &status, WNOHANG));
	TELL(waitpid(-1, &status, 0x40));
	TELL(waitpid(INT_MIN, &status, 0));
	TELL(waitid(P_PID, 0, NULL, WEXITED));
	TELL(waitid(P_ALL, 0, NULL, 0));
	TELL(waitid(77, 0, NULL, WEXITED));

	int gate[2];
	MUST(pipe(gate));
	pid_t child = fork();
	if (!child) {
		char byte;
		close(gate[1]);
		read(gate[0], &byte, 1);
		_exit(5);
	}
	TELL(waitpid(child, &status, WNOHANG));
	TELL(waitpid(0, &status, WNOHANG));
	siginfo_t info;
	memset(&info, 0xff, sizeof info);
	TELL(waitid(P_PID, child, &info, WEXITED | WNOHANG));
	SHOW(info.si_pid == 0 && info.si_signo == 0);
	close(gate[1]);
	// WNOWAIT leaves it to be waited for again.
	TELL(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	SHOW(info.si_pid == child);
	printf("code %d status %d signo %d errno %d uid-is-mine %d\n", info.si_code, info.si_status, info.si_signo, info.si_errno,
	       info.si_uid == getuid());
	TELL(waitid(P_PGID, getpgrp(), &info, WEXITED) == 0 && info.si_pid == child);
	TELL(waitpid(child, &status, 0));
	return 0;
}
