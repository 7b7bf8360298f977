// A reader that waits in open(2) is let in by a writer that has gone again before the reader runs (fifo(7)).
#include "check.h"

int main(void)
{
	MUST(mkfifo("fifo", 0600));
	for (int i = 0; i < 300; i++) {
		pid_t child = fork();
		if (!child) {
			int fd = open("fifo", O_WRONLY);
			write(fd, "x", 1);
			close(fd);
			_exit(0);
		}
		char bytes[2];
		int fd = open("fifo", O_RDONLY);
		ssize_t n = read(fd, bytes, 2), end = read(fd, bytes, 2);
		if (n != 1 || end != 0)
			printf("%d: %zd, then %zd\n", i, n, end);
		close(fd);
		waitpid(child, NULL, 0);
	}
	puts("done");
}
