#include "check.h"
#include <sys/inotify.h>

static int fd;

static void drain(const char *what)
{
	char buffer[4096] __attribute__((aligned(8)));
	ssize_t count = read(fd, buffer, sizeof buffer);
	printf("%s:", what);
	if (count < 0)
		printf(" %s", strerrorname_np(errno));
	for (char *p = buffer; count > 0 && p < buffer + count;) {
		struct inotify_event *event = (void *)p;
		printf(" %d:%x%s%s%s", event->wd, event->mask, event->cookie ? "+" : "", event->len ? ":" : "", event->len ? event->name : "");
		p += sizeof *event + event->len;
	}
	printf("\n");
}

int main(void)
{
	TELL(inotify_init1(1));
	fd = MUST(inotify_init1(IN_NONBLOCK));
	mkdir("dir", 0755);
	TELL(inotify_add_watch(fd, "dir", IN_ALL_EVENTS));
	TELL(inotify_add_watch(fd, "nothing", IN_ALL_EVENTS));
	TELL(inotify_add_watch(fd, "dir", 0));
	put("file", "", 0644);
	TELL(inotify_add_watch(fd, "file", IN_ALL_EVENTS | IN_ONLYDIR));
	TELL(inotify_add_watch(0, "dir", IN_ALL_EVENTS));
	drain("nothing");
	put("dir/a", "text", 0644);
	drain("create and write");
	rename("dir/a", "dir/b");
	drain("rename");
	chmod("dir/b", 0600);
	drain("chmod");
	link("dir/b", "dir/c");
	drain("link");
	unlink("dir/c");
	drain("unlink");
	mkdir("dir/sub", 0755);
	rmdir("dir/sub");
	drain("mkdir and rmdir");
	TELL(inotify_add_watch(fd, "dir/b", IN_DELETE_SELF | IN_MODIFY | IN_MOVE_SELF));
	truncate("dir/b", 1);
	drain("truncate");
	rename("dir/b", "b");
	drain("move away");
	unlink("b");
	drain("unlink");
	TELL(inotify_rm_watch(fd, 77));
	TELL(inotify_rm_watch(fd, 1));
	drain("removed");
	rmdir("dir");
	drain("silence");
	return 0;
}
