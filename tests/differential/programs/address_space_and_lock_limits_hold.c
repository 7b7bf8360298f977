#include "check.h"

#define MAP(...) (mmap(__VA_ARGS__) == MAP_FAILED ? -1L : 0L)

int main(void)
{
	struct rlimit limit = { 512 << 20, RLIM_INFINITY };
	MUST(setrlimit(RLIMIT_AS, &limit));
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	TELL(MAP(NULL, 600 << 20, PROT_READ, flags, -1, 0));
	TELL(MAP(NULL, 100 << 20, PROT_READ, flags, -1, 0));
	TELL(MAP(NULL, 450 << 20, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, -1, 0));
	SHOW(malloc(1ul << 30) == NULL);
	char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, flags, -1, 0);
	TELL(mlock(p, 1 << 20));
	TELL(munlock(p, 1 << 20));
	TELL(mlock((void *)8192, 4096));
	TELL(mlockall(0));
	TELL(munlockall());
	limit = (struct rlimit){ 65536, 65536 };
	MUST(setrlimit(RLIMIT_MEMLOCK, &limit));
	MUST(setresuid(1000, 1000, 1000));
	TELL(mlock(p, 32768));
	TELL(mlock(p, 1 << 20));
	TELL(mlock2(p, 4096, 8));
	return 0;
}
