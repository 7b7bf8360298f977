#include "check.h"
#include <poll.h>

int main(void)
{
	char byte;
	TELL(mkfifo("fifo", 0640));
	TELL(mkfifo("fifo", 0640));
	struct stat stat;
	MUST(lstat("fifo", &stat));
	printf("%o\n", stat.st_mode);
	TELL(open("fifo", O_WRONLY | O_NONBLOCK));
	int reader = MUST(open("fifo", O_RDONLY | O_NONBLOCK));
	TELL(read(reader, &byte, 1));
	struct pollfd polled = { reader, POLLIN, 0 };
	TELL(poll(&polled, 1, 0));
	int writer = MUST(open("fifo", O_WRONLY | O_NONBLOCK));
	TELL(read(reader, &byte, 1));
	TELL(write(writer, "x", 1));
	TELL(read(reader, &byte, 1));
	close(writer);
	TELL(poll(&polled, 1, 0));
	printf("%x\n", polled.revents);
	close(reader);
	int both = MUST(open("fifo", O_RDWR));
	TELL(write(both, "y", 1));
	TELL(read(both, &byte, 1));
	close(both);
	pid_t child = fork();
	if (!child) {
		int fd = open("fifo", O_WRONLY);
		write(fd, "z", 1);
		_exit(0);
	}
	reader = MUST(open("fifo", O_RDONLY));
	TELL(read(reader, &byte, 1));
	TELL(read(reader, &byte, 1));
	reap(child);
	// Interrupted while nobody comes.
	signal(SIGALRM, SIG_DFL);
	close(reader);
	IN_CHILD({
		ualarm(20000, 0);
		open("fifo", O_WRONLY);
	});
	return 0;
}
