# needs: busybox-static
busybox sh -c 'for i in 1 2 3; do echo $i; done | busybox awk "{s+=\$1} END {print s}"'
busybox echo text | busybox gzip | busybox gunzip; busybox seq 5 | busybox tr '\n' ' '; echo
busybox mkdir d; busybox touch d/a d/b; busybox ls d; busybox find d | busybox sort; busybox sha1sum d/a | busybox cut -c1-10
busybox sh -c 'busybox sleep 5 & kill $!; wait $!; echo $?'; busybox printf '%05d\n' 42; busybox dd if=/dev/zero bs=10 count=2 2>/dev/null | busybox wc -c
