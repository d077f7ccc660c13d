package kernel

// The programs in bpf/ are compiled by a developer who changes them, with clang, llvm-strip and libbpf's headers (Debian:
// clang llvm libbpf-dev): `go generate ./probe/kernel`. What comes out is committed, so that nobody else needs these. The
// second line writes bpf/generated.txt, by which a test sees without clang whether that was forgotten.
// Big-endian machines are not served: the package does not compile for them.
//
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -target bpfel -tags linux -no-global-types -output-stem watch_linux watch bpf/watch.c -- -Wall -Wextra -Werror -fno-stack-protector
//go:generate go test -run ^TestGeneratedStamp$/^kernel$ .. -stamp
