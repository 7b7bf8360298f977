#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

static long install(struct sock_filter *code, unsigned short length, unsigned flags)
{
	struct sock_fprog program = { length, code };
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

// Answers a call whose first argument is `argument` with an error.
static long refuse(unsigned call, unsigned argument, unsigned error, unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	return install(code, COUNT(code), flags);
}

static int gate[2];
static volatile int ready, tell;

static void *other(void *its_own)
{
	if (its_own)
		refuse(SYS_getpgid, 7, ENOTTY, 0);
	ready = 1;
	while (!tell)
		usleep(1000);
	TELL(syscall(SYS_getpgid, 1000000));
	TELL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	TELL(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	return NULL;
}

static void synchronise(int its_own, unsigned flags)
{
	pthread_t thread;
	ready = tell = 0;
	MUST(-pthread_create(&thread, NULL, other, its_own ? &gate : NULL));
	while (!ready)
		usleep(1000);
	long result = refuse(SYS_getpgid, 1000000, EXDEV, flags);
	printf("result %s %s\n", result > 0 ? "a thread" : result ? "error" : "0", result < 0 ? strerrorname_np(errno) : "");
	tell = 1;
	pthread_join(thread, NULL);
	TELL(syscall(SYS_getpgid, 1000000));
}

static void show_status(void)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "r");
	while (fgets(line, sizeof line, status))
		if (!strncmp(line, "Seccomp", 7) || !strncmp(line, "NoNewPrivs", 10))
			fputs(line, stdout);
	fclose(status);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		printf("after exec\n");
		TELL(syscall(SYS_getpgid, 1000000));
		show_status();
		return 0;
	}
	MUST(pipe(gate));
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

	// What is refused.
	IN_CHILD({
		if (!setuid(1000))
			TELL(install(&allow, 1, 0));
	});
	IN_CHILD({
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		TELL(install(&allow, 0, 0));
		TELL(install(&allow, 4097, 0));
		TELL(install(NULL, 1, 0));
		TELL(install(&allow, 1, 1 << 20));
		TELL(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL));
		struct sock_filter endless[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0) };
		TELL(install(endless, 1, 0));
		struct sock_filter beyond[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), allow };
		TELL(install(beyond, 2, 0));
		struct sock_filter odd[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), allow };
		TELL(install(odd, 2, 0));
		struct sock_filter byte[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), allow };
		TELL(install(byte, 2, 0));
		struct sock_filter far[] = { BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 5, 5), allow };
		TELL(install(far, 2, 0));
		struct sock_filter zero[] = { BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), allow };
		TELL(install(zero, 2, 0));
		struct sock_filter memory[] = { BPF_STMT(BPF_LD | BPF_MEM, 16), allow };
		TELL(install(memory, 2, 0));
		struct sock_filter unset[] = { BPF_STMT(BPF_LD | BPF_MEM, 3), allow };
		TELL(install(unset, 2, 0));
		struct sock_filter shift[] = { BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), allow };
		TELL(install(shift, 2, 0));
		TELL(install(&allow, 1, 0));
		TELL(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
		TELL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0));
		TELL(prctl(PR_SET_SECCOMP, 77, 0, 0, 0));
	});

	// All are asked; children and what they execute keep them.
	IN_CHILD({
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		TELL(refuse(SYS_getpgid, 1000000, EXDEV, 0));
		TELL(refuse(SYS_getpgid, 1000001, EDOM, 0));
		TELL(refuse(SYS_getpgid, 1000000, ENOTTY, 0));
		TELL(syscall(SYS_getpgid, 1000000));
		TELL(syscall(SYS_getpgid, 1000001));
		TELL(syscall(SYS_getpgid, 1000002));
		show_status();
		IN_CHILD({ TELL(syscall(SYS_getpgid, 1000001)); });
		TELL(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL));
		fflush(stdout);
		execl(argv[0], argv[0], "again", NULL);
	});

	// Other threads take them over, or nobody does.
	IN_CHILD({
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		synchronise(0, 0);
	});
	IN_CHILD({
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		synchronise(0, SECCOMP_FILTER_FLAG_TSYNC);
	});
	IN_CHILD({
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		synchronise(1, SECCOMP_FILTER_FLAG_TSYNC);
	});
	IN_CHILD({
		MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		synchronise(1, SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH);
	});
	return 0;
}
