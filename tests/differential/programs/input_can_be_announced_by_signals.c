#include "check.h"

static volatile int number, code, descriptor;
static volatile long band;

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)context;
	number = signal;
	code = info->si_code;
	band = info->si_band;
	descriptor = info->si_fd;
}

int main(void)
{
	int p[2];
	MUST(pipe(p));
	on_info(SIGIO, handler, 0);
	on_info(SIGRTMIN + 2, handler, 0);
	TELL(fcntl(p[0], F_GETOWN));
	TELL(fcntl(p[0], F_SETOWN, getpid()));
	SHOW(fcntl(p[0], F_GETOWN) == getpid());
	TELL(fcntl(p[0], F_SETFL, O_ASYNC));
	TELL(fcntl(p[0], F_GETFL) & O_ASYNC);
	write(p[1], "x", 1);
	pause_ms(5);
	printf("signal %d code %d\n", number, code > 0 ? 128 : code);
	TELL(fcntl(p[0], F_GETSIG));
	TELL(fcntl(p[0], F_SETSIG, SIGRTMIN + 2));
	TELL(fcntl(p[0], F_SETSIG, 99));
	write(p[1], "x", 1);
	pause_ms(5);
	printf("signal %d code %d band %lx fd %d\n", number - SIGRTMIN, code, band, descriptor == p[0]);
	TELL(fcntl(p[0], F_SETOWN, 1 << 21));
	return 0;
}
