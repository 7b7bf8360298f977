#include "check.h"

int main(void)
{
	pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attributes;
	for (int inherit = 0; inherit < 2; inherit++) {
		pthread_mutexattr_init(&attributes);
		pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
		pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
		pthread_mutexattr_setprotocol(&attributes, inherit ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE);
		pthread_mutex_init(mutex, &attributes);
		int ready[2];
		MUST(pipe(ready));
		pid_t holder = fork();
		if (!holder) {
			pthread_mutex_lock(mutex);
			write(ready[1], "", 1);
			for (;;)
				pause();
		}
		char byte;
		read(ready[0], &byte, 1);
		pid_t waiter = fork();
		if (!waiter) {
			printf("waiter %s\n", strerrorname_np(pthread_mutex_lock(mutex)));
			pthread_mutex_consistent(mutex);
			pthread_mutex_unlock(mutex);
			_exit(0);
		}
		pause_ms(40);
		kill(holder, SIGKILL);
		waitpid(holder, NULL, 0);
		reap(waiter);
		printf("lock %d\n", pthread_mutex_lock(mutex));
	}
	return 0;
}
