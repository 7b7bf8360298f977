#include "check.h"

#define RAW(flags) ((long)syscall(SYS_clone, (unsigned long)(flags), 0, 0, 0, 0))

int main(void)
{
	TELL(RAW(CLONE_SIGHAND));
	TELL(RAW(CLONE_THREAD));
	TELL(RAW(CLONE_THREAD | CLONE_SIGHAND));
	TELL(RAW(CLONE_FS | CLONE_NEWNS));
	TELL(RAW(CLONE_NEWPID | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM));
	TELL(RAW(CLONE_NEWIPC | CLONE_SYSVSEM));
	TELL(RAW(CLONE_PIDFD | CLONE_PARENT_SETTID));
	TELL(unshare(0x1000));
	TELL(unshare(0));
	TELL(unshare(CLONE_FILES));
	TELL(unshare(CLONE_FS));
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
		uint64_t set_tid, set_tid_size, cgroup, extra;
	} args = { 0 };
	TELL(syscall(SYS_clone3, &args, 7));
	TELL(syscall(SYS_clone3, NULL, 88));
	args.exit_signal = 65;
	TELL(syscall(SYS_clone3, &args, 88));
	args.exit_signal = SIGCHLD;
	args.stack = 4096;
	TELL(syscall(SYS_clone3, &args, 88));
	args.stack = 0;
	args.flags = CLONE_DETACHED;
	TELL(syscall(SYS_clone3, &args, 88));
	args.flags = 0;
	args.extra = 1;
	TELL(syscall(SYS_clone3, &args, 96));
	args.extra = 0;
	fflush(stdout);
	pid_t child = syscall(SYS_clone3, &args, 96);
	if (!child)
		_exit(12);
	reap(child);
	return 0;
}
