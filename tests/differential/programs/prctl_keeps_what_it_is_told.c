#include "check.h"
#include <asm/prctl.h>

int main(void)
{
	char name[17] = { 0 };
	TELL(prctl(PR_SET_NAME, "a name longer than fits"));
	TELL(prctl(PR_GET_NAME, name));
	printf("%s\n", name);
	int fd = MUST(open("/proc/self/comm", O_RDWR));
	memset(name, 0, sizeof name);
	read(fd, name, 16);
	printf("%s", name);
	TELL(write(fd, "written", 7));
	TELL(prctl(PR_GET_NAME, name));
	printf("%s\n", name);
	TELL(prctl(PR_SET_NAME, 8));
	TELL(prctl(PR_GET_DUMPABLE));
	TELL(prctl(PR_SET_DUMPABLE, 0));
	TELL(prctl(PR_GET_DUMPABLE));
	TELL(prctl(PR_SET_DUMPABLE, 2));
	TELL(prctl(PR_SET_TIMERSLACK, 1234));
	TELL(prctl(PR_GET_TIMERSLACK));
	TELL(prctl(PR_GET_SECCOMP));
	TELL(prctl(PR_SET_KEEPCAPS, 2));
	TELL(prctl(PR_GET_KEEPCAPS));
	TELL(prctl(PR_GET_SECUREBITS));
	TELL(prctl(9999, 0, 0, 0, 0));
	unsigned long base = 0;
	TELL(syscall(SYS_arch_prctl, ARCH_GET_FS, &base));
	SHOW(base == (unsigned long)pthread_self());
	TELL(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x12345678));
	TELL(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
	printf("%lx\n", base);
	TELL(syscall(SYS_arch_prctl, ARCH_SET_FS, 1ul << 60));
	TELL(syscall(SYS_arch_prctl, ARCH_GET_FS, 8));
	TELL(syscall(SYS_arch_prctl, 0x9999, 0));
	return 0;
}
