# needs: bash
set -m
sleep 0.3 & first=$!
(exit 3) & second=$!
wait $second; echo "second: $?"
wait $first; echo "first: $?"
for i in 1 2 3 4 5; do (sleep 0.0$i; echo "job $i") & done | sort
wait
sleep 10 & kill -TERM %%; wait %% 2>/dev/null; echo "killed: $?"
sleep 10 & kill -STOP $!; sleep 0.1; jobs -s | sed 's/ *$//'; kill -KILL $!; sleep 0.3; wait $! 2>/dev/null; echo "after kill: $?"
trap 'echo trapped' USR1; kill -USR1 $$; echo done
coproc C { while read -r l; do echo "<$l>"; done; }
echo one >&"${C[1]}"; read -r answer <&"${C[0]}"; echo "$answer"
