#include "check.h"

static pthread_t first;
static int gate[2];

static void *body(void *argument)
{
	pthread_join(first, NULL);
	char byte;
	read(gate[0], &byte, 1);
	char line[256];
	FILE *status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof line, status))
		if (!strncmp(line, "State:", 6))
			printf("%s", line);
	printf("alone %d\n", gettid() != getpid());
	IN_CHILD(printf("child\n"));
	exit(7);
	return argument;
}

int main(void)
{
	MUST(pipe(gate));
	pid_t child = fork();
	if (!child) {
		pthread_t thread;
		first = pthread_self();
		pthread_create(&thread, NULL, body, NULL);
		pthread_exit(NULL);
	}
	pause_ms(10);
	int status;
	TELL(waitpid(child, &status, WNOHANG));
	write(gate[1], "", 1);
	reap(child);
	return 0;
}
