# What a shell that a session types at starts with: nothing that differs between two machines, and no dump of core, of which
# its report would tell.
PS1='$ '
bind 'set enable-bracketed-paste off'
ulimit -c 0
export LESSHISTFILE=- PYTHON_HISTORY=/dev/null
