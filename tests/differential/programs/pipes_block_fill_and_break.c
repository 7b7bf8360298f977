#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>

int main(void)
{
	int p[2];
	char buffer[65536] = { 0 }, byte;
	signal(SIGPIPE, SIG_IGN);
	TELL(pipe2(p, 0x1));
	TELL(pipe((int *)8));
	MUST(pipe2(p, O_NONBLOCK | O_CLOEXEC));
	printf("flags %x %x fd %x\n", fcntl(p[0], F_GETFL), fcntl(p[1], F_GETFL), fcntl(p[0], F_GETFD));
	TELL(read(p[0], &byte, 1));
	TELL(read(p[1], &byte, 1));
	TELL(write(p[0], &byte, 1));
	TELL(lseek(p[0], 0, SEEK_SET));
	TELL(pread(p[0], &byte, 1, 0));
	TELL(ftruncate(p[1], 0));
	TELL(fsync(p[1]));
	TELL(fcntl(p[0], F_GETPIPE_SZ));
	TELL(write(p[1], buffer, sizeof buffer));
	TELL(write(p[1], buffer, 1));
	int available;
	TELL(ioctl(p[0], FIONREAD, &available));
	printf("available %d\n", available);
	TELL(fcntl(p[1], F_SETPIPE_SZ, 4096));
	TELL(fcntl(p[1], F_SETPIPE_SZ, 100000));
	TELL(write(p[1], buffer, sizeof buffer));
	TELL(read(p[0], buffer, 100));
	// A write of up to PIPE_BUF is all or nothing.
	while (write(p[1], buffer, 4096) == 4096)
		;
	TELL(read(p[0], buffer, 1000));
	TELL(write(p[1], buffer, 4096));
	struct pollfd polls[2] = { { p[0], POLLIN, 0 }, { p[1], POLLOUT, 0 } };
	TELL(poll(polls, 2, 0));
	printf("%x %x\n", polls[0].revents, polls[1].revents);
	close(p[0]);
	TELL(write(p[1], buffer, 1));
	TELL(write(p[1], buffer, 0));
	TELL(poll(polls + 1, 1, 0));
	printf("%x\n", polls[1].revents);
	close(p[1]);
	MUST(pipe(p));
	write(p[1], "abc", 3);
	close(p[1]);
	polls[0].fd = p[0];
	TELL(poll(polls, 1, 0));
	printf("%x\n", polls[0].revents);
	TELL(read(p[0], buffer, 10));
	TELL(read(p[0], buffer, 10));
	TELL(poll(polls, 1, 0));
	printf("%x\n", polls[0].revents);
	IN_CHILD({
		signal(SIGPIPE, SIG_DFL);
		int q[2];
		pipe(q);
		close(q[0]);
		write(q[1], "x", 1);
	});
	return 0;
}
