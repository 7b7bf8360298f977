#include "check.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>

static volatile sig_atomic_t count;

static void handler(int signal)
{
	(void)signal;
	count++;
}

static pid_t teaser(int signal)
{
	pid_t me = getpid(), child = MUST(fork());
	if (!child) {
		pause_ms(40);
		kill(me, signal);
		_exit(0);
	}
	return child;
}

// Runs a call that blocks; a signal comes while it does. For calls that go on, `also` makes them end.
#define INTERRUPTED(call)                                                                                              \
	do {                                                                                                           \
		count = 0;                                                                                             \
		pid_t teaser_ = teaser(SIGUSR1);                                                                       \
		errno = 0;                                                                                             \
		long result_ = (call);                                                                                 \
		printf("%s: %s handled %d\n", #call, NAME(result_), count);                                            \
		waitpid(teaser_, NULL, 0);                                                                             \
	} while (0)

int main(void)
{
	int pipes[2], epoll = epoll_create1(0);
	char byte;
	uint32_t word = 0;
	struct timespec little = { 0, 120000000 }, rest = { 0, 0 };
	struct pollfd pollfd;
	struct epoll_event event;
	MUST(pipe(pipes));
	pollfd = (struct pollfd){ pipes[0], POLLIN, 0 };
	for (int i = 0; i < 2; i++) {
		printf("-- %s\n", i ? "SA_RESTART" : "no flag");
		on(SIGUSR1, handler, i ? SA_RESTART : 0);
		if (!i) {
			INTERRUPTED(read(pipes[0], &byte, 1));
			INTERRUPTED(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0));
			INTERRUPTED(flock(epoll, 0) * 0 + pause());
		}
		INTERRUPTED(poll(&pollfd, 1, 5000));
		INTERRUPTED(ppoll(&pollfd, 1, NULL, NULL));
		fd_set set;
		FD_ZERO(&set);
		FD_SET(pipes[0], &set);
		INTERRUPTED(select(pipes[0] + 1, &set, NULL, NULL, NULL));
		INTERRUPTED(epoll_wait(epoll, &event, 1, 5000));
		INTERRUPTED(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &little, NULL, 0));
		INTERRUPTED(nanosleep(&little, &rest));
		SHOW(rest.tv_sec == 0 && rest.tv_nsec > 0 && rest.tv_nsec < little.tv_nsec);
		INTERRUPTED(clock_nanosleep(CLOCK_MONOTONIC, 0, &little, &rest) ? (errno = EINTR, -1) : 0);
	}
	// Restarted: the read gets what comes later.
	pid_t first = teaser(SIGUSR1), writer = fork();
	if (!writer) {
		pause_ms(120);
		write(pipes[1], "x", 1);
		_exit(0);
	}
	count = 0;
	TELL(read(pipes[0], &byte, 1));
	printf("handled %d\n", count);
	waitpid(first, NULL, 0);
	waitpid(writer, NULL, 0);
	first = teaser(SIGUSR1);
	writer = fork();
	if (!writer) {
		pause_ms(120);
		_exit(3);
	}
	count = 0;
	int status;
	SHOW(waitpid(writer, &status, 0) == writer);
	printf("handled %d\n", count);
	waitpid(first, NULL, 0);
	return 0;
}
