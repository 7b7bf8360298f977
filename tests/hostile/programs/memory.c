// Changes of the stub's own memory, and limits.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "hostile.h"

static uint64_t of_stub(void)
{
	switch (rnd() % 6) {
	case 0: return CODE;
	case 1: return TRAP_CODE;
	case 2: return ORDERS;
	case 3: return VDSO;
	case 4: return SLOTS + SLOT * (rnd() % 2);
	default: return APPLICATION_END + rnd() % (STUB_END - APPLICATION_END) / 4096 * 4096;
	}
}

static void *change(void *unused)
{
	static char code[4096];
	memcpy(code, (void *)TRAP_CODE, 4096);
	int zero = open("/dev/zero", O_RDWR), self = open("/proc/self/mem", O_RDWR);
	for (;;) {
		uint64_t at = of_stub(), size = (1 + rnd() % 8) * 4096;
		if (rnd() % 4 == 0)
			at -= 4096 * (rnd() % 3);
		int protection = rnd() % 8;
		switch (rnd() % 10) {
		case 0: munmap((void *)at, size); break;
		case 1: mprotect((void *)at, size, protection); break;
		case 2:
			if (at >= APPLICATION_END && mmap((void *)at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
				broken("a mapping over the stub", at);
			break;
		case 3:
			if (at >= APPLICATION_END && mremap((void *)at, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, scratch) != MAP_FAILED)
				broken("the stub was moved", at);
			break;
		case 4: {
			char *page = mmap(NULL, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (at >= APPLICATION_END && page != MAP_FAILED && mremap(page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)at) != MAP_FAILED)
				broken("moved over the stub", at);
			munmap(page, 4096);
			break;
		}
		case 5: madvise((void *)at, size, rnd() % 2 ? MADV_DONTNEED : rnd() % 26); break;
		case 6:
			if (at >= APPLICATION_END && read(zero, (void *)at, 64) >= 0)
				broken("read into the stub", at);
			break;
		case 7:
			if (at >= APPLICATION_END && (pread(self, scratch, 64, at) > 0 || pwrite(self, scratch, 64, at) > 0))
				broken("the stub in /proc/self/mem", at);
			break;
		case 8: {
			struct iovec local = { scratch, 64 }, remote = { (void *)at, 64 };
			if (at >= APPLICATION_END && process_vm_writev(getpid(), &local, 1, &remote, 1, 0) > 0)
				broken("process_vm_writev to the stub", at);
			break;
		}
		default: {
			char *page = mmap(NULL, size, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (page != MAP_FAILED) {
				page[0] = 1;
				if (rnd() % 2)
					mremap(page, size, size * 2, MREMAP_MAYMOVE);
				else
					munmap(page, size);
			}
		}
		}
		if (memcmp(code, (void *)TRAP_CODE, 4096))
			broken("the stub's code has changed", 0);
	}
}

static void change_it(void *unused)
{
	pthread_t thread;
	pthread_create(&thread, NULL, change, NULL);
	pthread_create(&thread, NULL, change, NULL);
	change(NULL);
}

void attack_mapper(void)
{
	attempts(change_it, NULL, 200);
}

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

static void exhaust(void *unused)
{
	pthread_attr_t attributes;
	setpgid(0, 0);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 16384);
	int error = 0;
	for (int i = 0; i < 100000 && !error; i++) {
		pthread_t thread;
		if (rnd() % 3) {
			error = pthread_create(&thread, &attributes, sleep_on, NULL);
		} else {
			pid_t child = fork();
			error = child < 0 ? errno : 0;
			if (child == 0)
				sleep_on(NULL);
		}
	}
	if (error != EAGAIN)
		broken("the limit of processes is told by", error);
	kill(0, SIGKILL);
}

void attack_exhaust(void)
{
	attempts(exhaust, NULL, 20000);
}
