package simulator

import "github.com/rastrohq/rastro/tracking/formats/cloudevents"

// The media types of bodies.
const (
	mediaJSON   = "application/json"
	mediaJSONLD = "application/ld+json"
	mediaText   = "text/plain"
	mediaCloud  = "application/cloudevents+json"
)

// allVoices are the demonstration carriers.
func allVoices() []voice {
	voices := make([]voice, 0, 12)
	voices = append(voices, []voice{
		{carrier: "demo-baggage", media: mediaText, share: 28, knows: []Nature{Correction, NoRead}, invent: bagOfMessages, say: sayBaggage},
		{carrier: "demo-cargo-imp", media: mediaText, share: 20, invent: waybillOfMessages, say: sayCargo},
		{carrier: "demo-dcsa", media: mediaJSON, share: 12, knows: []Nature{Correction, Void}, invent: (*author).container, say: sayContainer},
		{carrier: "demo-epcis", media: mediaJSONLD, share: 12, knows: []Nature{Void}, invent: (*author).pallet, say: sayPallet, path: "capture"},
		{carrier: "demo-native", media: mediaJSON, share: 6, knows: []Nature{Correction}, invent: bagOfWords, say: sayNative},
		{carrier: "demo-cloudevents", media: mediaCloud, share: 6, knows: []Nature{Correction}, invent: bagOfWords, say: sayCloudEvent},
	}...)
	for _, shape := range shapes() {
		voices = append(voices, voice{carrier: "demo-" + shape.name, media: mediaJSON, share: 3, invent: shape.invent, say: shape.say})
	}
	return voices
}

// bagOfWords is a bag, told of in plain words.
func bagOfWords(a *author, m *market) *journey { return a.bag(m) }

// words are the steps of a bag in the words of demo-native, where they are its own.
var words = map[string]string{"checked_in": "BHS-IN", "screened": "BHS-SORT"}

func sayNative(s saying) ([]byte, int) {
	e := s.plain()
	if own, ok := words[e.Type]; ok {
		e.Type = own
	}
	body := mustMarshal(e)
	if s.nature == Malformed {
		e.Timestamp = s.at.Format("02/01/2006 15:04")
		body = mustMarshal(e)
	}
	return body, 1
}

// plain makes an event of our own form.
func (s saying) plain() wireEvent {
	payload := map[string]any{"location": s.step.at.code, "device": s.step.device}
	for key, value := range s.step.detail {
		payload[key] = value
	}
	if f := s.step.flight; f != nil {
		payload["flight"] = f.name()
	}
	e := wireEvent{
		EventID: s.id, CorrelationID: s.correlation, AggregateID: s.aggregate, Kind: s.kind, Type: s.code(), Timestamp: s.local().Format(timeLayout),
	}
	if s.nature == Correction {
		e.Revision, payload["device"] = 1, s.step.device+"-B"
	}
	e.Payload = mustMarshal(payload)
	return e
}

func sayCloudEvent(s saying) ([]byte, int) {
	e := s.plain()
	sent := map[string]any{
		"specversion": cloudevents.SpecVersion, "id": e.EventID, "source": "bhs", "type": e.Type, "subject": e.AggregateID, "time": e.Timestamp,
		"correlationid": e.CorrelationID, "kind": string(e.Kind), "datacontenttype": mediaJSON, "data": e.Payload,
	}
	if e.Revision > 0 {
		sent["revision"] = "1"
	}
	if s.nature == Malformed {
		delete(sent, "id")
	}
	return mustMarshal(sent), 1
}
