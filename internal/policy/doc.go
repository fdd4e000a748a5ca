// SPDX-License-Identifier: Apache-2.0

// Package policy reads the policy language: YAML documents, or values of the collector's configuration, become a Policy
// in which every operator is resolved and every value typed, and in which each node knows where it was written.
//
// The language is that of the TracingPolicy and TracingPolicyNamespaced resources (cilium.io/v1alpha1), so that policies
// that exist can be used, with additions: metrics, matchCredentials, matchCmdArgs, SameFile, types taken from BTF. Keys
// are compared exactly; names of operators, actions, namespaces and sets of capabilities with case ignored.
//
// The package is pure: it makes no system call and knows no kernel. The way of a policy is
//
//	Parser.Parse, ParseFS or ParseInline    what is written, strictly: nothing unknown is passed over
//	Validate                                what this build can do of it
//	Hook.Bind                               what BTF tells of arguments whose type is not declared
//
// Parsing reports everything that is wrong, as Errors, in order; each Error tells the place, what is wrong, and what to
// write instead where that is known. A document with an error gives no policy. Policy.Warnings tells what works and
// should be written in another way. The result depends on nothing but the input (and Parser.Arch).
//
// # What a policy means
//
// Selectors of a hook are looked at in their order, and the first that holds counts: its actions are done, and no
// later one is looked at. So a selector with NoPost excludes what it matches from those behind it. A hook without
// selectors has one without filters, which always holds. Filters within a selector must all hold, several of one
// kind (two matchPIDs, two matchArgs on one index) too.
//
// A filter holds when its Test holds, or, when it is Negated, when its test does not. The values of a filter are
// alternatives to its test. So Equal, In, Prefix, SAddr, GT and Mask with several values hold when one of them fits,
// and NotEqual, NotIn, NotPrefix and NotSAddr when none does. GT [5, 10] is GT 5; Mask [1, 0x200] holds when either bit
// is set.
//
// Post is done when a selector holds, unless it has NoPost, or it or its hook has metrics and it has no Post. The hook's
// metrics are counted for each match of any selector, also one with NoPost.
//
// # Unreadable values
//
// A value that could not be read makes every filter on it neither true nor false, negated or not: the selector does not
// hold, and the unreadable counter of the policy grows. This is so that NotEqual and NotIn never match what is not known.
// In a selector that has an enforcing action such a filter counts as true instead (fail closed). The event of
// another filter's match tells the value as unreadable.
//
// # Filters on arguments
//
// matchArgs names its argument by index, the number of the parameter, or by args, the position in the hook's own args;
// args wins. With index, the first declared argument with it is meant. An argument that is not declared is read
// all the same (Arg.Implicit); the field's other agents refuse that. Without either, it is parameter 0. matchData counts
// positions in data both ways. matchReturnArgs is about the return value.
//
// An argument without a type, or of type auto, has the kernel's own. Its filters are Bound only after Hook.Bind, since
// what Equal means, and whether READING_MODULE is a number, depends on it.
//
//   - Numbers: decimal, 0x, 0o or 0, 0b; names of constants, joined with |; enumerators that BTF knows. Hexadecimal
//     and binary digits may be the pattern of a negative number (0xffffffff is -1 as int). A plain number that reaches
//     the collector's configuration loses its notation there: quote a pattern in inline policies. InRange takes
//     "low:high", both included; so do Equal and In. InMap is In: there is no limit on the number of values that it
//     would lift. SizeArg counts from 0, as the index does, though sizeArgIndex counts from 1.
//   - Text: compared as bytes, up to MaxText. A NUL at the end of a value, also written \0, is dropped. SubStringIgnCase
//     ignores the case of ASCII letters only.
//   - Paths: the resolved path from the root of the process's mount namespace, compared as bytes like any text: Prefix
//     /etc matches /etcetera, and Prefix /etc/ what is below /etc. The first agents named a file without its leading
//     slash, "etc/passwd"; such a value of Equal, In, Prefix or their negations gets its slash, with a warning, unless it
//     begins like the name of a file that is in no directory (pipe:[...], anon_inode:...). A value of Postfix or
//     SubString is taken as it is.
//   - SameFile compares device and inode with those of the file that the path leads to, whatever name the hook sees. Who
//     loads the policy follows the path and looks again when another file takes its place.
//   - Sockets: SAddr and SPort are the local end, DAddr and DPort the peer, in the way that the kernel's structure has
//     them; a sockaddr has one address, which is its SAddr. IPv4 addresses mapped into IPv6 are IPv4, here and in the
//     kernel. A test on an address or port does not hold for a socket that has none (a unix socket): then SAddr is
//     false, and NotSAddr true.
//   - CapabilitiesGained compares args [before, after]: it holds when after has one of the values (or any capability, when
//     there are no values) that before has not.
//   - CelExpr: arg0 is the first of the filter's args, or the only one of index; without either, arg0, arg1 ... are
//     the declared arguments. Numbers keep their width; a narrower one is widened where that keeps its value, and types
//     that do not go together need a conversion (int64, uint32 ...). Arithmetic wraps, x/0 is 0 and x%0 is x.
//
// # Filters on the process
//
//   - matchPIDs is about the process, not the thread. isNamespacePID and followForks are false when not given: the PID is
//     the host's, and descendants do not count. With followForks a process belongs to a PID when it or an ancestor of
//     it, at the time of a fork, has it; NotIn then excludes descendants too.
//   - matchBinaries is about the file that was executed; for a script about the script or its interpreter: In holds
//     when either is in the list, NotIn when neither is. The path is that of the time of exec. A process that
//     only forked has the binary of the one it was forked from. With followChildren the test holds for descendants too,
//     those included that run when the policy is loaded; of a negated filter the whole is negated.
//   - matchParentBinaries is about the parent's binary; with followChildren, that of any ancestor.
//   - matchNamespaces: host_ns is the namespace of the host's first process. Both may be mixed with numbers.
//   - matchNamespaceChanges and matchCapabilityChanges compare with what the process had at its last exec. A change of
//     capabilities is one gained or lost.
//   - matchCapabilities: In holds when the set has one of the values, NotIn when it has none. The set is Effective when
//     not given. With isNamespaceCapability the test holds only outside the host's user namespace.
//   - matchCredentials (new) takes `type: uid`, euid, suid, fsuid, gid, egid, sgid, fsgid or loginuid, an operator and
//     numbers or ranges, as the host's user namespace has them; "unset" is the login uid that no login set.
//     matchCurrentCred, a list of operators under the name of each, means the same.
//   - matchCmdArgs (new) compares arguments of the executed program, argument 0 included, each exactly as the kernel
//     has it: with index one of them, else any. A negated one without index holds when no argument fits. An index that
//     the process has not is no match, negated or not.
//
// # Hooks
//
// call names a function, or a syscall: with `syscall: true`, or, when syscall is not given, when the name begins as
// the symbols of syscalls do (sys_, __x64_sys_ ...). A syscall is hooked for every ABI of the kernel, whatever prefix it
// was written with; i386/sys_dup and the like limit it. `syscall: false` hooks the very symbol. "module:function" is
// a function of a module, which may be loaded later. A matchReturnArgs, a returnArg, or a metric of a duration, a return
// value or an error makes a hook see the return, whether or not it has `return: true`.
//
// # Macros
//
// The filters and actions of selectorsMacros are added to a selector that names them in macros. A macro may use others.
//
// # Limits
//
// There is no limit on hooks, arguments, selectors, filters, values or actions. Those that there are stand beside their
// constants: MaxParameters, MaxSyscallParameters, MaxPID, MaxErrno and MaxSignal are the kernel's; MaxText is what is
// read of a text; MaxSeries and MaxBy bound the kernel memory of metrics; MaxMessage, MaxTags and MaxName are the
// language's own.
//
// # Refused for good
//
// GetUrl and DnsLookup: an agent that a policy can make call out can be made to attack others, or to tell what it sees.
// Loader events and signatures of policies: they are not available. Everything else that the language has and this build
// has not is parsed, and refused by Validate.
package policy
