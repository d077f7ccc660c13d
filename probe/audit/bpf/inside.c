/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * An iterator over the TCP sockets of one network namespace (bpf_iter, Linux 5.8) that prints what the kernel tells
 * nobody otherwise: each socket's keepalive settings, and which functions its netfilter hooks call. It changes nothing.
 *
 * Compiled by bpf2go, see generate.go. The few structures have the kernel's names; their offsets are those of the running
 * kernel, put in when the program is loaded (CO-RE, preserve_access_index).
 */
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
enum { BPF_MAP_TYPE_UNUSED };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct nf_hook_entry {
	void *hook;
};

struct nf_hook_entries {
	__u16 num_hook_entries;
	struct nf_hook_entry hooks[];
};

struct netns_nf {
	struct nf_hook_entries *hooks_ipv4[5];
	struct nf_hook_entries *hooks_ipv6[5];
};

struct netns_ipv4 {
	int sysctl_tcp_keepalive_time;
};

struct net {
	struct netns_ipv4 ipv4;
	struct netns_nf nf;
};

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct sock_common {
	volatile unsigned char skc_state;
	unsigned long skc_flags;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
};

struct sock {
	struct sock_common __sk_common;
};

struct inet_sock {
	struct sock sk;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	unsigned int keepalive_time;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

/* include/net/sock.h: its place is not part of any interface. */
enum sock_flags { SOCK_KEEPOPEN = 3 };

#pragma clang attribute pop

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* bpf_probe_read_kernel is for programs with a licence compatible with the GPL. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";

enum { TCP_ESTABLISHED = 1, TCP_CLOSE_WAIT = 8, NF_INET_PRE_ROUTING = 0, MAX_HOOKS = 32 };

/* One line a function: "hook 4 ipv4_conntrack_in". More hooks than MAX_HOOKS are cut short by "hook 4 ...". */
static __always_inline void hooks(struct seq_file *seq, int family, struct nf_hook_entries *entries)
{
	static const char line[] = "hook %d %ps\n", more[] = "hook %d ...\n";
	__u64 args[2] = { family };
	if (!entries)
		return;
	__u16 n = BPF_CORE_READ(entries, num_hook_entries);
	for (int i = 0; i < MAX_HOOKS && i < n; i++) {
		struct nf_hook_entry *entry = (void *)entries->hooks + i * bpf_core_type_size(struct nf_hook_entry);
		args[1] = (__u64)BPF_CORE_READ(entry, hook);
		bpf_seq_printf(seq, line, sizeof(line), args, sizeof(args));
	}
	if (n > MAX_HOOKS)
		bpf_seq_printf(seq, more, sizeof(more), args, sizeof(args[0]));
}

/* One line a connection: "socket COOKIE ON OWN SYSTEM", the times in jiffies, and before the first "hooks" and its hooks. */
SEC("iter/tcp")
int inside(struct bpf_iter__tcp *ctx)
{
	static const char head[] = "hooks\n", line[] = "socket %llu %d %u %u\n";
	struct seq_file *seq = ctx->meta->seq;
	struct sock_common *common = ctx->sk_common;
	if (!common)
		return 0;
	struct net *net = BPF_CORE_READ(common, skc_net.net);
	if (ctx->meta->seq_num == 0) {
		bpf_seq_write(seq, head, sizeof(head) - 1);
		hooks(seq, 4, BPF_CORE_READ(net, nf.hooks_ipv4[NF_INET_PRE_ROUTING]));
		hooks(seq, 6, BPF_CORE_READ(net, nf.hooks_ipv6[NF_INET_PRE_ROUTING]));
	}
	__u8 state = common->skc_state;
	if (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT)
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(common);
	if (!tcp)
		return 0;
	__u64 on = BPF_CORE_READ(tcp, inet_conn.icsk_inet.sk.__sk_common.skc_flags) >>
		bpf_core_enum_value(enum sock_flags, SOCK_KEEPOPEN) & 1;
	__u64 args[] = {
		BPF_CORE_READ(tcp, inet_conn.icsk_inet.sk.__sk_common.skc_cookie.counter), on,
		BPF_CORE_READ(tcp, keepalive_time), BPF_CORE_READ(net, ipv4.sysctl_tcp_keepalive_time),
	};
	bpf_seq_printf(seq, line, sizeof(line), args, sizeof(args));
	return 0;
}
