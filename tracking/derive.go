package tracking

import (
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/google/uuid"
)

// DeriveUID returns the UID of an event that was made from another: the same every time for the same parent and label, so that
// making it twice has the effect of making it once. It is a UUIDv7 (RFC 9562) with the time of the parent's, so that the two are
// stored side by side; what is random in others is here a digest.
func DeriveUID(parent uuid.UUID, label string) uuid.UUID {
	digest := sha256.Sum256(append(parent[:], label...))
	uid := parent
	copy(uid[6:], digest[:10])
	uid[6] = uid[6]&0x0f | 0x70 // version 7
	uid[8] = uid[8]&0x3f | 0x80 // the variant of RFC 9562
	return uid
}

// Clone returns a copy that shares nothing changeable with e but the payload and what is personal, whose bytes nobody changes.
func (e *Event) Clone() *Event {
	c := *e
	c.Location, c.Quantity, c.Transport = copied(e.Location), copied(e.Quantity), copied(e.Transport)
	if e.Location != nil {
		c.Location.Lat, c.Location.Lon = copied(e.Location.Lat), copied(e.Location.Lon)
	}
	if e.Corrects != nil {
		c.Corrects = copied(e.Corrects)
		c.Corrects.EventIDs = slices.Clone(e.Corrects.EventIDs)
	}
	c.Enrichment.Place, c.Enrichment.Airline = copied(e.Enrichment.Place), copied(e.Enrichment.Airline)
	c.Enrichment.Transport = copied(e.Enrichment.Transport)
	c.Enrichment.Attributes = maps.Clone(e.Enrichment.Attributes)
	c.Personal = copied(e.Personal)
	return &c
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}
