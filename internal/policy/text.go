// SPDX-License-Identifier: Apache-2.0

package policy

import "strings"

// pseudoFiles begin the names of files that are in no directory, as the kernel shows them.
var pseudoFiles = [...]string{"pipe:", "socket:", "anon_inode:", "memfd:", "dmabuf:", "mnt:", "net:", "pid:", "ipc:", "uts:", "user:", "cgroup:", "time:"}

// readTexts reads what texts and paths are compared with.
func readTexts(c *operandContext, values []Raw, out *Operand) Test {
	for _, v := range c.listed(c.needed(values)) {
		s, ok := c.bytes(v)
		if !ok {
			continue
		}
		if c.paths && c.whole {
			s = c.rooted(s, v.Pos)
		}
		out.Texts = append(out.Texts, s)
	}
	out.Texts = sortedTexts(out.Texts)
	return TestExact
}

// bytes returns the bytes of a value. A NUL at the end, written as one or as a backslash and a zero, is what policies
// had to write when the kernel's was compared too, and is dropped.
func (c *operandContext) bytes(v Raw) (string, bool) {
	s := strings.TrimSuffix(strings.TrimSuffix(v.Text, `\0`), "\x00")
	switch {
	case s == "" && (c.test != TestNone || c.paths):
		c.fail(v.Pos, "", "an empty text cannot be compared with")
	case strings.Contains(s, "\x00"):
		c.fail(v.Pos, "", "%q holds a NUL, at which the kernel's text would end", clip(s))
	case len(s) > MaxText:
		c.fail(v.Pos, "", "the text has %d bytes; at most %d are compared", len(s), MaxText)
	default:
		return s, true
	}
	return "", false
}

// rooted returns a path with its leading slash. Policies for the first agents named files from the root without it.
func (c *operandContext) rooted(s string, pos Position) string {
	if s[0] == '/' || s[0] == '@' || strings.HasPrefix(s, "(unreachable)") {
		return s
	}
	for _, p := range pseudoFiles {
		if strings.HasPrefix(s, p) || strings.HasPrefix(p, s) {
			return s
		}
	}
	c.warn(pos, "write the leading slash", "the path %q is read as %q", clip(s), clip("/"+s))
	return "/" + s
}

// readFiles reads the paths of files that are compared by identity.
func readFiles(c *operandContext, values []Raw, out *Operand) Test {
	for _, v := range c.needed(values) {
		s, ok := c.bytes(v)
		if !ok {
			continue
		}
		if s[0] != '/' {
			c.fail(v.Pos, "write the whole path", "%q is no absolute path; it must lead to the file", clip(s))
			continue
		}
		out.Texts = append(out.Texts, s)
	}
	out.Texts = sortedTexts(out.Texts)
	return TestSameFile
}

// readNetworks reads addresses and networks.
func readNetworks(c *operandContext, values []Raw, out *Operand) Test {
	for _, v := range c.listed(c.needed(values)) {
		p, err := parseNetwork(v.Text)
		if err != nil {
			c.fail(v.Pos, "", "%q %s", clip(v.Text), err)
			continue
		}
		out.Networks = append(out.Networks, p)
	}
	out.Networks = normalNetworks(out.Networks)
	return TestNone
}

// foldTexts is what TestContainsFold compares with.
func foldTexts(texts []string) []string {
	for i, s := range texts {
		texts[i] = lowerASCII(s)
	}
	return sortedTexts(texts)
}

// lowerASCII is what the kernel part does with each byte, whatever the encoding.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
