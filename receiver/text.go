// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// validText returns s itself when it is valid UTF-8, and otherwise an escaped form of it and true. A protobuf string
// that is not valid UTF-8 makes receivers refuse the whole batch it is in.
func validText(s string) (text string, escaped bool) {
	if isValid(s) {
		return s, false
	}
	return escapeText(s), true
}

// isValid tells whether s is valid UTF-8. It looks at eight bytes at a time, since nearly all text is short and ASCII.
func isValid(s string) bool {
	const high = 0x8080808080808080
	if len(s) < 8 {
		var all byte
		for i := range len(s) {
			all |= s[i]
		}
		return all < utf8.RuneSelf || utf8.ValidString(s)
	}
	for rest := s; len(rest) > 8; rest = rest[8:] {
		if word(rest)&high != 0 {
			return utf8.ValidString(s)
		}
	}
	return word(s[len(s)-8:])&high == 0 || utf8.ValidString(s)
}

// word returns the first eight bytes of s.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// escapeText writes each byte that is not part of valid UTF-8 as \xNN, and each backslash twice so that the original can
// be had back.
func escapeText(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 3*8)
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			c := s[i]
			b.Write([]byte{'\\', 'x', hexDigits[c>>4], hexDigits[c&15]})
		} else {
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

// appendLine appends s as it may stand in one line on a terminal: what is not printable is escaped as in a Go string, and so
// is the backslash. It stops, within s, when dst has reached limit bytes.
func appendLine(dst []byte, s string, limit int) []byte {
	for len(s) > 0 && len(dst) < limit {
		n := plainPrefix(s)
		if n > 0 {
			// What is beyond the limit is cut later; here it must only not cost much.
			n = min(n, limit-len(dst))
			dst = append(dst, s[:n]...)
			s = s[n:]
			continue
		}
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			dst = append(dst, '\\', 'x', hexDigits[s[0]>>4], hexDigits[s[0]&15])
		case r >= utf8.RuneSelf && unicode.IsPrint(r):
			dst = append(dst, s[:size]...)
		default:
			dst = appendEscapedRune(dst, r)
		}
		s = s[size:]
	}
	return dst
}

// plainPrefix returns how many bytes at the start of s need no escape and no look at Unicode.
func plainPrefix(s string) int {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '\\' {
			return i
		}
	}
	return len(s)
}

func appendEscapedRune(dst []byte, r rune) []byte {
	switch r {
	case '\\':
		return append(dst, '\\', '\\')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	digits := 2
	switch {
	case r > 0xffff:
		dst, digits = append(dst, '\\', 'U'), 8
	case r >= utf8.RuneSelf:
		dst, digits = append(dst, '\\', 'u'), 4
	default:
		dst = append(dst, '\\', 'x')
	}
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[r>>shift&15])
	}
	return dst
}

// cutLine returns line whole when it has at most limit bytes, and otherwise as much of it as leaves room for an ellipsis;
// it cuts between runes.
func cutLine(line []byte, limit int) []byte {
	if len(line) <= limit {
		return line
	}
	const ellipsis = "…"
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(line[end]) {
		end--
	}
	return append(line[:end], ellipsis...)
}
