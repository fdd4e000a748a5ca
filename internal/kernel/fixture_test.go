// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"testing"
	"testing/fstest"

	"github.com/cilium/ebpf/btf"
)

// The kernel of the fixture, small enough to be read at a glance:
//
//	struct inode { unsigned long i_ino; const umode_t i_mode; unsigned int i_a : 3, i_b : 7; };
//	struct path { struct dentry *dentry; };
//	struct file { union { struct { int left; int right; }; long both; }; struct path f_path; char name[16]; int grid[2][3]; void *private; };
//	enum mode { MODE_NONE, MODE_READ, MODE_WRITE, MODE_EXEC = 4, MODE_ALL = 7 };
func fixtureTypes() []btf.Type {
	unsignedInt := &btf.Int{Name: "unsigned int", Size: 4}
	unsignedLong := &btf.Int{Name: "long unsigned int", Size: 8}
	signedInt := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	long := &btf.Int{Name: "long int", Size: 8, Encoding: btf.Signed}
	char := &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	boolean := &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	short := &btf.Int{Name: "short unsigned int", Size: 2}
	umode := &btf.Typedef{Name: "umode_t", Type: short}
	void := (*btf.Void)(nil)
	voidPointer := &btf.Pointer{Target: void}
	mode := &btf.Enum{Name: "mode", Size: 4, Values: []btf.EnumValue{
		{Name: "MODE_NONE"}, {Name: "MODE_READ", Value: 1}, {Name: "MODE_WRITE", Value: 2}, {Name: "MODE_EXEC", Value: 4}, {Name: "MODE_ALL", Value: 7}}}
	negative := &btf.Enum{Size: 4, Signed: true, Values: []btf.EnumValue{{Name: "BAD", Value: 0xffffffffffffffff}}}
	wide := &btf.Enum{Name: "wide", Size: 8, Values: []btf.EnumValue{{Name: "WIDE_TOP", Value: 1 << 63}}}
	inode := &btf.Struct{Name: "inode", Size: 16, Members: []btf.Member{
		{Name: "i_ino", Type: unsignedLong},
		{Name: "i_mode", Type: &btf.Const{Type: umode}, Offset: 64},
		{Name: "i_a", Type: unsignedInt, Offset: 96, BitfieldSize: 3},
		{Name: "i_b", Type: unsignedInt, Offset: 99, BitfieldSize: 7},
	}}
	dentry := &btf.Struct{Name: "dentry", Size: 16, Members: []btf.Member{
		{Name: "d_inode", Type: &btf.Pointer{Target: inode}, Offset: 64}}}
	dentry.Members = append(dentry.Members, btf.Member{Name: "d_parent", Type: &btf.Pointer{Target: dentry}})
	path := &btf.Struct{Name: "path", Size: 8, Members: []btf.Member{{Name: "dentry", Type: &btf.Pointer{Target: dentry}}}}
	halves := &btf.Struct{Size: 8, Members: []btf.Member{{Name: "left", Type: signedInt}, {Name: "right", Type: signedInt, Offset: 32}}}
	unnamed := &btf.Union{Size: 8, Members: []btf.Member{{Type: halves}, {Name: "both", Type: long}}}
	array := func(t btf.Type, n uint32) *btf.Array { return &btf.Array{Index: unsignedInt, Type: t, Nelems: n} }
	file := &btf.Struct{Name: "file", Size: 80, Members: []btf.Member{
		{Type: unnamed},
		{Name: "f_path", Type: path, Offset: 64},
		{Name: "name", Type: array(char, 16), Offset: 128},
		{Name: "grid", Type: array(array(signedInt, 3), 2), Offset: 256},
		{Name: "private", Type: voidPointer, Offset: 448},
		{Name: "more", Type: array(unsignedInt, 0), Offset: 512},
		{Name: "list", Type: &btf.Pointer{Target: &btf.Pointer{Target: inode}}, Offset: 576},
	}}
	filePointer := &btf.Pointer{Target: file}
	big := &btf.Struct{Name: "big", Size: 24, Members: []btf.Member{{Name: "a", Type: array(unsignedLong, 3)}}}
	function := func(name string, ret btf.Type, params ...btf.FuncParam) *btf.Func {
		return &btf.Func{Name: name, Linkage: btf.GlobalFunc, Type: &btf.FuncProto{Return: ret, Params: params}}
	}
	callback := &btf.Pointer{Target: &btf.FuncProto{Return: signedInt, Params: []btf.FuncParam{{Name: "arg", Type: voidPointer}}}}
	raw := &btf.FuncProto{Return: void, Params: []btf.FuncParam{{Type: voidPointer}, {Name: "p", Type: filePointer}, {Name: "old", Type: signedInt}}}
	userChar := &btf.Pointer{Target: &btf.TypeTag{Value: "user", Type: &btf.Const{Type: char}}}
	many := make([]btf.FuncParam, 7)
	for i := range many {
		many[i] = btf.FuncParam{Name: string(rune('a' + i)), Type: signedInt}
	}
	return []btf.Type{
		mode, negative, wide, boolean, big,
		function("security_file_open", signedInt, btf.FuncParam{Name: "file", Type: filePointer}),
		function("bpf_lsm_file_open", signedInt, btf.FuncParam{Name: "file", Type: filePointer}),
		function("bpf_lsm_func_proto", signedInt, btf.FuncParam{Name: "id", Type: mode}),
		function("idle", void),
		function("printk", signedInt, btf.FuncParam{Name: "fmt", Type: &btf.Pointer{Target: &btf.Const{Type: char}}}, btf.FuncParam{Type: void}),
		function("walk", unsignedLong, btf.FuncParam{Name: "path", Type: path}, btf.FuncParam{Name: "fn", Type: callback},
			btf.FuncParam{Name: "argv", Type: &btf.Const{Type: &btf.Pointer{Target: &btf.Const{Type: &btf.Pointer{Target: char}}}}}),
		function("wide_arguments", void, btf.FuncParam{Name: "b", Type: big}, btf.FuncParam{Name: "n", Type: &btf.Volatile{Type: unsignedInt}}),
		function("many_arguments", void, many...),
		function("from_user", boolean, btf.FuncParam{Name: "s", Type: userChar}),
		function("copies", void),
		function("hidden", void),
		&btf.Typedef{Name: "btf_trace_sched_process_exec", Type: &btf.Pointer{Target: raw}},
	}
}

// blob encodes types as a kernel does.
func blob(t testing.TB, types ...btf.Type) []byte {
	t.Helper()
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

const fixtureSymbols = `ffffffff81000000 T security_file_open
ffffffff81000010 T bpf_lsm_file_open
ffffffff81000020 t __pfx_idle
ffffffff81000030 T idle
ffffffff81000040 D data
ffffffff81000050 t copies
ffffffff81000060 t copies
ffffffff81000070 t hidden
ffffffff81000080 T printk
ffffffff81000090 T walk
ffffffff810000a0 T wide_arguments
ffffffff810000b0 T many_arguments
ffffffff810000c0 t changed.isra.0
ffffffff810000d0 t untyped
ffffffff810000e0 t idle.cold
ffffffff810000f0 T __x64_sys_read
ffffffff81000100 T __x64_sys_openat
ffffffff81000110 T __ia32_sys_read
ffffffff81000120 T __ia32_compat_sys_openat
ffffffff81000130 W __x64_sys_io_uring_setup
ffffffff81000140 T __x64_sys_newstat
ffffffff81000150 T __x64_sys_quite_new
ffffffff81000160 W __x64_sys_rtas
ffffffffc0000000 t ext_open	[ext]
ffffffffc0000010 t bpf_prog_6deef7357e7b4530	[bpf]

not a symbol
`

const fixtureFilter = `security_file_open
bpf_lsm_file_open
idle
copies
printk
walk
wide_arguments
many_arguments
untyped
ext_open [ext]
`

const fixtureBlacklist = "0x0000000000000000-0x0000000000000000\tidle\n0x0-0x0\tno_such\n"

const fixtureFormat = `name: sched_process_exec
ID: 311
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:__data_loc char[] filename;	offset:8;	size:4;	signed:0;
	field:umode_t mode;	offset:12;	size:2;	signed:0;
	field:const char * where;	offset:16;	size:8;	signed:0;
	field:char comm[16];	offset:24;	size:16;	signed:0;
	field:struct file * file;	offset:40;	size:8;	signed:0;
	field:kunknown_t what;	offset:48;	size:4;	signed:1;
	field:__rel_loc char[] tail;	offset:52;	size:4;	signed:0;

print fmt: "filename=%s", __get_str(filename)
`

func fixtureFiles(t testing.TB) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{"sys/kernel/btf/vmlinux": {Data: blob(t, fixtureTypes()...)}}
	for name, text := range map[string]string{
		"proc/kallsyms":                                             fixtureSymbols,
		"proc/sys/kernel/osrelease":                                 "6.1.0-test\n",
		"sys/kernel/tracing/available_filter_functions":             fixtureFilter,
		"sys/kernel/tracing/events/sched/sched_process_exec/format": fixtureFormat,
		"sys/kernel/tracing/events/sched/sched_process_fork/format": "name: x\n",
		"sys/kernel/tracing/events/block/block_rq_issue/format":     "",
		"sys/kernel/debug/kprobes/blacklist":                        fixtureBlacklist,
		"sys/kernel/debug/error_injection/list":                     "security_file_open\tERRNO\next_open [ext]\tNULL\n",
	} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func fixture(t testing.TB, features ...Feature) *Facts {
	t.Helper()
	return Fixture(fixtureFiles(t), features...)
}
