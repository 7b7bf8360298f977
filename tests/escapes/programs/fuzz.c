// Calls every number with arguments that are wild, huge or nearly right, each round in a child with small limits. It is init,
// so that no child's signal reaches it. Arguments: a seed, and for how many seconds.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t state;
static char *pages;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t argument(void)
{
	static const char *const paths[] = { "/tmp/x", "/proc/self/mem", "/proc/self/maps", ".", "..", "/dev/null", "/proc/1/root", "" };
	switch (next() % 16) {
	case 0: return 0;
	case 1: return next() % 8;
	case 2: return -(next() % 4096);
	case 3: return 1ULL << next() % 64;
	case 4: return (1ULL << next() % 64) - 1;
	case 5: return next();
	case 6: return (uint64_t)pages + next() % 4096;
	case 7: return (uint64_t)pages + 4096 + next() % 4096;
	case 8: return (uint64_t)pages + 3 * 4096 - next() % 64;
	case 9: return (uint64_t)paths[next() % 8];
	case 10: return 0x7fff00000000 + next() % 0x100000000;
	case 11: return 0x7ffffffff000 - next() % 0x1000000;
	case 12: return 0xffff800000000000 + next() % 0x100000000;
	case 13: return (uint64_t)&paths;
	case 14: return next() % 65536;
	default: return (uint64_t)pages;
	}
}

static void round_of_calls(void)
{
	static const int limits[][2] = { { RLIMIT_FSIZE, 1 << 20 }, { RLIMIT_NPROC, 50 }, { RLIMIT_AS, 256 << 20 }, { RLIMIT_CPU, 2 },
					 { RLIMIT_NOFILE, 200 } };
	for (unsigned i = 0; i < 5; i++)
		setrlimit(limits[i][0], &(struct rlimit){ limits[i][1], limits[i][1] });
	for (int i = 0; i < 4096; i++)
		pages[i] = next() % 4 ? 0 : next();
	open("/tmp", O_RDONLY);
	open("/tmp/fuzzed", O_RDWR | O_CREAT, 0644);
	socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0, 0 });
	alarm(1);
	for (int i = 0; i < 150; i++) {
		uint64_t number = next() % 8 ? next() % 470 : next() % 2 ? next() % 1200 : next();
		// To wait for nothing would only take time.
		if (number == SYS_pause || number == SYS_exit || number == SYS_exit_group)
			continue;
		syscall(number, argument(), argument(), argument(), argument(), argument(), argument());
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + atoi(argv[2]);
	long rounds = 0;
	pages = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(pages + 4096, 4096, PROT_READ);
	munmap(pages + 3 * 4096, 4096);
	while (time(NULL) < end) {
		rounds++;
		state = strtoull(argv[1], NULL, 0) * 1000003 + rounds;
		next(), next(), next();
		pid_t child = fork();
		if (!child) {
			// What it prints would be nobody's.
			int null = open("/dev/null", O_RDWR);
			for (int fd = 0; fd < 3; fd++)
				dup2(null, fd);
			setsid();
			setgid(65534);
			setuid(65534);
			round_of_calls();
		}
		for (int i = 0; i < 150 && child > 0; i++) {
			if (waitpid(child, NULL, WNOHANG) == child)
				child = 0;
			else
				usleep(10000);
		}
		// All that is left: of init's namespace, but for init.
		kill(-1, SIGKILL);
		while (waitpid(-1, NULL, 0) > 0)
			;
	}
	printf("%s\n", rounds > 10 ? "survived" : "hardly tried");
	return 0;
}
