// What the programs share. A program prints only what must be the same on every run: no pids, addresses, times.
#ifndef CHECK_H
#define CHECK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// "-" for success, else the name of errno.
#define NAME(result) ((long)(result) == -1 ? strerrorname_np(errno) : "-")

// Prints a call with its result, or with the name of its error.
#define TELL(call)                                                                                                     \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		long result_ = (long)(call);                                                                           \
		if (result_ == -1 && errno)                                                                            \
			printf("%s: %s\n", #call, strerrorname_np(errno));                                             \
		else                                                                                                   \
			printf("%s: %ld\n", #call, result_);                                                           \
	} while (0)

// The same for a call whose result is not the same on every run: only whether it succeeds.
#define TRY(call)                                                                                                      \
	do {                                                                                                           \
		errno = 0;                                                                                             \
		long result_ = (long)(call);                                                                           \
		printf("%s: %s\n", #call, result_ == -1 && errno ? strerrorname_np(errno) : "ok");                     \
	} while (0)

// A call that is not what the program is about, and has to succeed.
#define MUST(call)                                                                                                     \
	({                                                                                                             \
		long result_ = (long)(call);                                                                           \
		if (result_ == -1) {                                                                                   \
			printf("line %d: %s: %s\n", __LINE__, #call, strerrorname_np(errno));                          \
			fflush(stdout);                                                                                \
			_exit(99);                                                                                     \
		}                                                                                                      \
		result_;                                                                                               \
	})

// Prints whether a condition holds.
#define SHOW(condition) printf("%s: %s\n", #condition, (condition) ? "yes" : "no")

__attribute__((unused)) static void print_status(int status)
{
	if (WIFEXITED(status))
		printf("exited %d\n", WEXITSTATUS(status));
	else if (WIFSIGNALED(status) && WTERMSIG(status) >= 32)
		printf("killed by signal %d\n", WTERMSIG(status));
	else if (WIFSIGNALED(status))
		printf("killed by SIG%s\n", sigabbrev_np(WTERMSIG(status)));
	else if (WIFSTOPPED(status))
		printf("stopped by %d\n", WSTOPSIG(status));
	else if (WIFCONTINUED(status))
		printf("continued\n");
	else
		printf("strange status\n");
}

// Waits for one child and prints how it ended.
__attribute__((unused)) static void reap(pid_t pid)
{
	int status;
	pid_t got;
	while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	if (got < 0)
		printf("waitpid: %s\n", strerrorname_np(errno));
	else
		print_status(status);
}

// Runs the block in a child, then prints how the child ended.
#define IN_CHILD(...)                                                                                                  \
	do {                                                                                                           \
		fflush(stdout);                                                                                        \
		pid_t child_ = (pid_t)MUST(fork());                                                                    \
		if (child_ == 0) {                                                                                     \
			__VA_ARGS__;                                                                                   \
			fflush(stdout);                                                                                \
			_exit(0);                                                                                      \
		}                                                                                                      \
		reap(child_);                                                                                          \
	} while (0)

__attribute__((unused)) static void pause_ms(long milliseconds)
{
	struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

__attribute__((unused)) static long now_ms(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// Creates a file with the given text.
__attribute__((unused)) static void put(const char *path, const char *text, mode_t mode)
{
	int fd = (int)MUST(open(path, O_WRONLY | O_CREAT | O_TRUNC, mode));
	MUST(write(fd, text, strlen(text)));
	MUST(close(fd));
}

__attribute__((unused)) static void on(int signal, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	sigemptyset(&action.sa_mask);
	MUST(sigaction(signal, &action, NULL));
}

__attribute__((unused)) static void on_info(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO };
	sigemptyset(&action.sa_mask);
	MUST(sigaction(signal, &action, NULL));
}

// Descriptors that whoever runs the tests left open are not the program's; what it gives itself by exec is.
__attribute__((constructor)) static void start(int argc)
{
	if (argc == 1)
		syscall(SYS_close_range, 3, ~0U, 0);
	setvbuf(stdout, NULL, _IOLBF, 4096);
}
#endif
