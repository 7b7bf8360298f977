#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

// Each identity by its call, made often enough that the kernel may have a shorter way for it.
static long often(long number)
{
	long first = syscall(number);
	for (int i = 0; i < 200; i++)
		if (syscall(number) != first)
			return -2;
	return first;
}

static void tell(const char *when)
{
	printf("%s: %ld %ld %ld %ld\n", when, often(SYS_getuid), often(SYS_geteuid), often(SYS_getgid), often(SYS_getegid));
}

static volatile int filtered, counted;
static pid_t main_thread;

static void *thread(void *unused)
{
	SHOW(often(SYS_getpid) == main_thread);
	SHOW(often(SYS_gettid) != main_thread && often(SYS_gettid) == gettid());
	while (!filtered) {
		syscall(SYS_getuid);
		counted = 1;
	}
	TELL(syscall(SYS_getuid));
	return NULL;
}

int main(void)
{
	main_thread = getpid();
	SHOW(often(SYS_getpid) == main_thread && often(SYS_gettid) == main_thread);
	SHOW(often(SYS_getppid) == getppid());
	IN_CHILD(SHOW(often(SYS_getpid) != main_thread); SHOW(often(SYS_getppid) == main_thread));
	// An orphan has another parent.
	int ends[2], back[2];
	MUST(pipe(ends));
	MUST(pipe(back));
	pid_t middle = MUST(fork());
	if (!middle) {
		if (!MUST(fork())) {
			long before = often(SYS_getppid);
			char byte;
			MUST(write(ends[1], "x", 1));
			long now = before;
			for (int i = 0; i < 100000000 && now == before; i++)
				now = syscall(SYS_getppid);
			byte = now != before && often(SYS_getppid) == now ? 'y' : 'n';
			MUST(write(back[1], &byte, 1));
			_exit(0);
		}
		char byte;
		MUST(read(ends[0], &byte, 1));
		pause_ms(20);
		_exit(0);
	}
	reap(middle);
	char byte;
	MUST(read(back[0], &byte, 1));
	printf("%c\n", byte);
	if (getuid() == 0) {
		tell("first");
		IN_CHILD({
			MUST(syscall(SYS_setresgid, 11, 12, 13));
			tell("groups");
			MUST(syscall(SYS_setresuid, 21, 22, 0));
			tell("users");
			MUST(syscall(SYS_setresuid, 0, 0, 0));
			tell("back");
		});
	} else {
		printf("skipped\n");
	}
	// A filter sees every call from the moment on that it is there, in other threads too.
	pthread_t other;
	MUST(-pthread_create(&other, NULL, thread, NULL));
	while (!counted)
		;
	pause_ms(10);
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { COUNT(code), code };
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program));
	filtered = 1;
	pthread_join(other, NULL);
	TELL(syscall(SYS_getuid));
	IN_CHILD(TELL(syscall(SYS_getuid)));
	IN_CHILD(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); syscall(SYS_exit, often(SYS_getpid) == 1));
	return 0;
}
