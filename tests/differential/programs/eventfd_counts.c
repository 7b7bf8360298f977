#include "check.h"
#include <poll.h>
#include <sys/eventfd.h>

int main(void)
{
	uint64_t value;
	TELL(eventfd(0, 0x2));
	int fd = MUST(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
	struct pollfd polled = { fd, POLLIN | POLLOUT, 0 };
	TELL(read(fd, &value, 4));
	TELL(read(fd, &value, 8));
	printf("%lu\n", value);
	TELL(read(fd, &value, 8));
	TELL(poll(&polled, 1, 0));
	printf("%x\n", polled.revents);
	value = 5;
	TELL(write(fd, &value, 8));
	TELL(write(fd, &value, 4));
	value = UINT64_MAX;
	TELL(write(fd, &value, 8));
	value = UINT64_MAX - 6;
	TELL(write(fd, &value, 8));
	value = UINT64_MAX - 6 - 1;
	TELL(write(fd, &value, 8));
	value = 1;
	TELL(write(fd, &value, 8));
	TELL(poll(&polled, 1, 0));
	printf("%x\n", polled.revents);
	TELL(read(fd, &value, 8));
	printf("%lu\n", value);
	TELL(lseek(fd, 0, SEEK_SET));
	TELL(pread(fd, &value, 8, 0));
	int semaphore = MUST(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	for (int i = 0; i < 3; i++) {
		value = 0;
		TELL(read(semaphore, &value, 8));
		printf("%lu\n", value);
	}
	int blocking = MUST(eventfd(0, 0));
	pid_t child = fork();
	if (!child) {
		pause_ms(20);
		value = 9;
		write(blocking, &value, 8);
		_exit(0);
	}
	TELL(read(blocking, &value, 8));
	printf("%lu\n", value);
	reap(child);
	return 0;
}
