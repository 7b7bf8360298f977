#include "check.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

// The call that the filters answer for; it changes nothing.
#define CALL SYS_getpgid

static void filter(unsigned answer, unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { COUNT(code), code };
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static void caught(int signal, siginfo_t *info, void *context)
{
	ucontext_t *interrupted = context;
	printf("signal %d, code %d, errno %d, call %s, arch %s\n", signal, info->si_code, info->si_errno,
	       info->si_syscall == CALL ? "right" : "wrong", info->si_arch == AUDIT_ARCH_X86_64 ? "right" : "wrong");
	SHOW((long)info->si_call_addr == interrupted->uc_mcontext.gregs[REG_RIP]);
	printf("rax %lld, rdi %lld\n", interrupted->uc_mcontext.gregs[REG_RAX], interrupted->uc_mcontext.gregs[REG_RDI]);
	interrupted->uc_mcontext.gregs[REG_RAX] = 77;
}

static void answer(const char *name, unsigned action, unsigned flags)
{
	printf("%s: ", name);
	IN_CHILD({
		filter(action, flags);
		errno = 0;
		long result = syscall(CALL, 0);
		if (result == -1)
			printf("%s\n", strerrorname_np(errno) ?: "strange error");
		else
			printf("%s\n", result == getpgrp() ? "made" : "faked");
	});
}

static void *kill_thread(void *kind)
{
	filter((unsigned)(long)kind, 0);
	syscall(CALL, 0);
	printf("lives on\n");
	return NULL;
}

int main(void)
{
	static const struct {
		const char *name;
		unsigned value;
	} actions[] = {
		{ "KILL_PROCESS", SECCOMP_RET_KILL_PROCESS }, { "KILL_THREAD", SECCOMP_RET_KILL_THREAD },
		{ "TRAP", SECCOMP_RET_TRAP }, { "ERRNO", SECCOMP_RET_ERRNO | ENOTTY },
		{ "TRACE", SECCOMP_RET_TRACE | 5 }, { "LOG", SECCOMP_RET_LOG }, { "ALLOW", SECCOMP_RET_ALLOW },
	};
	for (unsigned i = 0; i < COUNT(actions); i++) {
		answer(actions[i].name, actions[i].value, 0);
		answer(actions[i].name, actions[i].value, SECCOMP_FILTER_FLAG_LOG);
		TELL(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &(unsigned){ actions[i].value & SECCOMP_RET_ACTION_FULL }));
	}
	answer("ERRNO 0", SECCOMP_RET_ERRNO, 0);
	answer("ERRNO beyond the last", SECCOMP_RET_ERRNO | 0xffff, 0);
	answer("an action that there is not", 0x7ff10000, 0);
	answer("data alone", 5, 0);
	TELL(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &(unsigned){ 0x12340000 }));
	TELL(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &(unsigned){ SECCOMP_RET_ALLOW }));
	TELL(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, NULL));
	TELL(syscall(SYS_seccomp, 99, 0, NULL));

	IN_CHILD({
		on_info(SIGSYS, caught, 0);
		filter(SECCOMP_RET_TRAP | 1234, 0);
		printf("result %ld\n", syscall(CALL, 42));
		// Who blocks or ignores it dies of it.
		signal(SIGSYS, SIG_IGN);
		syscall(CALL, 42);
	});
	IN_CHILD({
		pthread_t thread;
		MUST(-pthread_create(&thread, NULL, kill_thread, (void *)(long)SECCOMP_RET_KILL_THREAD));
		pthread_join(thread, NULL);
		printf("the others live\n");
	});
	IN_CHILD({
		pthread_t thread;
		MUST(-pthread_create(&thread, NULL, kill_thread, (void *)(unsigned long)SECCOMP_RET_KILL_PROCESS));
		pthread_join(thread, NULL);
		printf("the others live\n");
	});
	return 0;
}
