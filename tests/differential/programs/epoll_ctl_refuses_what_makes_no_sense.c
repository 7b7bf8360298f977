#include "check.h"
#include <sys/epoll.h>

int main(void)
{
	int p[2];
	MUST(pipe(p));
	struct epoll_event event = { .events = EPOLLIN };
	TELL(epoll_create(0));
	TELL(epoll_create1(1));
	int epoll = MUST(epoll_create(1)), file = MUST(open("file", O_RDWR | O_CREAT, 0644));
	TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event));
	TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, 99, &event));
	TELL(epoll_ctl(99, EPOLL_CTL_ADD, p[0], &event));
	TELL(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &event));
	TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, epoll, &event));
	TELL(epoll_ctl(epoll, EPOLL_CTL_DEL, p[0], &event));
	TELL(epoll_ctl(epoll, EPOLL_CTL_MOD, p[0], &event));
	TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, p[0], &event));
	TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, p[0], &event));
	TELL(epoll_ctl(epoll, 9, p[0], &event));
	TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, p[1], (void *)8));
	TELL(epoll_ctl(epoll, EPOLL_CTL_DEL, p[0], NULL));
	event.events = EPOLLIN | EPOLLEXCLUSIVE;
	TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, p[0], &event));
	TELL(epoll_ctl(epoll, EPOLL_CTL_MOD, p[0], &event));
	event.events = EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT;
	TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, p[1], &event));
	TELL(epoll_wait(epoll, &event, 0, 0));
	TELL(epoll_wait(epoll, &event, -1, 0));
	TELL(epoll_wait(p[0], &event, 1, 0));
	TELL(epoll_wait(epoll, (void *)8, 1, 0));
	write(p[1], "x", 1);
	TELL(epoll_wait(epoll, (void *)8, 1, 0));
	TELL(epoll_wait(epoll, &event, 1, 0));
	// Nested, but not in a circle.
	int outer = MUST(epoll_create1(0));
	event.events = EPOLLIN;
	TELL(epoll_ctl(outer, EPOLL_CTL_ADD, epoll, &event));
	TELL(epoll_ctl(epoll, EPOLL_CTL_ADD, outer, &event));
	TELL(epoll_wait(outer, &event, 1, 0));
	char byte;
	read(p[0], &byte, 1);
	TELL(epoll_wait(outer, &event, 1, 0));
	TELL(read(epoll, &byte, 1));
	return 0;
}
