// Package nlmsg reads netlink's framing: the messages of a datagram (struct nlmsghdr) and the attributes of a message
// (struct nlattr), as libnl's and the kernel's nlmsg_* and nla_* functions do. What the messages and attributes mean is
// the business of the packages that ask for them. It is pure: it reads bytes, and no system call is made.
package nlmsg
