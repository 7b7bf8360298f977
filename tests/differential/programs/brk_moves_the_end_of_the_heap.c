#include "check.h"

int main(void)
{
	char *start = sbrk(0);
	SHOW((char *)syscall(SYS_brk, 0) == start);
	SHOW((char *)syscall(SYS_brk, start + 100000) == start + 100000);
	memset(start, 'x', 100000);
	SHOW((char *)syscall(SYS_brk, start + 10) == start + 10);
	SHOW((char *)syscall(SYS_brk, start + 100000) == start + 100000);
	printf("%d %d\n", start[9], start[50000]);
	// What can't be done changes nothing.
	SHOW((char *)syscall(SYS_brk, 4096) == start + 100000);
	SHOW((char *)syscall(SYS_brk, 1ul << 50) == start + 100000);
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };
	setrlimit(RLIMIT_DATA, &limit);
	SHOW((char *)syscall(SYS_brk, start + (64 << 20)) == start + 100000);
	return 0;
}
