#include "check.h"
#include <sys/epoll.h>

static int epoll;

static void look(const char *when)
{
	struct epoll_event events[8];
	int count = epoll_wait(epoll, events, 8, 0);
	printf("%s:", when);
	for (int i = 0; i < count; i++)
		printf(" %x/%lu", events[i].events, events[i].data.u64);
	printf(" (%d)\n", count);
}

int main(void)
{
	int p[2];
	char byte;
	MUST(pipe(p));
	epoll = MUST(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 1 };
	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, p[0], &event));
	look("empty");
	write(p[1], "ab", 2);
	look("level");
	look("level again");
	event.events = EPOLLIN | EPOLLET;
	event.data.u64 = 2;
	MUST(epoll_ctl(epoll, EPOLL_CTL_MOD, p[0], &event));
	look("edge");
	look("edge again");
	read(p[0], &byte, 1);
	look("edge after a read");
	write(p[1], "c", 1);
	look("edge after a write");
	look("edge again");
	event.events = EPOLLIN | EPOLLONESHOT;
	event.data.u64 = 3;
	MUST(epoll_ctl(epoll, EPOLL_CTL_MOD, p[0], &event));
	look("oneshot");
	look("oneshot again");
	write(p[1], "d", 1);
	look("oneshot after a write");
	MUST(epoll_ctl(epoll, EPOLL_CTL_MOD, p[0], &event));
	look("rearmed");
	event.events = EPOLLIN | EPOLLOUT;
	event.data.u64 = 4;
	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, p[1], &event));
	look("writer");
	close(p[1]);
	event.data.u64 = 5;
	event.events = EPOLLIN;
	MUST(epoll_ctl(epoll, EPOLL_CTL_MOD, p[0], &event));
	look("hung up");
	while (read(p[0], &byte, 1) == 1)
		;
	look("drained");
	int twin = dup(p[0]);
	close(p[0]);
	look("closed, but the description lives");
	close(twin);
	look("gone");
	return 0;
}
