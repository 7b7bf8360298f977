#include "check.h"

static void run(const char *path, char *const argv[])
{
	fflush(stdout);
	IN_CHILD({
		execv(path, argv);
		printf("%s\n", strerrorname_np(errno));
		_exit(127);
	});
}

int main(void)
{
	char *arguments[] = { "zero", "one", "two", NULL };
	put("plain", "#!/bin/sh\necho $# $0 $1 $2\n", 0755);
	run("./plain", arguments);
	put("option", "#! /bin/sh -e \nfalse\necho not here\n", 0755);
	run("./option", arguments);
	// One argument, however many words.
	put("words", "#!/usr/bin/printf <%s>\\n a b\n", 0755);
	run("./words", arguments);
	put("chain1", "#!./plain\n", 0755);
	run("./chain1", arguments);
	put("chain2", "#!./chain1\n", 0755);
	run("./chain2", arguments);
	put("chain3", "#!./chain2\n", 0755);
	put("chain4", "#!./chain3\n", 0755);
	put("chain5", "#!./chain4\n", 0755);
	run("./chain3", arguments);
	run("./chain4", arguments);
	run("./chain5", arguments);
	put("loop", "#!./loop\n", 0755);
	run("./loop", arguments);
	put("nobody", "#!/nonexistent/interpreter\n", 0755);
	run("./nobody", arguments);
	put("empty", "", 0755);
	run("./empty", arguments);
	put("only", "#!", 0755);
	run("./only", arguments);
	put("blank", "#!   \n", 0755);
	run("./blank", arguments);
	put("text", "echo no interpreter\n", 0755);
	run("./text", arguments);
	put("elfish", "\177ELF\2\1\1 and then nothing of use, though it is long enough for a header, is it not?", 0755);
	run("./elfish", arguments);
	return 0;
}
