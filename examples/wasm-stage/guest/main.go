//go:build wasip1

// Command guest is the redact stage as a WebAssembly module:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o ../config/stages/redact.wasm .
//
// docs/wasm.md of rastro says what the functions are for.
package main

import (
	"encoding/json"
	"fmt"
	"unsafe"

	"example.com/rastro-wasm-stage/redact"
)

func main() {} // a library has none, the compiler wants one

var (
	config redact.Config
	// shared is the memory that the host writes to and reads from, by its address: kept here, the collector leaves it alone.
	shared = map[uint32][]byte{}
)

//go:wasmexport rastro_abi
func abi() int32 { return 1 }

//go:wasmexport alloc
func alloc(size uint32) uint32 {
	pointer, _ := share(make([]byte, size+1))
	return pointer
}

//go:wasmexport free
func free(pointer, _ uint32) { delete(shared, pointer) }

//go:wasmexport configure
func configure(pointer, size uint32) uint64 {
	parsed, err := redact.Parse(shared[pointer][:size])
	if err != nil {
		return answer([]byte(err.Error()))
	}
	config = parsed
	return 0
}

//go:wasmexport process
func process(pointer, size uint32) uint64 {
	var events []redact.Event
	if err := json.Unmarshal(shared[pointer][:size], &events); err != nil {
		panic(fmt.Sprintf("read the events: %v", err)) // the host runs them one by one then
	}
	results := make([]redact.Result, len(events))
	for i, e := range events {
		results[i] = config.Apply(e)
	}
	text, err := json.Marshal(results)
	if err != nil {
		panic(fmt.Sprintf("write the results: %v", err))
	}
	return answer(text)
}

// answer returns where the host finds some bytes.
func answer(text []byte) uint64 {
	pointer, size := share(text)
	return uint64(pointer)<<32 | uint64(size)
}

func share(b []byte) (pointer, size uint32) {
	pointer = uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
	shared[pointer] = b
	return pointer, uint32(len(b))
}
