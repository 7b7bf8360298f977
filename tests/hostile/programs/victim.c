// Counts rounds of work, and how many of them went wrong, in the file /progress. SIGUSR1 lets it rest.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int resting;

static void rest(int signal)
{
	resting = !resting;
}

static uint64_t sum(const uint8_t *bytes, int count)
{
	uint64_t sum = 1469598103934665603u;
	for (int i = 0; i < count; i++)
		sum = (sum ^ bytes[i]) * 1099511628211u;
	return sum;
}

int main(void)
{
	static uint8_t sent[8192], got[8192];
	uint64_t counts[2] = { 0, 0 };
	int ends[2], back[2], file = open("/scratch", O_RDWR | O_CREAT, 0600), progress = open("/progress", O_RDWR | O_CREAT, 0600);
	if (file < 0 || progress < 0 || pipe(ends) || pipe(back))
		return 1;
	pid_t partner = fork();
	if (partner == 0) {
		// Sends back what it gets.
		while (read(ends[0], got, 4096) > 0)
			write(back[1], got, 4096);
		return 0;
	}
	struct sigaction action = { .sa_handler = rest };
	sigaction(SIGUSR1, &action, NULL);
	for (;;) {
		uint64_t seed = ++counts[0], ok = 1;
		for (int i = 0; i < 8192; i++)
			sent[i] = seed = seed * 6364136223846793005u + 1442695040888963407u >> 3;
		uint64_t expected = sum(sent, 4096), both = sum(sent, 8192);
		ok &= write(ends[1], sent, 4096) == 4096;
		for (int n = 0; n < 4096;) {
			int part = read(back[0], got + n, 4096 - n);
			if (part <= 0) {
				ok = 0;
				break;
			}
			n += part;
		}
		ok &= sum(got, 4096) == expected;
		ok &= pwrite(file, sent, 8192, 0) == 8192 && pread(file, got, 8192, 0) == 8192 && sum(got, 8192) == both;
		ok &= getpid() == 1;
		counts[1] += !ok;
		pwrite(progress, counts, sizeof counts, 0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		usleep(5000);
		while (resting)
			pause();
	}
}
