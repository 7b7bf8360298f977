#include "check.h"

int main(void)
{
	char *base = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(base, 'a', 5 * 4096);
	char *middle = mmap(base + 2 * 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	SHOW(middle == base + 2 * 4096);
	printf("%d %d %d\n", base[2 * 4096 - 1], base[2 * 4096], base[3 * 4096]);
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	TELL(mmap(base + 4096, 4096, PROT_READ, flags, -1, 0) == MAP_FAILED ? -1L : 0L);
	munmap(base + 4096, 4096);
	TELL(mmap(base + 4096, 8192, PROT_READ, flags, -1, 0) == MAP_FAILED ? -1L : 0L);
	SHOW(mmap(base + 4096, 4096, PROT_READ, flags, -1, 0) == base + 4096);
	// A hint that is free is taken, one that is not gives another place.
	munmap(base + 4096, 4096);
	SHOW(mmap(base + 4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == base + 4096);
	SHOW(mmap(base, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != base);
	printf("%d\n", base[0]);
	SHOW((uintptr_t)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0) < 1ul << 31);
	return 0;
}
