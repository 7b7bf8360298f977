#include "check.h"

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)context;
	printf("signal %d signo %d errno %d code %d pid %d uid %d\n", signal, info->si_signo, info->si_errno, info->si_code,
	       info->si_pid == getpid(), info->si_uid == getuid());
}

int main(void)
{
	on_info(SIGUSR1, handler, 0);
	kill(getpid(), SIGUSR1);
	raise(SIGUSR1);
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 1 });
	siginfo_t info = { .si_code = -9, .si_errno = 4 };
	info.si_pid = 77;
	TELL(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
	// Nobody may pose as the kernel before another.
	pid_t child = fork();
	if (!child)
		for (;;)
			pause();
	info.si_code = SI_USER;
	TELL(syscall(SYS_rt_sigqueueinfo, child, SIGUSR1, &info));
	info.si_code = SI_TKILL;
	TELL(syscall(SYS_rt_sigqueueinfo, child, SIGUSR1, &info));
	TELL(syscall(SYS_rt_sigqueueinfo, child, 0, &info));
	TELL(syscall(SYS_rt_tgsigqueueinfo, child, child, SIGUSR1, &info));
	TELL(syscall(SYS_tgkill, -1, 1, SIGUSR1));
	TELL(syscall(SYS_tgkill, 1 << 20, getpid(), SIGUSR1));
	TELL(syscall(SYS_tkill, 0, SIGUSR1));
	kill(child, SIGKILL);
	reap(child);
	return 0;
}
