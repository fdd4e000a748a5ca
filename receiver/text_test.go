// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidTextIsLeftAlone(t *testing.T) {
	for _, s := range []string{"", "/usr/bin/curl", `back\slash`, "line\nbreak", "\x00", "Grüße", "\u202e", "\U0001f600", "\ufffd"} {
		got, escaped := validText(s)
		assert.False(t, escaped, "%q", s)
		assert.Equal(t, s, got)
		assert.Same(t, unsafe.StringData(s), unsafe.StringData(got), "%q was copied", s)
	}
}

func TestInvalidByteIsFoundAnywhere(t *testing.T) {
	for length := range 40 {
		plain := strings.Repeat("x", length)
		assert.True(t, isValid(plain), "%q", plain)
		for at := range length {
			assert.False(t, isValid(plain[:at]+"\xff"+plain[at+1:]), "%d of %d", at, length)
		}
		assert.True(t, isValid(plain+"é"), "%q", plain)
		assert.False(t, isValid(plain+"é"[:1]), "%q", plain)
	}
}

func TestInvalidTextIsEscaped(t *testing.T) {
	for in, want := range map[string]string{
		"\xff":             `\xff`,
		"a\xc3b":           `a\xc3b`,
		`\xff` + "\xff":    `\\xff\xff`,
		"Grüße\x80":        `Grüße\x80`,
		"\xed\xa0\x80":     `\xed\xa0\x80`, // a surrogate
		"\xf4\x90\x80\x80": `\xf4\x90\x80\x80`,
		"\ufffd\xef":       "\ufffd" + `\xef`,
	} {
		got, escaped := validText(in)
		assert.True(t, escaped, "%q", in)
		assert.Equal(t, want, got)
	}
}

// unescape undoes escapeText, by the rule that metadata.yaml gives to users.
func unescape(t *testing.T, s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		require.Less(t, i+1, len(s), "%q ends in a backslash", s)
		if s[i+1] == '\\' {
			b.WriteByte('\\')
			i++
			continue
		}
		require.True(t, s[i+1] == 'x' && i+3 < len(s), "%q", s)
		n, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
		require.NoError(t, err)
		b.WriteByte(byte(n))
		i += 3
	}
	return b.String()
}

func FuzzEscapedTextCanBeHadBack(f *testing.F) {
	for _, s := range []string{"", "\xff", `\xff`, "a\xc3\\", "\xed\xa0\x80", "Grüße\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, escaped := validText(s)
		require.True(t, utf8.ValidString(got), "%q", got)
		if escaped {
			require.Equal(t, s, unescape(t, got))
		} else {
			require.Equal(t, s, got)
		}
	})
}

func TestLineIsPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"":                  "",
		"/usr/bin/curl -v":  "/usr/bin/curl -v",
		"Grüße 漢字":          "Grüße 漢字",
		"a\nb\r\tc":         `a\nb\r\tc`,
		"\x1b[2J\x7f\x00":   `\x1b[2J\x7f\x00`,
		`C:\x`:              `C:\\x`,
		"\xff\xfe":          `\xff\xfe`,
		"\u009b1m":          `\u009b1m`, // CSI in one rune
		"\u202egpj.exe":     `\u202egpj.exe`,
		"\u2028\u00a0":      `\u2028\u00a0`,
		"\U000e0001":        `\U000e0001`,
		"a\u0301 combining": "a\u0301 combining",
	} {
		assert.Equal(t, want, string(appendLine(nil, in, 1000)))
	}
}

func FuzzLineIsPrintableAndBounded(f *testing.F) {
	for _, s := range []string{"", "\x1b[2J", "a\nb", "\xff", "\u202e", strings.Repeat("é", 100), strings.Repeat("\x00", 100)} {
		f.Add(s, 50)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < len("…") || limit > 1<<16 {
			return
		}
		line := appendLine(nil, s, limit+1)
		require.LessOrEqual(t, len(line), limit+len(`\U0010ffff`), "the whole of a long text was rendered")
		line = cutLine(line, limit)
		require.LessOrEqual(t, len(line), limit)
		require.True(t, utf8.Valid(line))
		for _, r := range string(line) {
			require.True(t, unicode.IsPrint(r), "%q", line)
		}
	})
}
