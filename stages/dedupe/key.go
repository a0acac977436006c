package dedupe

import (
	"crypto/sha256"
	"strconv"

	"github.com/rastrohq/rastro/pipeline"
	"github.com/rastrohq/rastro/tracking"
)

// keyer makes the keys of one stage. Keys of other pipelines, of other key fields and of other tenants are never equal to
// its own: what one claims, another does not find taken.
type keyer struct {
	// domain is what all keys of the stage begin with.
	domain []byte
	paths  []pipeline.Path
}

// keyBuffers is memory that the keys of a batch share.
type keyBuffers struct{ material, value []byte }

func newKeyer(pipelineName string, paths []pipeline.Path) keyer {
	domain := appendPart(nil, []byte("rastro dedupe key 1"))
	domain = appendPart(domain, []byte(pipelineName))
	domain = strconv.AppendInt(domain, int64(len(paths)), 10)
	domain = append(domain, ';')
	for _, path := range paths {
		domain = appendPart(domain, []byte(path.Text()))
	}
	return keyer{domain: domain, paths: paths}
}

// key returns the key of an event; false when the event lacks a part of it.
func (k keyer) key(event *tracking.Event, buffers *keyBuffers) ([sha256.Size]byte, bool) {
	if !k.encode(event, buffers) {
		return [sha256.Size]byte{}, false
	}
	return sha256.Sum256(buffers.material), true
}

// encode writes what the key is the digest of. Different values never give the same material: every part says how long it is.
func (k keyer) encode(event *tracking.Event, buffers *keyBuffers) bool {
	material := append(buffers.material[:0], k.domain...)
	buffers.value = append(buffers.value[:0], event.TenantID...)
	material = appendPart(material, buffers.value)
	for _, path := range k.paths {
		var ok bool
		if buffers.value, ok = path.Append(buffers.value[:0], event); !ok {
			return false
		}
		material = appendPart(material, buffers.value)
	}
	buffers.material = material
	return true
}

// appendPart appends a part as a netstring: its length in bytes, a colon, the part, a comma.
func appendPart(dst, part []byte) []byte {
	dst = strconv.AppendInt(dst, int64(len(part)), 10)
	dst = append(dst, ':')
	dst = append(dst, part...)
	return append(dst, ',')
}
