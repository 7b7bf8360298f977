#include "check.h"

static pthread_mutex_t mutex;

static void *locks_and_dies(void *argument)
{
	pthread_mutex_lock(&mutex);
	return argument;
}

static void *tries(void *argument)
{
	struct timespec time;
	clock_gettime(CLOCK_REALTIME, &time);
	time.tv_nsec += 20000000;
	if (time.tv_nsec >= 1000000000)
		time.tv_nsec -= 1000000000, time.tv_sec++;
	printf("other: trylock %s timedlock %s unlock %s\n", strerrorname_np(pthread_mutex_trylock(&mutex)),
	       strerrorname_np(pthread_mutex_timedlock(&mutex, &time)), argument ? strerrorname_np(pthread_mutex_unlock(&mutex)) : "-");
	return NULL;
}

static void kind(const char *name, int type, int protocol, int robust)
{
	pthread_mutexattr_t attributes;
	pthread_t thread;
	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, type);
	pthread_mutexattr_setprotocol(&attributes, protocol);
	pthread_mutexattr_setrobust(&attributes, robust);
	printf("%s: init %d\n", name, pthread_mutex_init(&mutex, &attributes));
	pthread_mutex_lock(&mutex);
	if (type != PTHREAD_MUTEX_NORMAL)
		printf("again %s\n", strerrorname_np(pthread_mutex_lock(&mutex)));
	pthread_create(&thread, NULL, tries, type == PTHREAD_MUTEX_NORMAL ? NULL : "");
	pthread_join(thread, NULL);
	printf("unlock %d\n", pthread_mutex_unlock(&mutex));
	if (type == PTHREAD_MUTEX_RECURSIVE)
		printf("unlock %d\n", pthread_mutex_unlock(&mutex));
	if (type != PTHREAD_MUTEX_NORMAL)
		printf("unlock %s\n", strerrorname_np(pthread_mutex_unlock(&mutex)));
	if (robust == PTHREAD_MUTEX_ROBUST) {
		pthread_create(&thread, NULL, locks_and_dies, NULL);
		pthread_join(thread, NULL);
		printf("after a death %s\n", strerrorname_np(pthread_mutex_lock(&mutex)));
		TELL(pthread_mutex_consistent(&mutex));
		TELL(pthread_mutex_unlock(&mutex));
		TELL(pthread_mutex_lock(&mutex));
		TELL(pthread_mutex_unlock(&mutex));
		pthread_create(&thread, NULL, locks_and_dies, NULL);
		pthread_join(thread, NULL);
		TELL(pthread_mutex_lock(&mutex));
		TELL(pthread_mutex_unlock(&mutex));
		TELL(pthread_mutex_lock(&mutex));
	}
}

int main(void)
{
	int types[] = { PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_RECURSIVE };
	char name[64];
	for (size_t type = 0; type < COUNT(types); type++)
		for (int inherit = 0; inherit < 2; inherit++)
			for (int robust = 0; robust < 2; robust++) {
				snprintf(name, sizeof name, "type %zu PI %d robust %d", type, inherit, robust);
				kind(name, types[type], inherit ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE,
				     robust ? PTHREAD_MUTEX_ROBUST : PTHREAD_MUTEX_STALLED);
			}
	return 0;
}
