package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The headers of Standard Webhooks 1.0.
const (
	headerWebhookID        = "webhook-id"
	headerWebhookTimestamp = "webhook-timestamp"
	headerWebhookSignature = "webhook-signature"
)

const (
	// maxWebhookID bounds the sender's id of a message, in bytes.
	maxWebhookID = 255
	// maxSignatures bounds the signatures of a message: a sender that changes its secret makes two.
	maxSignatures = 8
	// maxSignatureHeader bounds the header with the signatures, in bytes.
	maxSignatureHeader = 1024
	// webhookVersion is the one scheme of signatures that is checked: HMAC-SHA256. Others are passed over.
	webhookVersion = "v1"
)

// webhook is what the headers of a signed message say; nothing of it is proven.
type webhook struct {
	id         string
	at         time.Time
	timestamp  string // as sent, as it is signed
	signatures [][]byte
}

// parseWebhook reads the headers of a signed message. Its errors never quote the signature.
func parseWebhook(id, timestamp, signature string) (webhook, error) {
	w := webhook{id: id, timestamp: timestamp}
	switch {
	case id == "":
		return webhook{}, errors.New(headerWebhookID + " is missing")
	case len(id) > maxWebhookID:
		return webhook{}, fmt.Errorf("%s has %d bytes, more than %d", headerWebhookID, len(id), maxWebhookID)
	// What is signed is parted by dots: with one in the id the same signature would be good for two messages.
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' || r == '.' }):
		return webhook{}, errors.New(headerWebhookID + " holds other than printable ASCII without spaces and dots")
	}
	seconds, err := strconv.ParseUint(timestamp, 10, 40)
	if err != nil || timestamp[0] == '0' && len(timestamp) > 1 {
		return webhook{}, errors.New(headerWebhookTimestamp + " is no number of seconds since 1970")
	}
	w.at = time.Unix(int64(seconds), 0).UTC()
	if len(signature) > maxSignatureHeader {
		return webhook{}, fmt.Errorf("%s has %d bytes, more than %d", headerWebhookSignature, len(signature), maxSignatureHeader)
	}
	for part := range strings.FieldsSeq(signature) {
		version, text, _ := strings.Cut(part, ",")
		if version != webhookVersion {
			continue
		}
		mac, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || len(mac) != sha256.Size {
			return webhook{}, fmt.Errorf("%s holds a %s that is not %d bytes in base64", headerWebhookSignature, webhookVersion, sha256.Size)
		}
		if w.signatures = append(w.signatures, mac); len(w.signatures) > maxSignatures {
			return webhook{}, fmt.Errorf("%s holds more than %d signatures", headerWebhookSignature, maxSignatures)
		}
	}
	if len(w.signatures) == 0 {
		return webhook{}, fmt.Errorf("%s holds no signature as %s,<base64>", headerWebhookSignature, webhookVersion)
	}
	return w, nil
}

// checkTime refuses messages that are not of about now: too old, they may be somebody's who overheard them.
func (w webhook) checkTime(now time.Time, tolerance time.Duration) error {
	switch age := now.Sub(w.at); {
	case age > tolerance:
		return fmt.Errorf("%w: %s is %v ago, more than %v", ErrWebhookTime, headerWebhookTimestamp, age.Round(time.Second), tolerance)
	case -age > tolerance:
		return fmt.Errorf("%w: %s is %v ahead, more than %v", ErrWebhookTime, headerWebhookTimestamp, -age.Round(time.Second), tolerance)
	default:
		return nil
	}
}

// signedBy reports whether one of the signatures was made with one of the keys. It takes as long whichever it is.
func (w webhook) signedBy(body []byte, keys ...[]byte) bool {
	good := false
	for _, key := range keys {
		want := w.sign(key, body)
		for _, got := range w.signatures {
			if hmac.Equal(got, want) {
				good = true
			}
		}
	}
	return good
}

// sign returns the signature that a key makes of id, timestamp and body, parted by dots.
func (w webhook) sign(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{w.id, ".", w.timestamp, "."} {
		_, _ = mac.Write([]byte(part)) // never fails
	}
	_, _ = mac.Write(body)
	return mac.Sum(nil)
}
