// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// hopOffsets are the offsets of the pointers that a path follows.
func hopOffsets(p Path) []uint32 {
	var offsets []uint32
	for _, h := range p.Hops {
		offsets = append(offsets, h.Offset)
	}
	return offsets
}

func TestPathsAreStepsToAValue(t *testing.T) {
	f := fixture(t)
	for _, c := range []struct {
		root, path        string
		hops              []uint32
		offset            uint32
		typ               string
		load, shift, bits uint32
	}{
		{"struct file", "f_path.dentry.d_inode.i_ino", []uint32{8, 8}, 0, "unsigned long", 8, 0, 0},
		{"struct file *", "f_path.dentry.d_inode.i_mode", []uint32{8, 8}, 8, "const umode_t", 2, 0, 0},
		{"struct file *", "f_path", nil, 8, "struct path", 0, 0, 0},
		{"struct file *", "f_path.dentry", nil, 8, "struct dentry *", 8, 0, 0},
		{"struct file *", "f_path.dentry.d_parent.d_parent.d_inode", []uint32{8, 0, 0}, 8, "struct inode *", 8, 0, 0},
		{"struct file", "right", nil, 4, "int", 4, 0, 0}, // in two without a name
		{"struct file", "both", nil, 0, "long", 8, 0, 0},
		{"struct file", "name", nil, 16, "char[16]", 0, 0, 0},
		{"struct file", "name[15]", nil, 31, "char", 1, 0, 0},
		{"struct file", "grid[1]", nil, 44, "int[3]", 0, 0, 0},
		{"struct file", "grid[1][2]", nil, 52, "int", 4, 0, 0},
		{"struct file", "more[5]", nil, 84, "unsigned int", 4, 0, 0}, // flexible
		{"struct file", "private", nil, 56, "void *", 8, 0, 0},
		{"struct file", "list", nil, 72, "struct inode **", 8, 0, 0},
		{"struct file", "list[2]", []uint32{72}, 16, "struct inode *", 8, 0, 0},
		{"struct file", "list[2].i_ino", []uint32{72, 16}, 0, "unsigned long", 8, 0, 0},
		{"struct inode", "i_a", nil, 12, "unsigned int", 1, 0, 3},
		{"struct inode", "i_b", nil, 12, "unsigned int", 2, 3, 7},
		{"struct inode *", "[3].i_ino", nil, 48, "unsigned long", 8, 0, 0},
		{"struct inode **", "[1].i_ino", []uint32{8}, 0, "unsigned long", 8, 0, 0},
		{"struct inode **", "[1][2].i_ino", []uint32{8}, 32, "unsigned long", 8, 0, 0},
		{"char *", "[7]", nil, 7, "char", 1, 0, 0},
	} {
		root, err := f.TypeByName(c.root)
		if err != nil {
			t.Error(err)
			continue
		}
		p, err := root.Resolve(c.path)
		if err != nil {
			t.Errorf("%s %s: %v", c.root, c.path, err)
			continue
		}
		if !reflect.DeepEqual(hopOffsets(p), c.hops) || p.Offset != c.offset || p.Type.String() != c.typ ||
			p.Load != c.load || p.Shift != c.shift || p.Bits != c.bits {
			t.Errorf("%s %s: hops %v, offset %d, %s, load %d, shift %d, bits %d", c.root, c.path, hopOffsets(p), p.Offset, p.Type,
				p.Load, p.Shift, p.Bits)
		}
	}
}

func TestPathsThatLeadNowhereSayWhere(t *testing.T) {
	f := fixture(t)
	for _, c := range []struct{ root, path, want string }{
		{"struct file", "", `path "", column 1: it is empty`},
		{"struct file", "f_paht.dentry", `path "f_paht.dentry", column 1: struct file has no field f_paht; did you mean f_path?`},
		{"struct file", "f_path.dentry.d_inod", `path "f_path.dentry.d_inod", column 15: struct dentry has no field d_inod; did you mean d_inode?`},
		{"struct file", "lefd", `path "lefd", column 1: struct file has no field lefd; did you mean left?`},
		{"struct file", "both.x", `path "both.x", column 6: long has no fields`},
		{"struct file", "private.x", `path "private.x", column 9: void has no fields`},
		{"struct file", "private[1]", `path "private[1]", column 8: the size of void is not known`},
		{"struct file", "name[16]", `path "name[16]", column 5: the array has 16 elements, from 0`},
		{"struct file", "both[0]", `path "both[0]", column 5: long is neither an array nor a pointer`},
		{"struct file", "[0]", `path "[0]", column 1: struct file is neither an array nor a pointer`},
		{"struct file", "list.i_ino", `path "list.i_ino", column 6: struct inode * has no fields`},
		{"struct file", "name[x]", `path "name[x]", column 6: an index is a number from 0 to 2147483647`},
		{"struct file", "name[-1]", `path "name[-1]", column 6: an index is a number from 0 to 2147483647`},
		{"struct file", "name[99999999999]", `path "name[99999999999]", column 6: an index is a number from 0 to 2147483647`},
		{"struct file", "name[1", `path "name[1", column 7: a ] is missing`},
		{"struct file", "name]", `path "name]", column 5: a . or [ is expected`},
		{"struct file", ".name", `path ".name", column 1: the name of a field is expected`},
		{"struct file", "name.", `path "name.", column 6: the name of a field is expected`},
		{"struct file", "a..b", `path "a..b", column 3: the name of a field is expected`},
		{"struct file", "f_path.0", `path "f_path.0", column 8: the name of a field is expected`},
		{"struct nowhere *", "x", `path "x", column 1: the fields of struct nowhere are not known: it is only declared`},
		{"int", "x", `path "x", column 1: int has no fields`},
	} {
		root, err := f.TypeByName(c.root)
		if err != nil {
			t.Error(err)
			continue
		}
		_, err = root.Resolve(c.path)
		var at *PathError
		if !errors.As(err, &at) || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestOffsetsThatAreTooFarAreRefused(t *testing.T) {
	f := fixture(t)
	inode, err := f.TypeByName("struct inode *")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"[2147483647].i_ino", "[2147483647]"} {
		if p, err := inode.Resolve(path); err == nil {
			t.Errorf("%s: %+v", path, p)
		}
	}
	if _, err := inode.Resolve(strings.Repeat("a", maxPath+1)); err == nil {
		t.Error("a path without end")
	}
}

func TestTypesWithoutEndAreCut(t *testing.T) {
	endless := &btf.Pointer{}
	endless.Target = endless
	if s := typeOf(endless).String(); len(s) > 200 {
		t.Errorf("%d bytes", len(s))
	}
	loop := &btf.Typedef{Name: "loop"}
	loop.Type = loop
	if k := typeOf(loop); k.Kind != Void {
		t.Errorf("%+v", k)
	}
	unnamed := &btf.Struct{}
	unnamed.Members = []btf.Member{{Type: unnamed}}
	if _, err := typeOf(unnamed).Resolve("x"); err == nil {
		t.Error("a field was found in a structure that only holds itself")
	}
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"f_path.dentry.d_inode.i_ino", "name[3]", "[1].x", "a..b", "grid[1][2]", "list[4294967295]"} {
		f.Add(seed)
	}
	facts := fixture(f)
	root, err := facts.TypeByName("struct file *")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		p, err := root.Resolve(path)
		if err != nil {
			var at *PathError
			if !errors.As(err, &at) || at.Column < 0 || at.Column > len(path) {
				t.Fatalf("%#v", err)
			}
			return
		}
		if p.Load != 0 && p.Load != 1 && p.Load != 2 && p.Load != 4 && p.Load != 8 || p.Bits > 0 && p.Shift+p.Bits > p.Load*8 {
			t.Fatalf("%+v", p)
		}
	})
}
