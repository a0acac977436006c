package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// setJSON returns a JSON document with a value at a place in it: all else keeps its bytes and its order. What leads to the place
// and is not there yet, or null, becomes an object. A part that is a number names an item of a list, or the one behind the last.
// Of a key that an object repeats, the first counts. The document is not changed.
func setJSON(document []byte, parts []string, value []byte) ([]byte, error) {
	if len(parts) == 0 {
		return value, nil
	}
	at := gjson.ParseBytes(document)
	switch {
	case !at.Exists() || at.Type == gjson.Null:
		inner, err := setJSON(nil, parts[1:], value)
		if err != nil {
			return nil, err
		}
		return slices.Concat([]byte("{"), keyJSON(parts[0]), []byte(":"), inner, []byte("}")), nil
	case !at.IsObject() && !at.IsArray():
		return nil, fmt.Errorf("%q cannot be set within what is neither an object nor a list", parts[0])
	}
	found, ok := locateMember(at, parts[0])
	if n, err := strconv.Atoi(parts[0]); !ok && at.IsArray() && (err != nil || n != found.count) {
		return nil, fmt.Errorf("%q is no item of a list of %d; write a number from 0 to %d", parts[0], found.count, found.count)
	}
	if !ok {
		inner, err := setJSON(nil, parts[1:], value)
		if err != nil {
			return nil, err
		}
		return appendMember(document, at, parts[0], inner)
	}
	inner, err := setJSON(document[found.value:found.end], parts[1:], value)
	if err != nil {
		return nil, err
	}
	return slices.Concat(document[:found.value], inner, document[found.end:]), nil
}

// deleteJSON returns a JSON document without what is at a place in it: all else keeps its bytes and its order. What is not there
// cannot be deleted, which is no error.
func deleteJSON(document []byte, parts []string) ([]byte, error) {
	at := gjson.ParseBytes(document)
	if len(parts) == 0 || (!at.IsObject() && !at.IsArray()) {
		return document, nil
	}
	found, ok := locateMember(at, parts[0])
	if !ok {
		return document, nil
	}
	if len(parts) > 1 {
		inner, err := deleteJSON(document[found.value:found.end], parts[1:])
		if err != nil {
			return nil, err
		}
		return slices.Concat(document[:found.value], inner, document[found.end:]), nil
	}
	if found.next < 0 { // the last one: the comma before it goes too
		start := found.key
		if found.before >= 0 {
			start = found.before
		}
		return slices.Concat(document[:start], document[found.end:]), nil
	}
	return slices.Concat(document[:found.key], document[found.next:]), nil
}

// span is where a member of an object, or an item of a list, stands in its document.
type span struct {
	key, value, end int
	before          int // where the member before it ends; -1 when it is the first
	next            int // where the one behind it begins; -1 when it is the last
	count           int // how many were looked at
}

var errNotJSON = errors.New("the document is not JSON")

// locateMember finds a member of an object by its key, or an item of a list by its number. Where there is none, the span has the
// count of all of them.
func locateMember(in gjson.Result, part string) (found span, ok bool) {
	list := in.IsArray()
	index, err := strconv.Atoi(part)
	if list && err != nil {
		index = -1
	}
	end, count := -1, 0
	in.ForEach(func(key, value gjson.Result) bool {
		start := key.Index
		if list {
			start = value.Index
		}
		if ok {
			found.next = start
			return false
		}
		if ok = (list && count == index) || (!list && key.Str == part); ok {
			found = span{key: start, value: value.Index, end: value.Index + len(value.Raw), before: end, next: -1}
		}
		end = value.Index + len(value.Raw)
		count++
		return true
	})
	found.count = count
	return found, ok
}

// appendMember adds a member to the end of an object, or an item to that of a list.
func appendMember(document []byte, in gjson.Result, key string, value []byte) ([]byte, error) {
	end := len(strings.TrimRight(string(document), " \t\r\n")) - 1
	if end < 1 || (document[end] != '}' && document[end] != ']') {
		return nil, errNotJSON
	}
	for end > 0 && strings.IndexByte(" \t\r\n", document[end-1]) >= 0 {
		end--
	}
	var added []byte
	if last := document[end-1]; last != '{' && last != '[' {
		added = append(added, ',')
	}
	if in.IsObject() {
		added = append(append(added, keyJSON(key)...), ':')
	}
	return slices.Concat(document[:end], added, value, document[end:]), nil
}

func keyJSON(key string) []byte {
	e := encoder{}
	if err := e.native(key); err != nil {
		return []byte(`""`) // never: a text can be encoded
	}
	return e.out
}

// pointer returns the JSON pointer (RFC 6901) of a place in a document.
func pointer(parts []string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(escape.Replace(part))
	}
	return b.String()
}

// depthOf returns how deep JSON nests: 0 for what is neither object nor list.
func depthOf(document json.RawMessage) int {
	depth, deepest, inText := 0, 0, false
	for i := 0; i < len(document); i++ {
		switch c := document[i]; {
		case inText && c == '\\':
			i++
		case c == '"':
			inText = !inText
		case inText:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}
