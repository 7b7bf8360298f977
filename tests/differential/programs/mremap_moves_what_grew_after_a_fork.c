// A mapping that a forked child has made larger is one, wherever its pages come from: it moves, grows, shrinks and stays
// itself.
#include "check.h"

#define PAGE 4096L

static int is(const char *at, long page, char byte)
{
	return at[page * PAGE] == byte && at[page * PAGE + PAGE - 1] == byte;
}

static void grow_and_move(char *a)
{
	for (int i = 0; i < 4; i++)
		memset(a + i * PAGE, 'A' + i, PAGE);
	SHOW(mremap(a, 4 * PAGE, 8 * PAGE, 0) == a);
	for (int i = 4; i < 8; i++)
		memset(a + i * PAGE, 'A' + i, PAGE);
	char *wall = mmap(a + 8 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	SHOW(wall == a + 8 * PAGE);
	char *b = mremap(a, 8 * PAGE, 12 * PAGE, MREMAP_MAYMOVE);
	SHOW(b != MAP_FAILED && b != a);
	if (b == MAP_FAILED)
		return;
	for (int i = 0; i < 8; i++)
		if (!is(b, i, 'A' + i))
			printf("page %d has %d\n", i, b[i * PAGE]);
	SHOW(is(b, 8, 0) && is(b, 11, 0));
	// To a fixed place, and smaller: page 6 is in the part that the child added.
	char *c = mmap(NULL, 12 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	SHOW(mremap(b, 12 * PAGE, 7 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, c) == c);
	SHOW(is(c, 0, 'A') && is(c, 3, 'D') && is(c, 4, 'E') && is(c, 6, 'G'));
	unsigned char there;
	TELL(mincore(b, PAGE, &there));
	TELL(mincore(b + 6 * PAGE, PAGE, &there));
	SHOW(mremap(c, 7 * PAGE, 2 * PAGE, 0) == c);
	SHOW(is(c, 1, 'B'));
}

int main(void)
{
	char *a = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(a, 'x', 4 * PAGE);
	MUST(munmap(a + 4 * PAGE, 12 * PAGE));
	IN_CHILD(grow_and_move(a));
	// A grandchild, whose pages come from both.
	IN_CHILD({
		memset(a, 'y', PAGE);
		IN_CHILD(grow_and_move(a));
	});
	grow_and_move(a);
	// Two mappings with different rights are two.
	char *two = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(mprotect(two, 2 * PAGE, PROT_READ));
	TELL(mremap(two, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED ? -1L : 0L);
	return 0;
}
