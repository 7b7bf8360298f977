#include "check.h"

int main(void)
{
	int status;
	siginfo_t info;
	pid_t child = fork();
	if (!child) {
		// A group of its own has a parent outside: SIGTSTP stops it, as it would not an orphaned group.
		setpgid(0, 0);
		raise(SIGSTOP);
		for (;;)
			pause();
	}
	MUST(waitpid(child, &status, WUNTRACED));
	print_status(status);
	TELL(waitpid(child, &status, WUNTRACED | WNOHANG));
	kill(child, SIGCONT);
	MUST(waitpid(child, &status, WCONTINUED));
	print_status(status);
	TELL(waitpid(child, &status, WCONTINUED | WNOHANG));
	kill(child, SIGTSTP);
	MUST(waitid(P_PID, child, &info, WSTOPPED));
	printf("code %d status %d\n", info.si_code, info.si_status);
	kill(child, SIGCONT);
	MUST(waitid(P_PID, child, &info, WCONTINUED));
	printf("code %d status %d\n", info.si_code, info.si_status);
	kill(child, SIGKILL);
	MUST(waitid(P_PID, child, &info, WEXITED));
	printf("code %d status %d\n", info.si_code, info.si_status);
	return 0;
}
