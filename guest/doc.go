// Package guest runs a program on another kernel: it boots the kernel under qemu with an initramfs that it makes on the fly,
// of the program, the commands that it calls and the kernel's modules, and hands over what the program writes and how it
// ends. The guest has no disk and no network card: nothing of the host is in it but what is put in.
//
// Finding the kernel, choosing modules and the frames between guest and host are pure; only the *_linux.go files start qemu, or
// are the guest's first process.
package guest
