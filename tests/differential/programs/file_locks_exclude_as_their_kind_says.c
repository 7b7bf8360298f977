#include "check.h"
#include <sys/file.h>

static int set(int fd, int command, int type, off_t start, off_t length)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
	return fcntl(fd, command, &lock);
}

static void get(int fd, off_t start, off_t length, pid_t owner)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
	MUST(fcntl(fd, F_GETLK, &lock));
	if (lock.l_type == F_UNLCK)
		printf("free\n");
	else
		printf("type %d start %ld length %ld owner %d\n", lock.l_type, (long)lock.l_start, (long)lock.l_len, lock.l_pid == owner);
}

int main(void)
{
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0644)), read_only = MUST(open("file", O_RDONLY));
	pid_t me = getpid();
	TELL(set(fd, F_SETLK, F_WRLCK, 10, 10));
	TELL(set(fd, F_SETLK, F_RDLCK, 12, 2));
	TELL(set(read_only, F_SETLK, F_WRLCK, 0, 1));
	TELL(set(fd, F_SETLK, F_WRLCK, -1, 1));
	TELL(set(fd, F_SETLK, 77, 0, 1));
	get(fd, 0, 0, me);
	IN_CHILD({
		get(fd, 0, 0, me);
		get(fd, 12, 1, me);
		get(fd, 14, 100, me);
		get(fd, 20, 0, me);
		TELL(set(fd, F_SETLK, F_RDLCK, 12, 2));
		TELL(set(fd, F_SETLK, F_WRLCK, 12, 2));
		TELL(set(fd, F_SETLK, F_RDLCK, 10, 1));
		signal(SIGALRM, SIG_DFL);
		ualarm(30000, 0);
		set(fd, F_SETLKW, F_WRLCK, 10, 1);
	});
	// Any close of the file by the process drops its locks.
	close(read_only);
	IN_CHILD(get(fd, 0, 0, me));
	// Locks of the description: survive, and exclude another description of the same process.
	read_only = MUST(open("file", O_RDWR));
	TELL(set(fd, F_OFD_SETLK, F_WRLCK, 0, 5));
	TELL(set(read_only, F_OFD_SETLK, F_WRLCK, 0, 5));
	close(dup(fd));
	TELL(set(read_only, F_OFD_SETLK, F_RDLCK, 4, 5));
	TELL(set(read_only, F_OFD_SETLK, F_RDLCK, 5, 5));
	TELL(flock(fd, LOCK_EX));
	TELL(flock(read_only, LOCK_SH | LOCK_NB));
	TELL(flock(fd, LOCK_SH));
	TELL(flock(read_only, LOCK_SH | LOCK_NB));
	TELL(flock(fd, LOCK_EX | LOCK_NB));
	TELL(flock(fd, 0));
	TELL(flock(read_only, LOCK_UN));
	TELL(flock(fd, LOCK_EX | LOCK_NB));
	IN_CHILD({
		int other = open("file", O_RDWR);
		TELL(flock(other, LOCK_EX | LOCK_NB));
		TELL(flock(fd, LOCK_UN));
		TELL(flock(other, LOCK_EX | LOCK_NB));
	});
	// Two that wait for one another.
	set(fd, F_OFD_SETLK, F_UNLCK, 0, 0);
	set(read_only, F_OFD_SETLK, F_UNLCK, 0, 0);
	TELL(set(fd, F_SETLK, F_WRLCK, 0, 1));
	int ready[2];
	MUST(pipe(ready));
	pid_t child = fork();
	if (!child) {
		set(fd, F_SETLK, F_WRLCK, 1, 1);
		write(ready[1], "", 1);
		_exit(set(fd, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 0 : 1);
	}
	char byte;
	read(ready[0], &byte, 1);
	pause_ms(50);
	TELL(set(fd, F_SETLKW, F_WRLCK, 1, 1));
	set(fd, F_SETLK, F_UNLCK, 0, 0);
	reap(child);
	return 0;
}
