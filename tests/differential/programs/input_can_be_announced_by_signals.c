#include "check.h"
#include <sys/socket.h>

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
	// The signal is there when the write returns.
	write(p[1], "x", 1);
	printf("signal %d code %d\n", number, code > 0 ? 128 : code);
	TELL(fcntl(p[0], F_GETSIG));
	TELL(fcntl(p[0], F_SETSIG, SIGRTMIN + 2));
	TELL(fcntl(p[0], F_SETSIG, 99));
	write(p[1], "x", 1);
	printf("signal %d code %d band %lx fd %d\n", number - SIGRTMIN, code, band, descriptor == p[0]);
	TELL(fcntl(p[0], F_SETOWN, 1 << 21));

	int s[2];
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	MUST(fcntl(s[0], F_SETOWN, getpid()));
	MUST(fcntl(s[0], F_SETSIG, SIGRTMIN + 2));
	MUST(fcntl(s[0], F_SETFL, O_ASYNC));
	number = 0;
	write(s[1], "x", 1);
	printf("signal %d code %d fd %d\n", number - SIGRTMIN, code, descriptor == s[0]);

	// The writer is another process, and sleeps in the same call.
	MUST(fcntl(p[0], F_SETOWN, getpid()));
	number = 0;
	pid_t child = (pid_t)MUST(fork());
	if (!child) {
		static char much[1 << 20];
		write(p[1], much, sizeof much);
		_exit(0);
	}
	for (long end = now_ms() + 3000; !number && now_ms() < end;)
		usleep(1000);
	printf("signal %d\n", number - SIGRTMIN);
	kill(child, SIGKILL);
	reap(child);
	return 0;
}
