/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Four raw tracepoints, seen only where the network namespace is one of ours: tcp:tcp_send_reset,
 * tcp:tcp_receive_reset, sock:inet_sk_error_report and skb:kfree_skb. Each writes one sample into a ring buffer. A fifth
 * program, never attached, tells the names of functions.
 *
 * Compiled by bpf2go, see generate.go. Arguments of the tracepoints: include/trace/events/{tcp,sock,skb}.h.
 */
#include "types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* bpf_get_stack and bpf_probe_read_kernel are for programs with a licence compatible with the GPL. */
char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define MAX_FRAMES 64
#define MAX_NAMESPACES 16384
#define RING_BYTES (4 << 20)
#define NAMES 12
#define NAME_BYTES 128

enum kind { SEND_RESET = 1, RECEIVE_RESET, ERROR_REPORT, DROP };
enum flag { FROM_PACKET = 1, TAI_CLOCK = 2 };

/* Decoded by sample.go: keep both the same. No padding. */
struct sample {
	__u64 time; /* ns: CLOCK_TAI with TAI_CLOCK, else CLOCK_MONOTONIC */
	__u32 netns; /* inode number */
	__u32 reason; /* enum sk_rst_reason or enum skb_drop_reason */
	__u32 error; /* sk->sk_err */
	__u16 stack_bytes;
	__u8 kind;
	__u8 flags;
	__u8 state; /* 0: no socket */
	__u8 family; /* AF_INET, AF_INET6, 0: addresses not known */
	__be16 source_port;
	__be16 destination_port;
	__u16 unused;
	__u8 source[16]; /* AF_INET: the first 4 bytes */
	__u8 destination[16];
	__u64 stack[MAX_FRAMES]; /* return addresses, innermost first */
};

/* Set before loading; what is false is never reached, and the verifier does not look at it. */
const volatile bool has_tai_clock; /* bpf_ktime_get_tai_ns: Linux 6.1 */
const volatile bool has_reset_reason; /* tcp_send_reset's third argument: Linux 6.10 */
const volatile bool has_drop_socket; /* kfree_skb's fourth argument: Linux 6.11 */
const volatile __u64 silent_reasons[4]; /* a bit for each enum skb_drop_reason that is not reported */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NAMESPACES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u8);
} namespaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} samples SEC(".maps");

/* Samples that did not fit into the ring buffer. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

struct names {
	char name[NAMES][NAME_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct names);
} function_names SEC(".maps");

/* The inode number of net when it is one of ours, else 0. */
static __always_inline __u32 ours(struct net *net)
{
	__u32 inode = BPF_CORE_READ(net, ns.inum);

	return bpf_map_lookup_elem(&namespaces, &inode) ? inode : 0;
}

static __always_inline struct net *net_of_socket(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net);
}

/*
 * A packet is where its device is. While TCP handles it the device is not set, but then its route may be, a pointer
 * whose low bits are flags (SKB_DST_NOREF).
 */
static __always_inline struct net *net_of_packet(struct sk_buff *skb)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);

	if (!dev) {
		struct dst_entry *dst = (void *)(BPF_CORE_READ(skb, _skb_refdst) & ~7UL);

		if (!dst)
			return NULL;
		dev = BPF_CORE_READ(dst, dev);
	}
	return BPF_CORE_READ(dev, nd_net.net);
}

static __always_inline struct sample *begin(enum kind kind, __u32 netns)
{
	struct sample *s = bpf_ringbuf_reserve(&samples, sizeof(*s), 0);

	if (!s) {
		__u32 zero = 0;
		__u64 *n = bpf_map_lookup_elem(&lost, &zero);

		if (n)
			(*n)++;
		return NULL;
	}
	__builtin_memset(s, 0, __builtin_offsetof(struct sample, stack));
	s->kind = kind;
	s->netns = netns;
	if (has_tai_clock) {
		s->time = bpf_ktime_get_tai_ns();
		s->flags = TAI_CLOCK;
	} else {
		s->time = bpf_ktime_get_ns();
	}
	return s;
}

static __always_inline void end(struct sample *s, void *ctx)
{
	long n = bpf_get_stack(ctx, s->stack, sizeof(s->stack), 0);

	s->stack_bytes = n > 0 ? n : 0;
	bpf_ringbuf_submit(s, 0);
}

/* The socket's own address as the source, its peer's as the destination. */
static __always_inline void addresses_of_socket(struct sample *s, struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	s->family = family;
	s->destination_port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	/* skc_num is cleared when the port is given back, which is before the error is reported; inet_sport stays. The
	 * small sockets of these two states are no inet_sock. */
	if (s->state == TCP_TIME_WAIT || s->state == TCP_NEW_SYN_RECV)
		s->source_port = bpf_htons(BPF_CORE_READ(sk, __sk_common.skc_num));
	else
		s->source_port = BPF_CORE_READ((struct inet_sock *)sk, inet_sport);
	if (family == AF_INET6) {
		BPF_CORE_READ_INTO((struct in6_addr *)s->source, sk, __sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO((struct in6_addr *)s->destination, sk, __sk_common.skc_v6_daddr);
	} else {
		BPF_CORE_READ_INTO((__be32 *)s->source, sk, __sk_common.skc_rcv_saddr);
		BPF_CORE_READ_INTO((__be32 *)s->destination, sk, __sk_common.skc_daddr);
	}
}

/* What addresses_of_packet needs of a TCP packet's headers. */
struct headers {
	unsigned char *network;
	__u32 length; /* of the network header */
	__u8 family;
};

/* False when the packet is not TCP, or has IPv6 extension headers. */
static __always_inline bool find_tcp(struct sk_buff *skb, struct headers *h)
{
	__be16 protocol = BPF_CORE_READ(skb, protocol);
	__u8 first = 0, next = 0;

	h->network = BPF_CORE_READ(skb, head) + BPF_CORE_READ(skb, network_header);
	if (protocol == bpf_htons(ETH_P_IP)) {
		bpf_probe_read_kernel(&first, 1, h->network);
		bpf_probe_read_kernel(&next, 1, h->network + 9);
		h->family = AF_INET;
		h->length = (first & 0xf) * 4;
		return first >> 4 == 4 && next == IPPROTO_TCP;
	}
	if (protocol == bpf_htons(ETH_P_IPV6)) {
		bpf_probe_read_kernel(&first, 1, h->network);
		bpf_probe_read_kernel(&next, 1, h->network + 6);
		h->family = AF_INET6;
		h->length = 40;
		return first >> 4 == 6 && next == IPPROTO_TCP;
	}
	return false;
}

static __always_inline void addresses_of_packet(struct sample *s, struct headers *h)
{
	s->flags |= FROM_PACKET;
	s->family = h->family;
	if (h->family == AF_INET6) {
		bpf_probe_read_kernel(s->source, 16, h->network + 8);
		bpf_probe_read_kernel(s->destination, 16, h->network + 24);
	} else {
		bpf_probe_read_kernel(s->source, 4, h->network + 12);
		bpf_probe_read_kernel(s->destination, 4, h->network + 16);
	}
	bpf_probe_read_kernel(&s->source_port, 2, h->network + h->length);
	bpf_probe_read_kernel(&s->destination_port, 2, h->network + h->length + 2);
}

/* (const struct sock *sk, const struct sk_buff *skb[, const enum sk_rst_reason reason]); sk or skb may be NULL. */
SEC("raw_tracepoint/tcp_send_reset")
int send_reset(struct bpf_raw_tracepoint_args *ctx)
{
	struct sock *sk = (void *)ctx->args[0];
	struct sk_buff *skb = (void *)ctx->args[1];
	__u32 netns = ours(sk ? net_of_socket(sk) : net_of_packet(skb));
	struct headers h = {};
	struct sample *s;

	if (!netns)
		return 0;
	s = begin(SEND_RESET, netns);
	if (!s)
		return 0;
	if (has_reset_reason)
		s->reason = ctx->args[2];
	if (sk)
		s->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (skb && find_tcp(skb, &h))
		addresses_of_packet(s, &h);
	else if (sk)
		addresses_of_socket(s, sk);
	end(s, ctx);
	return 0;
}

static __always_inline int socket_event(struct bpf_raw_tracepoint_args *ctx, enum kind kind)
{
	struct sock *sk = (void *)ctx->args[0];
	__u32 netns;
	struct sample *s;

	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	netns = ours(net_of_socket(sk));
	if (!netns)
		return 0;
	s = begin(kind, netns);
	if (!s)
		return 0;
	s->error = BPF_CORE_READ(sk, sk_err);
	s->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	addresses_of_socket(s, sk);
	end(s, ctx);
	return 0;
}

/* (struct sock *sk) */
SEC("raw_tracepoint/tcp_receive_reset")
int receive_reset(struct bpf_raw_tracepoint_args *ctx)
{
	return socket_event(ctx, RECEIVE_RESET);
}

/* (const struct sock *sk) */
SEC("raw_tracepoint/inet_sk_error_report")
int error_report(struct bpf_raw_tracepoint_args *ctx)
{
	return socket_event(ctx, ERROR_REPORT);
}

static __always_inline bool is_silent(__u64 reason)
{
	__u64 word = reason >> 6;

	barrier_var(word); /* the verifier has to see the comparison */
	return word < 4 && silent_reasons[word] & 1ULL << (reason & 63);
}

/*
 * (struct sk_buff *skb, void *location, enum skb_drop_reason reason[, struct sock *rx_sk]); attached only where there is
 * a reason (Linux 5.17). The socket counts before the device, whose field TCP uses for other things in its queues. The
 * packet's own socket is its sender's, which may be in another namespace: not asked.
 */
SEC("raw_tracepoint/kfree_skb")
int drop(struct bpf_raw_tracepoint_args *ctx)
{
	struct sk_buff *skb = (void *)ctx->args[0];
	__u32 reason = ctx->args[2];
	struct sock *sk = NULL;
	struct headers h = {};
	__u32 netns;
	struct sample *s;

	if (is_silent(reason))
		return 0;
	if (has_drop_socket)
		sk = (void *)ctx->args[3];
	netns = ours(sk ? net_of_socket(sk) : net_of_packet(skb));
	if (!netns || !find_tcp(skb, &h))
		return 0;
	s = begin(DROP, netns);
	if (!s)
		return 0;
	s->reason = reason;
	if (sk)
		s->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	addresses_of_packet(s, &h);
	end(s, ctx);
	return 0;
}

/*
 * Writes the names of the functions that hold the given addresses into function_names. Run by BPF_PROG_TEST_RUN; the
 * kernel looks the few up in microseconds, where reading /proc/kallsyms takes 50 ms.
 */
SEC("raw_tracepoint")
int name_functions(struct bpf_raw_tracepoint_args *ctx)
{
	static const char format[] = "%ps";
	__u32 zero = 0;
	struct names *names = bpf_map_lookup_elem(&function_names, &zero);

	if (!names)
		return 0;
#pragma unroll
	for (int i = 0; i < NAMES; i++) {
		__u64 address = ctx->args[i];

		names->name[i][0] = 0;
		if (address)
			bpf_snprintf(names->name[i], NAME_BYTES, format, &address, sizeof(address));
	}
	return 0;
}
