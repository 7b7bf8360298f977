#include "check.h"

static int p[2];

static void *reader(void *argument)
{
	char byte = 0;
	ssize_t count = read(p[0], &byte, 1);
	printf("%zd %c\n", count, byte);
	return argument;
}

int main(void)
{
	pthread_t thread;
	MUST(pipe(p));
	pthread_create(&thread, NULL, reader, NULL);
	pause_ms(30);
	TELL(close(p[0]));
	pause_ms(10);
	TELL(write(p[1], "x", 1));
	pthread_join(thread, NULL);
	signal(SIGPIPE, SIG_IGN);
	TELL(write(p[1], "x", 1));
	return 0;
}
