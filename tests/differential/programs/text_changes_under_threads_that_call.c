#include "library_text.h"

static struct text text;
static long parent, wrong;
static volatile int stop;

static void *caller(void *unused)
{
	long calls = 0;
	while (!stop || calls < 3000) {
		if (call_at(text.getppid, 0) != parent)
			__atomic_fetch_add(&wrong, 1, __ATOMIC_SEQ_CST);
		calls++;
	}
	return NULL;
}

int main(void)
{
	parent = getppid();
	text = map_library();
	unsigned char *page = (unsigned char *)((unsigned long)text.getppid & ~4095ul);
	pthread_t threads[3];
	for (int i = 0; i < 3; i++)
		MUST(-pthread_create(&threads[i], NULL, caller, NULL));
	for (int i = 0; i < 60; i++) {
		// Never without the right to run it; each time it is another mapping.
		MUST(mprotect(page, 4096, PROT_READ | PROT_EXEC | (i % 2 ? 0 : PROT_WRITE)));
		if (i % 10 == 9) {
			unsigned char copy[4096];
			kernel_reads(page, copy, 4096);
			int fd = MUST(memfd_create("page", 0));
			MUST(write(fd, copy, 4096));
			MUST(mmap(page, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED ? -1 : 0);
			close(fd);
		}
		pause_ms(1);
	}
	stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	printf("%ld wrong\n", wrong);
	return 0;
}
