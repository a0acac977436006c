package wasm

import (
	"encoding/binary"
	"slices"
	"strings"
)

// A module for tests, assembled here so that none need be built: for every character of an event that `answers` names it writes
// one result. The characters are those that JSON and the test events have nowhere else.
//
//	!  traps                    ~  never ends                ^  grows its memory beyond any limit
//	>  writes `prints`, no result    =  traps unless the clock stands at 0
//	|  answers with eight random letters as the attribute "random"
type assembly struct {
	answers  map[byte]string
	prints   string
	version  int      // of the interface
	omit     []string // exports that it lacks
	rename   map[string]string
	commands bool // exports _start
	foreign  bool // imports env.now
	pages    int  // of memory
	spins    bool // _initialize never ends
}

var usual = map[byte]string{
	'@': `{}`,
	'?': `null`,
	'#': `{"outcome":"drop","code":"seen","message":"seen before"}`,
	'$': `{"outcome":"reject","message":"not right","field":"/payload/m"}`,
	'%': `{"outcome":"retry","message":"not yet","after":"30s"}`,
	'&': `{"set":{"event_type":"changed","location":{"iata":"CUZ"},"transport":null},"attributes":{"by":"set"}}`,
	'*': `{"outcome":"pass","attributes":{"score":{"risk":0.5},"tags":["a"]}}`,
}

// Opcodes (WebAssembly Core Specification, chapter 5.4).
const (
	unreachable, block, loop, ifThen, end, br, brIf, ret, call    = 0x00, 0x02, 0x03, 0x04, 0x0b, 0x0c, 0x0d, 0x0f, 0x10
	drop, localGet, localSet, load32, load64, load8, store8       = 0x1a, 0x20, 0x21, 0x28, 0x29, 0x2d, 0x3a
	memoryGrow, const32, const64, eqz32, eqz64, eq32, ge32, and32 = 0x40, 0x41, 0x42, 0x45, 0x50, 0x46, 0x4f, 0x71
	add32, sub32, mul32, or64, shl64, extend, void                = 0x6a, 0x6b, 0x6c, 0x84, 0x86, 0xad, 0x40
)

// Where things lie in the memory.
const (
	scratch, table, texts, output, input = 512, 1024, 8192, 0x40000, 0x100000
	room                                 = 1 << 20
)

func uleb(n int) []byte {
	var b []byte
	for {
		c := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func sleb(n int) []byte {
	var b []byte
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func text(s string) []byte { return append(uleb(len(s)), s...) }

func vector(items ...[]byte) []byte { return append(uleb(len(items)), slices.Concat(items...)...) }

func section(id byte, content []byte) []byte {
	return slices.Concat([]byte{id}, uleb(len(content)), content)
}

// code of a function with so many locals of type i32.
func function(locals int, body ...[]byte) []byte {
	content := slices.Concat(append(append([][]byte{{1}, uleb(locals), {0x7f}}, body...), []byte{end})...)
	return append(uleb(len(content)), content...)
}

func op(codes ...byte) []byte { return codes }
func i32c(n int) []byte       { return append([]byte{const32}, sleb(n)...) }
func get(local byte) []byte   { return op(localGet, local) }
func set(local byte) []byte   { return op(localSet, local) }
func fetch(code byte) []byte  { return op(code, 0, 0) }

// when runs something for one character.
func when(character byte, body ...[]byte) []byte {
	return slices.Concat(get(4), i32c(int(character)), op(eq32, ifThen, void), slices.Concat(body...), op(end))
}

func (a assembly) bytes() []byte {
	if a.pages == 0 {
		a.pages = 48
	}
	if a.version == 0 {
		a.version = abiVersion
	}
	const i32, i64 = 0x7f, 0x7e
	wasi := func(name string, kind byte) []byte {
		return slices.Concat(text("wasi_snapshot_preview1"), text(name), op(0, kind))
	}
	imports := [][]byte{wasi("fd_write", 4), wasi("clock_time_get", 5), wasi("random_get", 6)}
	if a.foreign {
		imports = append(imports, slices.Concat(text("env"), text("now"), op(0, 0)))
	}
	first := len(imports)
	functions := []struct {
		name string
		kind byte
		code []byte
	}{
		{"rastro_abi", 0, function(0, i32c(a.version))},
		{"alloc", 1, function(0, get(0), i32c(room), op(ge32, ifThen, void), i32c(0), op(ret, end), i32c(input))},
		{"free", 3, function(0)},
		// A config that is a text is refused, with itself for a message.
		{"configure", 2, function(0, get(0), fetch(load8), i32c('"'), op(eq32, ifThen, void), a.place(get(0), get(1)), op(ret, end), op(const64, 0))},
		{"process", 2, a.processor()},
	}
	if a.commands {
		functions = append(functions, struct {
			name string
			kind byte
			code []byte
		}{"_start", 7, function(0)})
	}
	if a.spins {
		functions = append(functions, struct {
			name string
			kind byte
			code []byte
		}{"_initialize", 7, function(0, op(loop, void, br, 0, end))})
	}
	exports := [][]byte{}
	if !slices.Contains(a.omit, "memory") {
		exports = append(exports, append(text("memory"), 2, 0))
	}
	kinds, codes := [][]byte{}, [][]byte{}
	for i, f := range functions {
		kinds, codes = append(kinds, op(f.kind)), append(codes, f.code)
		if slices.Contains(a.omit, f.name) {
			continue
		}
		name := f.name
		if other, ok := a.rename[name]; ok {
			name = other
		}
		exports = append(exports, slices.Concat(text(name), op(0), uleb(first+i)))
	}
	data, tableBytes := a.data()
	return slices.Concat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vector(
			op(0x60, 0, 1, i32), op(0x60, 1, i32, 1, i32), op(0x60, 2, i32, i32, 1, i64), op(0x60, 2, i32, i32, 0),
			op(0x60, 4, i32, i32, i32, i32, 1, i32), op(0x60, 3, i32, i64, i32, 1, i32), op(0x60, 2, i32, i32, 1, i32), op(0x60, 0, 0),
		)),
		section(2, vector(imports...)), section(3, vector(kinds...)), section(5, vector(append(op(0), uleb(a.pages)...))),
		section(7, vector(exports...)), section(10, vector(codes...)),
		section(11, vector(
			slices.Concat(op(0), i32c(table), op(end), uleb(len(tableBytes)), tableBytes),
			slices.Concat(op(0), i32c(texts), op(end), uleb(len(data)), data),
		)))
}

// place is pointer << 32 | size.
func (a assembly) place(pointer, size []byte) []byte {
	return slices.Concat(pointer, op(extend, const64, 32, shl64), size, op(extend, or64))
}

// data returns the texts that the module writes and the table of them: where each begins and how long it is.
func (a assembly) data() (data, index []byte) {
	index = make([]byte, 128*8)
	add := func(c byte, s string) {
		binary.LittleEndian.PutUint32(index[int(c)*8:], uint32(texts+len(data)))
		binary.LittleEndian.PutUint32(index[int(c)*8+4:], uint32(len(s)))
		data = append(data, s...)
	}
	for c, answer := range a.answers {
		add(c, answer+",")
	}
	add(0, a.prints) // at once an iovec for fd_write
	add('|', `{"attributes":{"random":"********"}},`)
	return data, index
}

// The locals of process: 0 and 1 what it gets, 2 the position in it, 3 the position in the output, 4 the character, 5 its entry
// in the table, 6 the length of its answer.
func (a assembly) processor() []byte {
	again := op(br, 1) // from within an if, to the loop
	letters := make([][]byte, 0, 8)
	for k := range 8 {
		letters = append(letters, get(3), i32c(len(`{"attributes":{"random":"`)+k), op(add32),
			i32c(scratch+k), fetch(load8), i32c(15), op(and32), i32c('a'), op(add32), fetch(store8))
	}
	return function(5,
		i32c(output), put('['), i32c(output+1), set(3),
		op(block, void, loop, void),
		get(2), get(1), op(ge32, brIf, 1),
		get(0), get(2), op(add32), fetch(load8), set(4),
		get(2), i32c(1), op(add32), set(2),
		get(4), i32c(128), op(ge32, ifThen, void), again, op(end),
		when('!', op(unreachable)),
		when('~', op(loop, void, br, 0, end)),
		when('^', i32c(60000), op(memoryGrow, 0), i32c(-1), op(eq32, ifThen, void, unreachable, end)),
		when('>', i32c(1), i32c(table), i32c(1), i32c(scratch), op(call, 0, drop), again),
		when('=', i32c(0), op(const64, 0), i32c(scratch), op(call, 1, drop), i32c(scratch), fetch(load64), op(eqz64, eqz32, ifThen, void, unreachable, end), again),
		i32c(table), get(4), i32c(8), op(mul32, add32), set(5),
		get(5), i32c(4), op(add32), fetch(load32), set(6),
		get(6), op(eqz32, ifThen, void), again, op(end),
		get(3), get(5), fetch(load32), get(6), op(0xfc, 10, 0, 0), // memory.copy
		when('|', i32c(scratch), i32c(8), op(call, 2, drop), slices.Concat(letters...)),
		get(3), get(6), op(add32), set(3),
		op(br, 0, end, end),
		// Nothing to say: all pass.
		get(3), i32c(output+1), op(eq32, ifThen, void, const64, 0, ret, end),
		get(3), i32c(1), op(sub32), put(']'),
		a.place(i32c(output), slices.Concat(get(3), i32c(output), op(sub32))),
	)
}

// put stores a character at the address on the stack.
func put(c byte) []byte { return append(i32c(int(c)), op(store8, 0, 0)...) }

// manyLines is more than is logged of one batch.
func manyLines() string {
	return strings.Repeat("x", 2*maxLine) + "\n" + strings.Repeat("line\n", 2*maxLines)
}
