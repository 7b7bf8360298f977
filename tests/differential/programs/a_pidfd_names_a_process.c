#include "check.h"
#include <poll.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

// A directory of /proc takes signals too, since before there were pidfds.
static void directories_of_proc(void)
{
	char path[64];
	pid_t child = fork();
	if (!child)
		for (;;)
			pause();
	snprintf(path, sizeof path, "/proc/%d", child);
	int fd = MUST(open(path, O_RDONLY | O_DIRECTORY));
	int named = MUST(open(path, O_PATH));
	snprintf(path, sizeof path, "/proc/%d/task/%d", child, child);
	int thread = MUST(open(path, O_RDONLY | O_DIRECTORY));
	int root = MUST(open("/proc", O_RDONLY | O_DIRECTORY));
	TELL(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	TELL(syscall(SYS_pidfd_send_signal, named, 0, NULL, 0));
	TELL(syscall(SYS_pidfd_send_signal, thread, 0, NULL, 0));
	TELL(syscall(SYS_pidfd_send_signal, root, 0, NULL, 0));
	TELL(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	siginfo_t info;
	TELL(waitid(P_PIDFD, fd, &info, WEXITED));
	MUST(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	TELL(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	reap(child);
	TELL(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
}

int main(void)
{
	pid_t child = fork();
	if (!child)
		for (;;)
			pause();
	int fd = MUST(syscall(SYS_pidfd_open, child, 0));
	TELL(fcntl(fd, F_GETFD));
	struct pollfd polled = { fd, POLLIN, 0 };
	TELL(poll(&polled, 1, 0));
	TELL(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	TELL(syscall(SYS_pidfd_send_signal, fd, 99, NULL, 0));
	TELL(syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0));
	TELL(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	TELL(poll(&polled, 1, 5000));
	printf("%x\n", polled.revents);
	TELL(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	siginfo_t info;
	TELL(waitid(P_PIDFD, fd, &info, WEXITED));
	printf("%d %d\n", info.si_code, info.si_status);
	TELL(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	TELL(waitid(P_PIDFD, fd, &info, WEXITED));
	TELL(syscall(SYS_pidfd_open, 1 << 21, 0));
	TELL(syscall(SYS_pidfd_open, getpid(), 0x1));
	TELL(syscall(SYS_pidfd_open, -1, 0));
	put("file", "text", 0644);
	int file = MUST(open("file", O_RDONLY)), self = MUST(syscall(SYS_pidfd_open, getpid(), 0));
	int copy = MUST(syscall(SYS_pidfd_getfd, self, file, 0));
	TELL(lseek(file, 2, SEEK_SET));
	TELL(lseek(copy, 0, SEEK_CUR));
	TELL(syscall(SYS_pidfd_getfd, self, 99, 0));
	char byte;
	TELL(read(self, &byte, 1));
	directories_of_proc();
	return 0;
}
