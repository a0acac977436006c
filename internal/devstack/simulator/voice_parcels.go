package simulator

import (
	"fmt"
	"time"
)

// shape is how a service that gathers the tracking of parcels tells of them.
type shape struct {
	name string
	// codes are its words for the steps that it tells.
	codes map[string]string
	// number makes a parcel's number.
	number func(serial uint64) string
	// body writes an event; at is when it took place, as the service writes times.
	body func(s saying, code string) map[string]any
}

func (p shape) invent(a *author, m *market) *journey {
	j := a.parcel(m)
	if p.number != nil {
		j.correlation = p.number(a.serial(p.name, 100_000_000))
		j.aggregate = j.correlation
	}
	return j.only(func(s step) bool { return p.codes[s.code] != "" })
}

func (p shape) say(s saying) ([]byte, int) {
	code := p.codes[s.step.code]
	if s.nature == UnknownCode {
		code = s.strange
	}
	return mustMarshal(p.body(s, code)), 1
}

// when writes when it took place, or what is no time.
func (s saying) when(layout string, zone *time.Location) string {
	if s.nature == Malformed {
		return "soon"
	}
	return s.at.In(zone).Format(layout)
}

func shapes() []shape {
	return []shape{
		{
			name: "aftership", codes: map[string]string{
				"announced": "InfoReceived_001", "accepted": "InTransit_002", "in_transit": "InTransit_007", "arrived": "InTransit_003", "customs_hold": "InTransit_006",
				"customs_cleared": "InTransit_005", "out_for_delivery": "OutForDelivery_001", "delivery_failed": "AttemptFail_001", "delivered": "Delivered_001",
				"returned": "Exception_011", "lost": "Exception_013",
			},
			body: func(s saying, code string) map[string]any {
				return map[string]any{"event": "tracking_update", "event_id": s.id, "msg": map[string]any{
					"tracking_number": s.correlation, "slug": s.source, "checkpoints": []any{map[string]any{
						"checkpoint_time": s.when(time.RFC3339, s.step.at.location()), "subtag": code, "tag": code, "location": s.step.at.city + ", " + s.step.at.country,
					}},
				}}
			},
		},
		{
			name: "17track", codes: map[string]string{
				"announced": "InfoReceived", "accepted": "InTransit_PickedUp", "in_transit": "InTransit_Departure", "arrived": "InTransit_Arrival",
				"customs_hold": "InTransit_CustomsProcessing", "customs_cleared": "InTransit_CustomsReleased", "out_for_delivery": "OutForDelivery_Other",
				"delivery_failed": "DeliveryFailure_Other", "delivered": "Delivered_Other",
			},
			body: func(s saying, code string) map[string]any {
				return map[string]any{"event": "TRACKING_UPDATED", "data": map[string]any{"number": s.correlation, "track_info": map[string]any{"tracking": map[string]any{
					"providers": []any{map[string]any{"events": []any{map[string]any{
						"time_iso": s.when(time.RFC3339, s.step.at.location()), "location": s.step.at.city, "sub_status": code,
					}}}},
				}}}}
			},
		},
		{
			name: "easypost", number: func(n uint64) string { return fmt.Sprintf("EZ1%09d", n) }, codes: map[string]string{
				"announced": "pre_transit", "in_transit": "departed_facility", "arrived": "arrived_at_facility", "out_for_delivery": "out_for_delivery",
				"delivery_failed": "failure", "delivered": "delivered", "returned": "return_to_sender",
			},
			body: func(s saying, code string) map[string]any {
				return map[string]any{"id": "evt_" + s.id, "object": "Event", "description": "tracker.updated", "result": map[string]any{
					"object": "Tracker", "tracking_code": s.correlation, "tracking_details": []any{map[string]any{
						"status": code, "status_detail": code, "datetime": s.when("2006-01-02T15:04:05Z", time.UTC), "tracking_location": map[string]any{"city": upper(s.step.at.city)},
					}},
				}}
			},
		},
		{
			name: "ups", number: func(n uint64) string { return fmt.Sprintf("1Z999AA10%09d", n) }, codes: map[string]string{
				"announced": "M", "accepted": "P", "in_transit": "I", "out_for_delivery": "O", "delivery_failed": "X", "delivered": "D", "returned": "RS",
			},
			body: func(s saying, code string) map[string]any {
				day := s.when("20060102", time.UTC)
				return map[string]any{"trackResponse": map[string]any{"shipment": []any{map[string]any{"inquiryNumber": s.correlation, "package": []any{map[string]any{
					"trackingNumber": s.correlation, "activity": []any{map[string]any{
						"location": map[string]any{"address": map[string]any{"city": upper(s.step.at.city), "countryCode": s.step.at.country}}, "status": map[string]any{"type": code},
						"date": s.local().Format("20060102"), "time": s.local().Format("150405"), "gmtDate": day, "gmtTime": s.at.UTC().Format("15:04:05"),
					}},
				}}}}}}
			},
		},
		{
			name: "fedex", number: func(n uint64) string { return fmt.Sprintf("7712%08d", n) }, codes: map[string]string{
				"announced": "OC", "accepted": "PU", "in_transit": "DP", "arrived": "AR", "customs_hold": "CD", "customs_cleared": "CC", "out_for_delivery": "OD",
				"delivery_failed": "DE", "delivered": "DL", "returned": "RS",
			},
			body: func(s saying, code string) map[string]any {
				return map[string]any{"output": map[string]any{"completeTrackResults": []any{map[string]any{"trackingNumber": s.correlation, "trackResults": []any{map[string]any{
					"scanEvents": []any{map[string]any{
						"date": s.when(time.RFC3339, s.step.at.location()), "eventType": code, "scanLocation": map[string]any{"city": upper(s.step.at.city), "countryCode": s.step.at.country},
					}},
				}}}}}}
			},
		},
		{
			name: "dhl", number: func(n uint64) string { return fmt.Sprintf("003404342921%08d", n) }, codes: map[string]string{
				"announced": "pre-transit", "in_transit": "transit", "out_for_delivery": "out-for-delivery", "delivery_failed": "failure", "delivered": "delivered",
			},
			body: func(s saying, code string) map[string]any {
				return map[string]any{"shipments": []any{map[string]any{"id": s.correlation, "service": "express", "events": []any{map[string]any{
					"timestamp": s.when(time.RFC3339, s.step.at.location()), "statusCode": code, "location": map[string]any{"address": map[string]any{"addressLocality": s.step.at.city}},
				}}}}}
			},
		},
	}
}
