#include "check.h"
#include <linux/futex.h>

static uint32_t word;
static int mine;

static long futex(uint32_t *at, int operation, uint32_t value, void *timeout)
{
	return syscall(SYS_futex, at, operation, value, timeout, NULL, 0);
}

static void *waiter(void *argument)
{
	(void)argument;
	long result = futex(&word, FUTEX_LOCK_PI, 0, NULL);
	mine = result == 0 && (word & FUTEX_TID_MASK) == (uint32_t)gettid();
	return (void *)futex(&word, FUTEX_UNLOCK_PI, 0, NULL);
}

int main(void)
{
	struct timespec past = { 1, 0 };
	TELL(futex(&word, FUTEX_LOCK_PI, 0, NULL));
	SHOW(word == (uint32_t)gettid());
	TELL(futex(&word, FUTEX_LOCK_PI, 0, NULL));
	TELL(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL));
	pthread_t thread;
	void *result;
	pthread_create(&thread, NULL, waiter, NULL);
	while (!(word & FUTEX_WAITERS))
		pause_ms(1);
	TELL(futex(&word, FUTEX_UNLOCK_PI, 0, NULL));
	pthread_join(thread, &result);
	printf("%ld mine %d word %u\n", (long)result, mine, word);
	TELL(futex(&word, FUTEX_UNLOCK_PI, 0, NULL));
	word = 1 << 20;
	TELL(futex(&word, FUTEX_LOCK_PI, 0, NULL));
	word = 1;
	TELL(futex(&word, FUTEX_UNLOCK_PI, 0, NULL));
	word = getppid();
	TELL(futex(&word, FUTEX_LOCK_PI, 0, &past));
	return 0;
}
