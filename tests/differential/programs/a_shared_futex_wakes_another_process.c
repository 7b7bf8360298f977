#include "check.h"
#include <linux/futex.h>

static void ping(uint32_t *word)
{
	for (uint32_t i = 1; i < 400; i += 2) {
		while (__atomic_load_n(word, __ATOMIC_SEQ_CST) != i)
			syscall(SYS_futex, word, FUTEX_WAIT, i - 1, NULL, NULL, 0);
		__atomic_store_n(word, i + 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

static void pong(uint32_t *word)
{
	for (uint32_t i = 0; i < 400; i += 2) {
		__atomic_store_n(word, i + 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
		while (__atomic_load_n(word, __ATOMIC_SEQ_CST) != i + 2)
			syscall(SYS_futex, word, FUTEX_WAIT, i + 1, NULL, NULL, 0);
	}
}

int main(void)
{
	uint32_t *anonymous = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();
	if (!child) {
		ping(anonymous);
		_exit(0);
	}
	pong(anonymous);
	reap(child);
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644));
	MUST(ftruncate(fd, 8192));
	child = fork();
	if (!child) {
		// Another address, the same page of the same file.
		mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ping((uint32_t *)((char *)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) + 4096 + 64));
		_exit(0);
	}
	pong((uint32_t *)((char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096) + 64));
	reap(child);
	return 0;
}
