#include "check.h"

static char *self;

static void *sleeper(void *argument)
{
	for (;;)
		pause();
	return argument;
}

static void *spinner(void *argument)
{
	for (;;)
		__asm__ volatile("");
	return argument;
}

static void *executor(void *argument)
{
	char pid[32];
	snprintf(pid, sizeof pid, "%d", getpid());
	execl("/proc/self/exe", self, pid, NULL);
	return argument;
}

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc == 1) {
		pthread_t thread;
		for (int i = 0; i < 4; i++)
			pthread_create(&thread, NULL, sleeper, NULL);
		pthread_create(&thread, NULL, spinner, NULL);
		pthread_create(&thread, NULL, executor, NULL);
		pthread_join(thread, NULL);
		return 1;
	}
	SHOW(getpid() == atoi(argv[1]));
	SHOW(gettid() == getpid());
	int threads = 0;
	char line[256];
	FILE *status = fopen("/proc/self/status", "r");
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "Threads: %d", &threads) == 1)
			printf("threads %d\n", threads);
	return 0;
}
