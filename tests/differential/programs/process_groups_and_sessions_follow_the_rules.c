#include "check.h"

int main(void)
{
	TELL(setpgid(0, -1));
	TELL(setpgid(-1, 0));
	TELL(setpgid(1 << 21, 0));
	TELL(getpgid(1 << 21));
	TELL(getsid(1 << 21));
	IN_CHILD({
		TRY(setpgid(0, 0));
		SHOW(getpgrp() == getpid());
		TELL(setsid());
		// No such group in this session.
		TELL(setpgid(0, 1 << 20));
	});
	IN_CHILD({
		TRY(setsid());
		SHOW(getsid(0) == getpid() && getpgrp() == getpid());
		TELL(setpgid(0, 0));
		TELL(setsid());
		pid_t child = fork();
		if (!child) {
			pause();
			_exit(0);
		}
		TELL(setpgid(child, child));
		SHOW(getpgid(child) == child);
		SHOW(getsid(child) == getpid());
		TELL(setpgid(child, 0));
		TELL(setpgid(child, getpid()));
		SHOW(getpgid(child) == getpid());
		kill(child, SIGKILL);
		reap(child);
	});
	// A child that has executed another program, and one in another session, can't be moved.
	int ready[2];
	MUST(pipe2(ready, O_CLOEXEC));
	pid_t child = fork();
	if (!child) {
		execl("/bin/sleep", "sleep", "100", NULL);
		_exit(1);
	}
	close(ready[1]);
	char byte;
	read(ready[0], &byte, 1);
	TELL(setpgid(child, child));
	kill(child, SIGKILL);
	reap(child);
	MUST(pipe(ready));
	child = fork();
	if (!child) {
		setsid();
		write(ready[1], "", 1);
		pause();
	}
	read(ready[0], &byte, 1);
	TELL(setpgid(child, child));
	kill(child, SIGKILL);
	reap(child);
	return 0;
}
