# needs: bash
a=(x y z); echo "${a[@]:1}" "${#a[@]}"; declare -A m=([k]=v); echo "${m[k]}"
cat <<< "here string"; cat << EOF
here $((6*7)) doc
EOF
exec 5> out; echo to five >&5; exec 5>&-; cat out
diff <(printf 'a\nb\n') <(printf 'a\nc\n'); echo "diff: $?"
printf '%s\n' {1..5} | tac | paste -sd,
ls /nonexistent 2>/dev/null || echo "missing: $?"
( ulimit -n 20; ulimit -n )
for f in *; do echo "glob: $f"; done
IFS=: read -r x y <<< "left:right"; echo "$y $x"
echo "$(( 2**40 ))" "${x^^}" "${y:0:2}"
