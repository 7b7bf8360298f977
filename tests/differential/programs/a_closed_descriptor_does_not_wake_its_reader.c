#include "check.h"

static int p[2];
static char byte;
static ssize_t count;

static void *reader(void *argument)
{
	count = read(p[0], &byte, 1);
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
	printf("%zd %c\n", count, byte);
	signal(SIGPIPE, SIG_IGN);
	TELL(write(p[1], "x", 1));
	return 0;
}
