package ingest

import (
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
)

const (
	// epcisExample is a document of one event, in the words of the standard.
	epcisExample = "https://ref.gs1.org/standards/epcis/epcis-context.jsonld"
)

// exampleDocument is a document to capture.
func exampleDocument() map[string]any {
	return map[string]any{
		"@context": []any{epcisExample}, "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": "2026-06-20T22:56:00-05:00",
		"epcisBody": map[string]any{"eventList": []any{exampleEPCISEvent()}},
	}
}

func exampleEPCISEvent() map[string]any {
	return map[string]any{
		"type": "ObjectEvent", "action": "OBSERVE", "bizStep": "shipping", "disposition": "in_transit", "epcList": []any{"urn:epc:id:sscc:0614141.1234567890"},
		"eventTime": "2026-06-20T22:55:01-05:00", "eventTimeZoneOffset": "-05:00", "readPoint": map[string]any{"id": "urn:epc:id:sgln:0614141.07346.1234"},
	}
}

// exampleJob is a job of which the second event was refused.
func exampleJob() CaptureJob {
	at := time.Date(2026, 6, 21, 3, 56, 2, 125_000_000, time.UTC)
	return CaptureJob{
		CaptureID: "0197a6f0-1c2b-7c3d-8e4f-000000000003", CreatedAt: at, FinishedAt: at.Add(31 * time.Millisecond), CaptureErrorBehaviour: behaviourProceed,
		Accepted: 1, Rejected: 1, Errors: []CaptureError{{
			Type: validationException, Title: "Validation failed", Status: http.StatusBadRequest, Code: "enum", Position: 1,
			Detail: `it cannot be "CREATE"; it must be one of OBSERVE, ADD, DELETE`, Pointer: "/epcisBody/eventList/1/action",
		}},
	}
}

// captureDocument is what documenting the capture interface works with.
type captureDocument struct {
	captureAddressing

	api       huma.API
	trouble   *huma.Schema
	job, list *huma.Schema
	refusal   *huma.Schema
	versions  map[string]*huma.Header
	security  []map[string][]string
}

// captureAddressing is one of the two addresses of the interface: that of a carrier, and the one of whoever sends.
type captureAddressing struct {
	path string
	own  bool
}

// id is the id of an operation.
func (a captureAddressing) id(verb, of string) string {
	if a.own {
		of = "own-" + of
	}
	return verb + "-" + of
}

// whose says, in the description of an operation, how the carrier is known.
func (a captureAddressing) whose() string {
	if a.own {
		return " The carrier is the one that the sender belongs to: that of the API key or of the credential of the signature, or the one that names the token's client."
	}
	return ""
}

func (a captureAddressing) summary(text string) string {
	if a.own {
		return text + ", of the sender's carrier"
	}
	return text
}

func documentCapture(api huma.API) {
	registry := api.OpenAPI().Components.Schemas
	header := func(text string) *huma.Header {
		return &huma.Header{Description: text, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	d := captureDocument{
		api: api, trouble: registry.Schema(reflect.TypeFor[problem.Problem](), true, "Problem"),
		job: registry.Schema(reflect.TypeFor[CaptureJob](), true, "CaptureJob"), refusal: registry.Schema(reflect.TypeFor[CaptureRefusal](), true, "CaptureRefusal"),
		versions: map[string]*huma.Header{
			headerEPCISVersion: header("The version of EPCIS, 2.0"), headerCBVVersion: header("The version of CBV, 2.0"),
			headerExtensions: header("The extensions that the request named; all are taken"),
		},
		security: []map[string][]string{{"bearer": {}}, {"apiKey": {}}, {"webhook": {}}},
	}
	d.list = &huma.Schema{Type: huma.TypeArray, Items: d.job}
	for _, d.captureAddressing = range []captureAddressing{{ownCaptures, true}, {fmt.Sprintf(capturesOf, "{carrier}"), false}} {
		d.options()
		d.post()
		d.get()
	}
}

// responses are the answers of an operation when all is well, and when it is not.
func (d captureDocument) responses(status string, good *huma.Response, others ...string) map[string]*huma.Response {
	all := map[string]*huma.Response{status: good}
	of := troubles(d.trouble)
	for status, text := range map[string]string{
		"404": "There is no such carrier for the tenant, or it is not of the format epcis; or no such job", "406": "This server has no such version of the standard",
	} {
		of[status] = &huma.Response{Description: text, Content: body(problem.ContentType, d.trouble)}
	}
	for _, status := range append(others, "401", "403", "404", "406", "503") {
		all[status] = of[status]
	}
	if d.own {
		for status, text := range map[string]string{
			"404": "The sender belongs to no carrier of the format epcis; or no such job",
			"409": "The client may capture for several carriers, which are named; or another body came with the same webhook-id",
		} {
			all[status] = &huma.Response{Description: text, Content: body(problem.ContentType, d.trouble)}
		}
	}
	return all
}

// parameters are those of the path, of the query, and the headers of the standard.
func (d captureDocument) parameters(more ...*huma.Param) []*huma.Param {
	all := []*huma.Param{
		captureHeader(headerExtensions, "The namespaces of the extensions that are used: PREFIX=URI, with commas between", "example=https://example.org/epcis/"),
	}
	if !d.own {
		of := carrierParameter()
		of.Example = "demo-epcis"
		all = append([]*huma.Param{of}, all...)
	}
	return append(all, more...)
}

func captureHeader(name, text, example string) *huma.Param {
	return &huma.Param{Name: name, In: "header", Description: text, Example: example, Schema: &huma.Schema{Type: huma.TypeString}}
}

func (d captureDocument) options() {
	good := &huma.Response{Description: "What the interface takes", Headers: map[string]*huma.Header{}}
	for name, text := range map[string]string{
		"Allow": "The methods", headerEPCISMin: "The oldest version of EPCIS", headerEPCISMax: "The newest version of EPCIS", headerCBVMin: "The oldest version of CBV",
		headerCBVMax: "The newest version of CBV", headerEPCFormat: "How identifiers are told: as they were sent", headerCaptureLimit: "The most events in a document: one for each thing that an EPCIS event names",
		headerCaptureFile: "The largest document, in bytes", headerBehaviour: "all: both rollback and proceed are taken",
	} {
		good.Headers[name] = &huma.Header{Description: text, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	for name, h := range d.versions {
		good.Headers[name] = h
	}
	responses := d.responses("204", good)
	delete(responses, "406")
	d.api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: d.id("get", "capture-options"), Method: http.MethodOptions, Path: d.path, Tags: []string{"Ingest"}, Summary: d.summary("Ask what captures may be"),
		Description: "Says, in headers, which versions of EPCIS and CBV a carrier of the format epcis may send, how many events a document may hold and how large it may be. " +
			"Needs the role events:write." + d.whose(),
		Security: d.security, Parameters: d.parameters(), Responses: responses,
	})
}

func (d captureDocument) post() {
	good := &huma.Response{
		Description: "The document was read, and the broker has stored what is accepted of it; Location is the job, and the body is what it says",
		Headers:     map[string]*huma.Header{"Location": {Description: "The capture job", Schema: &huma.Schema{Type: huma.TypeString}}},
		Content:     map[string]*huma.MediaType{"application/json": {Schema: d.job, Example: exampleJob()}},
	}
	for name, h := range d.versions {
		good.Headers[name] = h
	}
	responses := d.responses("202", good, "409", "413", "415", "429")
	responses["400"] = &huma.Response{
		Description: "The document cannot be read; or, unless the behaviour is proceed, some of it is wrong, and errors says what and where. Nothing was accepted",
		Content:     body(problem.ContentType, d.refusal),
	}
	document := &huma.Schema{Type: huma.TypeObject, Description: "A document of EPCIS 2.0 in JSON-LD (EPCISDocument, EPCISQueryDocument), or one event"}
	behaviour := captureHeader(headerBehaviour, "What becomes of the others when an event is wrong: rollback (nothing is accepted; without the header) or proceed (they are)", behaviourProceed)
	behaviour.Schema.Enum = []any{behaviourRollback, behaviourProceed}
	d.api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: d.id("post", "capture"), Method: http.MethodPost, Path: d.path, Tags: []string{"Ingest"}, Summary: d.summary("Capture an EPCIS document"),
		Description: "The capture interface of EPCIS 2.0, of a carrier of the format " + carriers.EPCIS + ". A job is done before the request is answered: what is accepted is with the broker, " +
			"and what is wrong is named by JSON pointers. Sending the same document again does no harm. Needs the role events:write." + d.whose(),
		Security: d.security,
		Parameters: d.parameters(behaviour, captureHeader(headerEPCISVersion, "The version of EPCIS that the document is of", standardVersion),
			captureHeader(headerCBVVersion, "The version of CBV that it uses", standardVersion)),
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/ld+json": {Schema: document, Example: exampleDocument()}, "application/json": {Schema: document, Example: exampleDocument()},
		}},
		Responses: responses,
	})
}

func (d captureDocument) get() {
	versions := []*huma.Param{
		captureHeader(headerEPCISMin, "The oldest version of EPCIS that is understood", standardVersion), captureHeader(headerEPCISMax, "The newest", standardVersion),
	}
	one := &huma.Response{
		Description: "The job", Headers: d.versions, Content: map[string]*huma.MediaType{"application/json": {Schema: d.job, Example: exampleJob()}},
	}
	d.api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: d.id("get", "capture"), Method: http.MethodGet, Path: d.path + "/{captureID}", Tags: []string{"Ingest"}, Summary: d.summary("What became of a captured document"),
		Description: "A capture job, for 30 days. Needs the role events:write." + d.whose(), Security: d.security, Responses: d.responses("200", one),
		Parameters: d.parameters(append(versions, &huma.Param{
			Name: "captureID", In: "path", Required: true, Description: "The job, as Location named it", Example: exampleJob().CaptureID, Schema: &huma.Schema{Type: huma.TypeString},
		})...),
	})
	least, most := 1.0, float64(maxPerPage)
	list := &huma.Response{
		Description: "The jobs, the latest first", Headers: map[string]*huma.Header{"Link": {Description: "The next page, rel=\"next\"; none on the last one", Schema: &huma.Schema{Type: huma.TypeString}}},
		Content: map[string]*huma.MediaType{"application/json": {Schema: d.list, Example: []CaptureJob{exampleJob()}}},
	}
	for name, h := range d.versions {
		list.Headers[name] = h
	}
	d.api.OpenAPI().AddOperation(&huma.Operation{
		OperationID: d.id("list", "captures"), Method: http.MethodGet, Path: d.path, Tags: []string{"Ingest"}, Summary: d.summary("What became of captured documents"),
		Description: "The capture jobs of a carrier, for 30 days each, the latest first. Needs the role events:write." + d.whose(), Security: d.security,
		Responses: d.responses("200", list, "400"),
		Parameters: d.parameters(append(versions,
			&huma.Param{Name: "perPage", In: "query", Description: "How many at most; 30 without", Example: 10, Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: &least, Maximum: &most}},
			&huma.Param{Name: "nextPageToken", In: "query", Description: "That of the Link of the page before", Schema: &huma.Schema{Type: huma.TypeString}})...),
	})
}
