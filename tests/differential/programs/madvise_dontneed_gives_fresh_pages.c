#include "check.h"

int main(void)
{
	char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 'x', 4 * 4096);
	TELL(madvise(p + 4096, 4096, MADV_DONTNEED));
	printf("%d %d %d\n", p[0], p[4096], p[8192]);
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(write(fd, "file", 4));
	char *f = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	f[0] = 'X';
	printf("%.4s\n", f);
	TELL(madvise(f, 4096, MADV_DONTNEED));
	printf("%.4s\n", f);
	char *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	strcpy(s, "kept");
	TELL(madvise(s, 4096, MADV_DONTNEED));
	printf("%.4s\n", s);
	TELL(madvise(p + 1, 4096, MADV_DONTNEED));
	TELL(madvise(p, 4096, 12345));
	TELL(madvise(p, 0, MADV_DONTNEED));
	TELL(madvise(p, -1ul, MADV_DONTNEED));
	munmap(p + 4096, 4096);
	TELL(madvise(p, 3 * 4096, MADV_DONTNEED));
	printf("%d %d\n", p[0], p[8192]);
	TELL(madvise(p, 4096, MADV_WILLNEED));
	TELL(madvise(p, 4096, MADV_SEQUENTIAL));
	TELL(madvise(p, 4096, MADV_NORMAL));
	TELL(madvise(p, 4096, MADV_FREE));
	TELL(madvise(s, 4096, MADV_FREE));
	// A child does not get it, or gets it empty.
	p[0] = 'w';
	TELL(madvise(p, 4096, MADV_WIPEONFORK));
	TELL(madvise(s, 4096, MADV_WIPEONFORK));
	TELL(madvise(s, 4096, MADV_DONTFORK));
	IN_CHILD({
		printf("%d\n", p[0]);
		*s = 1;
	});
	printf("%c\n", p[0]);
	unsigned char residence[4];
	TELL(mincore(p + 1, 4096, residence));
	TELL(mincore(p, 3 * 4096, residence));
	TELL(mincore(p, 4096, (void *)8));
	TELL(mincore(p, 4096, residence));
	printf("%d\n", residence[0] & 1);
	return 0;
}
