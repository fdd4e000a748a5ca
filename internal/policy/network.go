// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// numbered is a name with its number.
type numbered struct {
	name   string
	number int64
}

// protocols are those of include/uapi/linux/in.h.
var protocols = []numbered{
	{"IPPROTO_IP", 0}, {"IPPROTO_ICMP", 1}, {"IPPROTO_IGMP", 2}, {"IPPROTO_IPIP", 4}, {"IPPROTO_TCP", 6},
	{"IPPROTO_EGP", 8}, {"IPPROTO_PUP", 12}, {"IPPROTO_UDP", 17}, {"IPPROTO_IDP", 22}, {"IPPROTO_TP", 29},
	{"IPPROTO_DCCP", 33}, {"IPPROTO_IPV6", 41}, {"IPPROTO_RSVP", 46}, {"IPPROTO_GRE", 47}, {"IPPROTO_ESP", 50},
	{"IPPROTO_AH", 51}, {"IPPROTO_ICMPV6", 58}, {"IPPROTO_MTP", 92}, {"IPPROTO_BEETPH", 94}, {"IPPROTO_ENCAP", 98},
	{"IPPROTO_PIM", 103}, {"IPPROTO_COMP", 108}, {"IPPROTO_L2TP", 115}, {"IPPROTO_SCTP", 132}, {"IPPROTO_UDPLITE", 136},
	{"IPPROTO_MPLS", 137}, {"IPPROTO_ETHERNET", 143}, {"IPPROTO_RAW", 255}, {"IPPROTO_SMC", 256}, {"IPPROTO_MPTCP", 262},
}

// families are those of include/linux/socket.h.
var families = []numbered{
	{"AF_UNSPEC", 0}, {"AF_UNIX", 1}, {"AF_LOCAL", 1}, {"AF_INET", 2}, {"AF_AX25", 3}, {"AF_IPX", 4}, {"AF_APPLETALK", 5},
	{"AF_NETROM", 6}, {"AF_BRIDGE", 7}, {"AF_ATMPVC", 8}, {"AF_X25", 9}, {"AF_INET6", 10}, {"AF_ROSE", 11}, {"AF_DECnet", 12},
	{"AF_NETBEUI", 13}, {"AF_SECURITY", 14}, {"AF_KEY", 15}, {"AF_NETLINK", 16}, {"AF_ROUTE", 16}, {"AF_PACKET", 17},
	{"AF_ASH", 18}, {"AF_ECONET", 19}, {"AF_ATMSVC", 20}, {"AF_RDS", 21}, {"AF_SNA", 22}, {"AF_IRDA", 23}, {"AF_PPPOX", 24},
	{"AF_WANPIPE", 25}, {"AF_LLC", 26}, {"AF_IB", 27}, {"AF_MPLS", 28}, {"AF_CAN", 29}, {"AF_TIPC", 30}, {"AF_BLUETOOTH", 31},
	{"AF_IUCV", 32}, {"AF_RXRPC", 33}, {"AF_ISDN", 34}, {"AF_PHONET", 35}, {"AF_IEEE802154", 36}, {"AF_CAIF", 37}, {"AF_ALG", 38},
	{"AF_NFC", 39}, {"AF_VSOCK", 40}, {"AF_KCM", 41}, {"AF_QIPCRTR", 42}, {"AF_SMC", 43}, {"AF_XDP", 44}, {"AF_MCTP", 45},
}

// tcpStates are those of include/net/tcp_states.h at their numbers; there is no 0.
var tcpStates = [...]string{
	"", "TCP_ESTABLISHED", "TCP_SYN_SENT", "TCP_SYN_RECV", "TCP_FIN_WAIT1", "TCP_FIN_WAIT2", "TCP_TIME_WAIT",
	"TCP_CLOSE", "TCP_CLOSE_WAIT", "TCP_LAST_ACK", "TCP_LISTEN", "TCP_CLOSING", "TCP_NEW_SYN_RECV",
}

func stateTable() []numbered {
	var rows []numbered
	for i, name := range tcpStates[1:] {
		rows = append(rows, numbered{name, int64(i + 1)})
	}
	return rows
}

// parseNumbered returns the number of a name in a table, in either case and with or without its prefix, or a number.
func parseNumbered(s, prefix, what string, table []numbered, bits int) (uint64, error) {
	full := s
	if !strings.HasPrefix(strings.ToUpper(s), prefix) {
		full = prefix + s
	}
	names := make([]string, len(table))
	for i, row := range table {
		if strings.EqualFold(row.name, full) {
			return uint64(row.number), nil
		}
		names[i] = row.name
	}
	d := numbers{bits: bits}
	if s == "" || s[0] < '0' || s[0] > '9' {
		err := fmt.Errorf("is no %s", what)
		if remedy := didYouMean(full, names); remedy != "" {
			err = fmt.Errorf("is no %s; %s", what, remedy)
		}
		return 0, err
	}
	return d.one(s)
}

// parsePort parses a port, or a range of them as "low:high" or, as elsewhere, "low-high". Ports are decimal.
func parsePort(s string) (Interval, error) {
	low, high, ranged := strings.Cut(strings.Replace(s, "-", ":", 1), ":")
	a, err := strconv.ParseUint(low, 10, 16)
	b := a
	if ranged && err == nil {
		b, err = strconv.ParseUint(high, 10, 16)
	}
	switch {
	case err != nil:
		return Interval{}, errors.New("is no port; write a number from 0 to 65535, or two joined by a colon")
	case b < a:
		return Interval{}, errors.New("is a range whose end is below its start")
	}
	return Interval{a, b}, nil
}

// parseNetwork parses an address, or a network as address/bits. Bits behind the prefix are cleared, and IPv4 addresses
// mapped into IPv6 become IPv4.
func parseNetwork(s string) (netip.Prefix, error) {
	addr, bits, ok := strings.Cut(s, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.Prefix{}, errors.New("is no IPv4 or IPv6 address; names are not looked up")
	}
	if a.Zone() != "" {
		return netip.Prefix{}, errors.New("has a zone, which is no part of what the kernel compares; leave it out")
	}
	n := a.BitLen()
	if ok {
		length, err := strconv.ParseUint(bits, 10, 8)
		if err != nil || int(length) > n {
			return netip.Prefix{}, fmt.Errorf("has a prefix length that is none: it must be from 0 to %d", n)
		}
		n = int(length)
	}
	if a.Is4In6() && n >= 96 {
		a, n = a.Unmap(), n-96
	}
	return netip.PrefixFrom(a, n).Masked(), nil
}

// normalNetworks sorts networks and removes those that are within another.
func normalNetworks(in []netip.Prefix) []netip.Prefix {
	slices.SortFunc(in, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var out []netip.Prefix
	for _, p := range in {
		if n := len(out); n > 0 && out[n-1].Bits() <= p.Bits() && out[n-1].Contains(p.Addr()) {
			continue
		}
		out = append(out, p)
	}
	return out
}
