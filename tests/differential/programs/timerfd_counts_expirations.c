#include "check.h"
#include <poll.h>
#include <sys/timerfd.h>

int main(void)
{
	uint64_t count = 0;
	TELL(timerfd_create(99, 0));
	TELL(timerfd_create(CLOCK_MONOTONIC, 1));
	int fd = MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	struct itimerspec spec = { { 0, 0 }, { 0, 20000000 } }, old;
	struct pollfd polled = { fd, POLLIN, 0 };
	TELL(timerfd_gettime(fd, &old));
	printf("%ld %ld\n", old.it_value.tv_sec, old.it_value.tv_nsec);
	TELL(read(fd, &count, 8));
	TELL(timerfd_settime(fd, 0, &spec, &old));
	TELL(read(fd, &count, 8));
	TELL(poll(&polled, 1, 1000));
	TELL(read(fd, &count, 4));
	TELL(read(fd, &count, 8));
	printf("%lu\n", count);
	TELL(read(fd, &count, 8));
	spec = (struct itimerspec){ { 0, 10000000 }, { 0, 10000000 } };
	TELL(timerfd_settime(fd, 0, &spec, NULL));
	pause_ms(55);
	TELL(read(fd, &count, 8));
	SHOW(count >= 5);
	TELL(timerfd_gettime(fd, &old));
	SHOW(old.it_interval.tv_nsec == 10000000 && old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 10000000);
	spec = (struct itimerspec){ { 0, 0 }, { 1, 0 } };
	TELL(timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL));
	TELL(poll(&polled, 1, 1000));
	TELL(read(fd, &count, 8));
	printf("%lu\n", count);
	spec.it_value.tv_nsec = 1000000000;
	TELL(timerfd_settime(fd, 0, &spec, NULL));
	TELL(timerfd_settime(fd, 0x10, &spec, NULL));
	TELL(timerfd_settime(0, 0, &old, NULL));
	TELL(timerfd_settime(fd, 0, (void *)8, NULL));
	TELL(write(fd, &count, 8));
	return 0;
}
