#include "library_text.h"

#include <ucontext.h>

static struct text text;
static volatile int signals, strange;
static long parent;

static int is_text(unsigned long at)
{
	Dl_info info;
	if (at >= (unsigned long)text.at && at < (unsigned long)text.at + text.length)
		return 1;
	return dladdr((void *)at, &info) != 0;
}

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	signals++;
	if (!is_text(user->uc_mcontext.gregs[REG_RIP]))
		strange++;
	if (call_at(text.getppid, 0) != parent)
		strange++;
}

static void *caller(void *unused)
{
	while (signals < 400)
		if (call_at(text.getppid, 0) != parent)
			strange++;
	return NULL;
}

int main(void)
{
	parent = getppid();
	text = map_library();
	on_info(SIGALRM, handler, SA_RESTART);
	struct itimerval timer = { { 0, 1000 }, { 0, 1000 } };
	MUST(setitimer(ITIMER_REAL, &timer, NULL));
	long calls = 0;
	while (signals < 150) {
		for (int i = 0; i < 10; i++, calls++)
			if (call_at(text.getppid, 0) != parent)
				strange++;
		// Registers, by a sum that takes long enough to be interrupted itself.
		unsigned long sum = 0;
		for (unsigned long i = 0; i < 1000; i++) {
			sum += i * i;
			__asm__ volatile("" : "+r"(sum));
		}
		if (sum != 332833500)
			strange++;
	}
	SHOW(calls > 1000);
	pthread_t threads[3];
	for (int i = 0; i < 3; i++)
		MUST(-pthread_create(&threads[i], NULL, caller, NULL));
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	memset(&timer, 0, sizeof timer);
	MUST(setitimer(ITIMER_REAL, &timer, NULL));
	printf("%d strange\n", strange);
	return 0;
}
