#include "check.h"

static volatile int depth, raises;

static void nest(int signal)
{
	depth++;
	printf("enter %d\n", depth);
	if (raises-- > 0)
		raise(signal);
	printf("leave %d\n", depth);
	depth--;
}

int main(void)
{
	printf("-- default: deferred\n");
	raises = 2;
	on(SIGUSR1, nest, 0);
	raise(SIGUSR1);
	raises = 2;
	printf("-- SA_NODEFER\n");
	on(SIGUSR1, nest, SA_NODEFER);
	raise(SIGUSR1);
	printf("-- SA_RESETHAND\n");
	raises = 0;
	on(SIGUSR1, nest, SA_RESETHAND);
	raise(SIGUSR1);
	struct sigaction action;
	sigaction(SIGUSR1, NULL, &action);
	SHOW(action.sa_handler == SIG_DFL);
	IN_CHILD(raise(SIGUSR1));
	TELL(sigaction(SIGKILL, &action, NULL));
	TELL(sigaction(SIGSTOP, &action, NULL));
	TELL(sigaction(SIGKILL, NULL, &action));
	TELL(sigaction(0, NULL, &action));
	TELL(sigaction(65, NULL, &action));
	// Unknown flags are not kept.
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} raw = { SIG_IGN, 0x08000000 | 0x00400000 | SA_NODEFER | 0x800, NULL, ~0ul };
	TELL(syscall(SYS_rt_sigaction, SIGUSR2, &raw, NULL, 8));
	TELL(syscall(SYS_rt_sigaction, SIGUSR2, NULL, &raw, 8));
	printf("%lx %lx\n", raw.flags, raw.mask);
	TELL(syscall(SYS_rt_sigaction, SIGUSR2, NULL, &raw, 4));
	return 0;
}
