#include "check.h"
#include <poll.h>
#include <sys/signalfd.h>

int main(void)
{
	sigset_t set;
	struct signalfd_siginfo info[4];
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	TELL(signalfd(-1, &set, 0x1));
	TELL(signalfd(0, &set, 0));
	int fd = MUST(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	struct pollfd polled = { fd, POLLIN, 0 };
	TELL(read(fd, info, sizeof info));
	TELL(read(fd, info, 10));
	TELL(poll(&polled, 1, 0));
	kill(getpid(), SIGUSR1);
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 44 });
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 45 });
	TELL(poll(&polled, 1, 0));
	ssize_t bytes = read(fd, info, sizeof info);
	for (size_t i = 0; i < bytes / sizeof *info; i++)
		printf("%u code %d int %d pid %d\n", info[i].ssi_signo, info[i].ssi_code, info[i].ssi_int,
		       info[i].ssi_pid == (unsigned)getpid());
	pid_t child = fork();
	if (!child)
		_exit(8);
	TELL(poll(&polled, 1, 5000));
	TELL(read(fd, info, sizeof info));
	printf("%u code %d status %d pid %d\n", info[0].ssi_signo, info[0].ssi_code, info[0].ssi_status,
	       info[0].ssi_pid == (unsigned)child);
	reap(child);
	// Another set for the same descriptor.
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	TELL(signalfd(fd, &set, 0) == fd);
	kill(getpid(), SIGUSR1);
	TELL(read(fd, info, sizeof info));
	kill(getpid(), SIGUSR2);
	TELL(read(fd, info, sizeof info));
	return 0;
}
