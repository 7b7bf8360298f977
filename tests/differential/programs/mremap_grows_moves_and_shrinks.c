#include "check.h"

int main(void)
{
	char *a = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(a, 'x', 16 * 4096);
	munmap(a + 8 * 4096, 8 * 4096);
	SHOW(mremap(a, 8 * 4096, 4 * 4096, 0) == a);
	SHOW(mremap(a, 4 * 4096, 6 * 4096, 0) == a);
	printf("%d %d\n", a[4 * 4096 - 1], a[4 * 4096]);
	char *wall = mmap(a + 6 * 4096, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	SHOW(wall == a + 6 * 4096);
	TELL(mremap(a, 6 * 4096, 7 * 4096, 0) == MAP_FAILED ? -1L : 0L);
	char *b = mremap(a, 6 * 4096, 7 * 4096, MREMAP_MAYMOVE);
	SHOW(b != MAP_FAILED && b != a);
	printf("%d %d\n", b[0], b[6 * 4096]);
	char *target = mmap(NULL, 7 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	SHOW(mremap(b, 7 * 4096, 7 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
	target[0] = 'y';
	printf("%d %d\n", target[0], target[4096]);
	TELL(mremap(b, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1L : 0L);
	TELL(mremap(target + 1, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1L : 0L);
	TELL(mremap(target, 4096, 0, MREMAP_MAYMOVE) == MAP_FAILED ? -1L : 0L);
	TELL(mremap(target, 4096, 4096, MREMAP_FIXED, b) == MAP_FAILED ? -1L : 0L);
	TELL(mremap(target, 4096, 4096, 0x40) == MAP_FAILED ? -1L : 0L);
	TELL(mremap(target, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, target + 4096) == MAP_FAILED ? -1L : 0L);
	// Old size 0 duplicates a shared mapping.
	char *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *twin = mremap(shared, 0, 4096, MREMAP_MAYMOVE);
	SHOW(twin != MAP_FAILED);
	shared[0] = 'q';
	printf("%c\n", twin[0]);
	TELL(mremap(target, 0, 4096, MREMAP_MAYMOVE) == MAP_FAILED ? -1L : 0L);
	char *kept = mremap(target, 4096, 4096, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	SHOW(kept != MAP_FAILED && kept[0] == 'y' && target[0] == 0);
	return 0;
}
