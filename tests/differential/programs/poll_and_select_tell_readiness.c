#include "check.h"
#include <poll.h>
#include <sys/select.h>

int main(void)
{
	int p[2], file = MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(pipe(p));
	struct pollfd polls[4] = { { p[0], POLLIN, 0 }, { p[1], POLLIN | POLLOUT, 0 }, { file, POLLIN | POLLOUT | POLLPRI, 0 }, { 99, POLLIN, 0 } };
	TELL(poll(polls, 4, 0));
	for (int i = 0; i < 4; i++)
		printf("%x ", polls[i].revents);
	printf("\n");
	polls[3].fd = -1;
	write(p[1], "x", 1);
	TELL(poll(polls, 4, -1));
	for (int i = 0; i < 4; i++)
		printf("%x ", polls[i].revents);
	printf("\n");
	TELL(poll(NULL, 0, 1));
	TELL(poll((void *)8, 1, 0));
	TELL(poll(polls, 1u << 30, 0));
	struct timespec bad = { 0, 1000000000 };
	TELL(ppoll(polls, 1, &bad, NULL));
	long before = now_ms();
	read(p[0], polls, 0);
	char byte;
	read(p[0], &byte, 1);
	polls[0] = (struct pollfd){ p[0], POLLIN, 0 };
	TELL(poll(polls, 1, 30));
	SHOW(now_ms() - before >= 30);
	fd_set readers, writers, others;
	FD_ZERO(&readers);
	FD_ZERO(&writers);
	FD_ZERO(&others);
	FD_SET(p[0], &readers);
	FD_SET(file, &readers);
	FD_SET(p[1], &writers);
	FD_SET(p[0], &others);
	struct timeval time = { 0, 0 };
	TELL(select(p[1] + 1, &readers, &writers, &others, &time));
	printf("%d %d %d %d\n", FD_ISSET(p[0], &readers), FD_ISSET(file, &readers), FD_ISSET(p[1], &writers), FD_ISSET(p[0], &others));
	FD_SET(60, &readers);
	TELL(select(61, &readers, NULL, NULL, &time));
	TELL(select(-1, NULL, NULL, NULL, &time));
	time.tv_usec = -1;
	TELL(select(0, NULL, NULL, NULL, &time));
	time = (struct timeval){ 0, 20000 };
	FD_ZERO(&readers);
	FD_SET(p[0], &readers);
	TELL(select(p[0] + 1, &readers, NULL, NULL, &time));
	printf("%d %ld %ld\n", FD_ISSET(p[0], &readers), (long)time.tv_sec, (long)time.tv_usec);
	// The time left is told.
	time = (struct timeval){ 10, 0 };
	FD_SET(file, &readers);
	TELL(select(file + 1, &readers, NULL, NULL, &time));
	SHOW(time.tv_sec == 9 || time.tv_sec == 10);
	TELL(select(1, (void *)8, NULL, NULL, &time));
	return 0;
}
