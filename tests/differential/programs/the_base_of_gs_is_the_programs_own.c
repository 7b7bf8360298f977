#include "library_text.h"

#include <asm/prctl.h>
#include <sys/auxv.h>

static struct text text;
static long values[4] = { 11, 22, 33, 44 };

static long at_gs(long offset)
{
	long value;
	__asm__ volatile("mov %%gs:(%1), %0" : "=r"(value) : "r"(offset));
	return value;
}

static unsigned long base(void)
{
	unsigned long value = 1;
	MUST(syscall(SYS_arch_prctl, ARCH_GET_GS, &value));
	return value;
}

static void *thread(void *unused)
{
	// A new thread has what its maker had.
	SHOW(base() == (unsigned long)values);
	SHOW(at_gs(16) == 33);
	SHOW(always(text.getppid, 0, getppid()));
	MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, values + 1));
	SHOW(always(text.getppid, 0, getppid()));
	SHOW(at_gs(0) == 22);
	return NULL;
}

int main(void)
{
	text = map_library();
	SHOW(base() == 0);
	SHOW(always(text.getppid, 0, getppid()));
	SHOW(base() == 0);
	MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, values));
	SHOW(base() == (unsigned long)values);
	SHOW(always(text.getppid, 0, getppid()));
	SHOW(at_gs(8) == 22);
	pthread_t other;
	MUST(-pthread_create(&other, NULL, thread, NULL));
	pthread_join(other, NULL);
	SHOW(at_gs(0) == 11);
	IN_CHILD(SHOW(at_gs(24) == 44); SHOW(always(text.getppid, 0, getppid())); SHOW(base() == (unsigned long)values));
	if (getauxval(AT_HWCAP2) & 2) {
		__asm__ volatile("wrgsbase %0" ::"r"(values + 2));
		SHOW(always(text.getppid, 0, getppid()));
		SHOW(base() == (unsigned long)(values + 2));
		SHOW(at_gs(0) == 33);
		__asm__ volatile("wrgsbase %0" ::"r"(0ul));
		SHOW(always(text.getppid, 0, getppid()));
		SHOW(base() == 0);
	} else {
		printf("skipped\n");
	}
	MUST(syscall(SYS_arch_prctl, ARCH_SET_GS, 0));
	SHOW(base() == 0);
	SHOW(always(text.getppid, 0, getppid()));
	return 0;
}
