// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestFramesComeBackAsWritten(t *testing.T) {
	frames := []struct {
		typ     Type
		payload []byte
	}{
		{Hello, []byte("6.12.1")},
		{Begin, nil},
		{Stdout, []byte{0, 0xff, 'X', 0, 0, 0, 0}},
		{Stderr, bytes.Repeat([]byte{'e'}, MaxPayload)},
		{End, []byte(`{"code":3}`)},
		{Done, nil},
	}
	var port bytes.Buffer
	for _, f := range frames {
		if err := Write(&port, f.typ, f.payload); err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range frames {
		typ, payload, err := Read(&port)
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if typ != f.typ || !bytes.Equal(payload, f.payload) {
			t.Errorf("frame %d: got %q with %d bytes, want %q with %d", i, typ, len(payload), f.typ, len(f.payload))
		}
	}
	if _, _, err := Read(&port); err != io.EOF {
		t.Errorf("after the last frame: %v, want io.EOF", err)
	}
}

func TestReadRefusesWhatIsNoFrame(t *testing.T) {
	tests := map[string]struct {
		in   string
		want error
	}{
		"unknown type":      {"hello world", ErrCorrupt},
		"too long":          {"O\xff\x00\x00\x00", ErrCorrupt},
		"cut in the header": {"O\x00", io.ErrUnexpectedEOF},
		"cut before bytes":  {"O\x00\x00\x00\x04", io.ErrUnexpectedEOF},
		"cut in the bytes":  {"O\x00\x00\x00\x04ab", io.ErrUnexpectedEOF},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Read(bytes.NewReader([]byte(tt.in))); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestWriteRefusesAPayloadThatReadWouldRefuse(t *testing.T) {
	var port bytes.Buffer
	if err := Write(&port, Stdout, make([]byte, MaxPayload+1)); err == nil {
		t.Error("no error")
	}
	if port.Len() != 0 {
		t.Errorf("%d bytes written", port.Len())
	}
}

func TestStatusIsTheOneAShellTells(t *testing.T) {
	tests := []struct {
		exit Exit
		want int
	}{
		{Exit{}, 0},
		{Exit{Code: 2}, 2},
		{Exit{Signal: 9}, 137},
		{Exit{Error: "no such file"}, 126},
	}
	for _, tt := range tests {
		if got := tt.exit.Status(); got != tt.want {
			t.Errorf("%+v: got %d, want %d", tt.exit, got, tt.want)
		}
	}
}

// What Read accepts, Write writes again byte for byte.
func FuzzRead(f *testing.F) {
	f.Add([]byte("H\x00\x00\x00\x046.12D\x00\x00\x00\x00"))
	f.Add([]byte("O\x00\x00\x00\x04ab"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		var out bytes.Buffer
		for {
			typ, payload, err := Read(r)
			if err != nil {
				break
			}
			if err := Write(&out, typ, payload); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(in, out.Bytes()) {
			t.Errorf("% x became % x", in, out.Bytes())
		}
	})
}
