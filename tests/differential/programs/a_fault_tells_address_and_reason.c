#include "check.h"
#include <setjmp.h>
#include <ucontext.h>

static sigjmp_buf buffer;
static char *base;

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	printf("SIG%s code %d offset %ld write %d\n", sigabbrev_np(signal), info->si_code, (long)((char *)info->si_addr - base),
	       (int)(user->uc_mcontext.gregs[REG_ERR] >> 1 & 1));
	siglongjmp(buffer, 1);
}

#define FAULT(access)                                                                                                  \
	do {                                                                                                           \
		printf("%s: ", #access);                                                                               \
		if (!sigsetjmp(buffer, 1)) {                                                                           \
			access;                                                                                        \
			printf("fine\n");                                                                              \
		}                                                                                                      \
	} while (0)

int main(void)
{
	on_info(SIGSEGV, handler, 0);
	on_info(SIGBUS, handler, 0);
	base = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile char *p = base;
	volatile char sink;
	munmap(base + 7 * 4096, 4096);
	mprotect(base + 4096, 4096, PROT_READ);
	mprotect(base + 2 * 4096, 4096, PROT_NONE);
	FAULT(p[10] = 1);
	FAULT(p[4096 + 20] = 1);
	FAULT(sink = p[4096 + 20]);
	FAULT(sink = p[2 * 4096 + 33]);
	FAULT(p[2 * 4096 + 33] = 1);
	FAULT(sink = p[7 * 4096 + 5]);
	FAULT(p[7 * 4096 + 5] = 1);
	FAULT(((void (*)(void))(base + 100))());
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(ftruncate(fd, 4096 + 100));
	base = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	p = base;
	FAULT(p[4096 + 99] = 1);
	FAULT(p[4096 + 4000] = 1);
	FAULT(sink = p[2 * 4096]);
	FAULT(p[3 * 4096 + 9] = 1);
	MUST(ftruncate(fd, 10));
	FAULT(sink = p[4096]);
	FAULT(sink = p[50]);
	MUST(ftruncate(fd, 3 * 4096));
	FAULT(sink = p[2 * 4096]);
	FAULT(sink = p[4096 + 99]; printf("%d ", sink));
	base = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	p = base;
	FAULT(p[3] = 1);
	return 0;
}
