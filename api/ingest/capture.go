package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/carriers"
	"github.com/rastrohq/rastro/store"
)

// The headers of the EPCIS 2.0 REST bindings, and what this server says in them.
const (
	headerEPCISVersion   = "GS1-EPCIS-Version"
	headerEPCISMin       = "GS1-EPCIS-Min"
	headerEPCISMax       = "GS1-EPCIS-Max"
	headerCBVVersion     = "GS1-CBV-Version"
	headerCBVMin         = "GS1-CBV-Min"
	headerCBVMax         = "GS1-CBV-Max"
	headerEPCFormat      = "GS1-EPC-Format"
	headerExtensions     = "GS1-Extensions"
	headerBehaviour      = "GS1-Capture-Error-Behaviour"
	headerCaptureLimit   = "GS1-EPCIS-Capture-Limit"
	headerCaptureFile    = "GS1-EPCIS-Capture-File-Size-Limit"
	standardVersion      = "2.0"
	behaviourRollback    = "rollback"
	behaviourProceed     = "proceed"
	maxExtensions        = 1000 // bytes of the header
	maxCaptureErrors     = 500  // that a job has
	defaultPerPage       = 30
	maxPerPage           = 100
	maxPageBytes         = 1 << 20 // of a page of jobs; one always fits
	captureMethods       = "OPTIONS, POST, GET"
	validationException  = "epcisException:ValidationException"
	notAcceptable        = "epcisException:NotAcceptableException"
	noSuchResource       = "epcisException:NoSuchResourceException"
	limitExceeded        = "epcisException:CaptureLimitExceededException"
	unsupportedMediaType = "epcisException:UnsupportedMediaTypeException"
)

// CaptureJob is what became of a captured document, as in the REST bindings of EPCIS 2.0.
type CaptureJob struct {
	CaptureID             string         `json:"captureID" format:"uuid" doc:"Identifies the job" example:"0197a6f0-1c2b-7c3d-8e4f-5a6b7c8d9e0f"`
	CreatedAt             time.Time      `json:"createdAt" doc:"When the document came"`
	FinishedAt            time.Time      `json:"finishedAt" doc:"When it was known what becomes of it"`
	Running               bool           `json:"running" doc:"Never: a job is done before its request is answered"`
	Success               bool           `json:"success" doc:"Nothing was refused"`
	CaptureErrorBehaviour string         `json:"captureErrorBehaviour" enum:"rollback,proceed" doc:"What was to become of the others when one was refused"`
	Accepted              int            `json:"accepted" doc:"How many events were accepted: one for each thing that an EPCIS event names" example:"2"`
	Rejected              int            `json:"rejected" doc:"How many were not" example:"0"`
	Errors                []CaptureError `json:"errors" doc:"What was wrong; none when success is true"`
}

// CaptureError is a problem of one event of a captured document.
type CaptureError struct {
	Type     string `json:"type" doc:"The exception of the standard" example:"epcisException:ValidationException"`
	Title    string `json:"title" example:"Validation failed"`
	Status   int    `json:"status" example:"400"`
	Detail   string `json:"detail" doc:"What is wrong, in words"`
	Pointer  string `json:"pointer,omitempty" doc:"JSON pointer into the document" example:"/epcisBody/eventList/0/action"`
	Code     string `json:"code,omitempty" doc:"Stable code of what is wrong" example:"enum"`
	EventID  string `json:"eventID,omitempty" doc:"The event, where it can be named"`
	Position int    `json:"position" doc:"Position of the EPCIS event in the document, from 0" example:"0"`
}

// CaptureRefusal is the answer when nothing of a document was taken because some of it is wrong.
type CaptureRefusal struct {
	*problem.Problem

	CaptureID string `json:"captureID,omitempty" doc:"The job that says the same"`
}

// registerCapture adds the capture interface of EPCIS 2.0.
func (h *Handler) registerCapture(router fiber.Router) {
	for _, path := range []string{"/capture", "/carriers/:carrier/capture"} {
		router.Options(path, auth.RequireSender(), h.inEPCIS(h.captureOptions))
		router.Post(path, auth.RequireSender(), h.measured(h.inEPCIS(h.capture)))
		router.Get(path, auth.RequireSender(), h.inEPCIS(h.listCaptures))
		router.Get(path+"/:capture", auth.RequireSender(), h.inEPCIS(h.getCapture))
	}
}

// inEPCIS has problems be exceptions of the standard, and answers say its versions.
func (h *Handler) inEPCIS(handle fiber.Handler) fiber.Handler {
	return func(c *fiber.Ctx) error {
		err := handle(c)
		c.Set(headerEPCISVersion, standardVersion)
		c.Set(headerCBVVersion, standardVersion)
		if used := c.Get(headerExtensions); used != "" && len(used) <= maxExtensions {
			c.Set(headerExtensions, strings.Clone(used)) // all are taken
		}
		if p, ok := errors.AsType[*problem.Problem](err); ok {
			switch p.Status {
			case http.StatusBadRequest:
				p.Type = validationException
			case http.StatusNotFound:
				p.Type = noSuchResource
			case http.StatusNotAcceptable:
				p.Type = notAcceptable
			case http.StatusRequestEntityTooLarge:
				p.Type = limitExceeded
				h.sayLimits(c, h.carrierOf(c))
			case http.StatusUnsupportedMediaType:
				p.Type = unsupportedMediaType
			}
		}
		return err
	}
}

// carrierOf returns the carrier that a document is of, nil when there is none.
func (h *Handler) carrierOf(c *fiber.Ctx) *carriers.Carrier {
	if h.deps.Carriers == nil {
		return nil
	}
	name, err := h.capturer(c)
	if err != nil {
		return nil
	}
	named, _ := h.deps.Carriers.Named(name)
	return named
}

// sayLimits sets the headers that say how much may come at once.
func (h *Handler) sayLimits(c *fiber.Ctx, of *carriers.Carrier) {
	events, bytes := h.config.MaxEvents, h.config.MaxBodyBytes
	if of != nil {
		events, bytes = min(events, cmp.Or(of.Limits.MaxEvents, events)), min(bytes, cmp.Or(of.Limits.MaxBodyBytes, bytes))
	}
	c.Set(headerCaptureLimit, strconv.Itoa(events))
	c.Set(headerCaptureFile, strconv.Itoa(bytes))
}

// asking is who asks for jobs, and of which carrier.
func (h *Handler) asking(c *fiber.Ctx) (*admission, error) {
	name, err := h.capturer(c)
	if err != nil {
		return nil, err
	}
	ctx, in, signed := c.UserContext(), &admission{maxBody: h.config.MaxBodyBytes}, false
	if message, ok := auth.SignedFrom(ctx); ok {
		var err error
		var claimed *auth.Message
		if in.identity, claimed, err = message.Verify(c, nil); err != nil { // a body would be refused: it is not what was signed
			return nil, err
		}
		claimed.Release(ctx) // what changes nothing may be asked again
		signed = true
	} else if in.identity, ok = auth.FromContext(ctx); !ok {
		return nil, problem.New(http.StatusUnauthorized, "unauthenticated", "Send a bearer token.")
	}
	if err := h.admitCarrier(in, name, signed); err != nil {
		return nil, err
	}
	return in, in.captures()
}

// captures refuses carriers that have no capture interface.
func (in *admission) captures() error {
	if in.carrier.Format == carriers.EPCIS {
		return nil
	}
	return problem.New(http.StatusNotFound, "no-capture", fmt.Sprintf(
		"Carrier %s sends %s; the capture interface is that of carriers of the format epcis. Send to /api/v1/carriers/%[1]s/events.", in.carrier.Name, in.carrier.Format))
}

func (h *Handler) captureOptions(c *fiber.Ctx) error {
	in, err := h.asking(c)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		fiber.HeaderAllow: captureMethods, headerEPCISMin: standardVersion, headerEPCISMax: standardVersion, headerCBVMin: standardVersion,
		headerCBVMax: standardVersion, headerEPCFormat: "No_Preference", headerBehaviour: "all",
	} {
		c.Set(name, value)
	}
	h.sayLimits(c, in.carrier)
	c.Status(http.StatusNoContent)
	return nil
}

// acceptable refuses versions of the standard that this server does not have.
func acceptable(c *fiber.Ctx) error {
	for name, ok := range map[string]func(string) bool{
		headerEPCISVersion: func(v string) bool { return v == standardVersion || strings.HasPrefix(v, standardVersion+".") },
		headerCBVVersion:   func(v string) bool { return v == standardVersion || strings.HasPrefix(v, standardVersion+".") },
		headerEPCISMin:     func(v string) bool { return atMost(v, standardVersion) },
		headerEPCISMax:     func(v string) bool { return atMost(standardVersion, v) },
		headerCBVMin:       func(v string) bool { return atMost(v, standardVersion) },
		headerCBVMax:       func(v string) bool { return atMost(standardVersion, v) },
	} {
		if asked := c.Get(name); asked != "" && !ok(asked) {
			return problem.New(http.StatusNotAcceptable, "version", fmt.Sprintf("%s is %.20q; this server has version %s of EPCIS and of CBV.", name, asked, standardVersion))
		}
	}
	return nil
}

// atMost compares two versions.
func atMost(a, b string) bool {
	number := func(s string) []int {
		var parts []int
		for part := range strings.SplitSeq(s, ".") {
			n, _ := strconv.Atoi(part) // what is no number is 0
			parts = append(parts, n)
		}
		for len(parts) > 0 && parts[len(parts)-1] == 0 {
			parts = parts[:len(parts)-1]
		}
		return parts
	}
	return slices.Compare(number(a), number(b)) <= 0
}

// termsOf returns what is to become of the others when an event is refused, and refuses what the headers ask for in vain.
func termsOf(c *fiber.Ctx) (behaviour string, err error) {
	if err := acceptable(c); err != nil {
		return "", err
	}
	if err := jsonOnly(c); err != nil {
		return "", err
	}
	switch asked := c.Get(headerBehaviour); asked {
	case "", behaviourRollback:
		return behaviourRollback, nil
	case behaviourProceed:
		return behaviourProceed, nil
	default:
		return "", problem.New(http.StatusBadRequest, "behaviour", fmt.Sprintf(
			"%s is %.20q; it may be %s (all of the document or nothing, which is what holds without the header) or %s (all that is right).", headerBehaviour, asked, behaviourRollback, behaviourProceed))
	}
}

// jsonOnly refuses documents that say they are no JSON.
func jsonOnly(c *fiber.Ctx) error {
	media, _, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	if err == nil && (media == "application/json" || media == "application/ld+json") {
		return nil
	}
	return problem.New(http.StatusUnsupportedMediaType, "unsupported-media-type", fmt.Sprintf(
		"Content-Type %.100q is not taken here. Send EPCIS 2.0 in JSON-LD, as application/json or application/ld+json.", c.Get(fiber.HeaderContentType)))
}

// capture takes a document, and is done with it when it answers: see captureJobs.
func (h *Handler) capture(c *fiber.Ctx) (err error) {
	ctx, cancel := context.WithTimeout(c.UserContext(), h.config.Timeout)
	defer cancel()
	soon, cancelSoon := context.WithTimeout(ctx, h.config.Timeout/2) // leaves the broker the other half
	defer cancelSoon()
	began := h.deps.Now().UTC().Truncate(time.Microsecond)
	behaviour, err := termsOf(c) // before the body is read, and before it counts against the carrier
	if err != nil {
		return err
	}
	name, err := h.capturer(c)
	if err != nil {
		return err
	}
	in, err := h.admit(ctx, c, name)
	if err != nil {
		return later(c, err)
	}
	defer func() { in.leave(ctx, err) }()
	if err := in.captures(); err != nil {
		return err
	}
	in.behaviour = behaviour
	job := store.Capture{TenantID: in.identity.TenantID, ID: captureID(in.message), Carrier: in.carrier.Name, CreatedAt: began, Behaviour: in.behaviour}
	if in.message != nil && in.message.Repeated {
		return h.captureAgain(c, in, job)
	}
	response, _, err := h.take(ctx, soon, c, in)
	if err != nil {
		return err
	}
	job.Accepted, job.Rejected, job.Errors = response.Accepted, response.Rejected, captureErrors(response)
	job.FinishedAt = h.deps.Now().UTC().Truncate(time.Microsecond)
	h.jobs.note(ctx, job)
	in.sayCounts(c, response)
	c.Set(fiber.HeaderLocation, captureAddress(c, job))
	c.Set(headerBehaviour, in.behaviour)
	if response.Rejected > 0 && in.behaviour == behaviourRollback {
		return c.Status(http.StatusBadRequest).JSON(refusalOf(job, response), problem.ContentType)
	}
	return c.Status(http.StatusAccepted).JSON(jobOf(job))
}

// captureID returns the id of a new job: of a signed message always the same, so that one that is sent again finds its job.
func captureID(m *auth.Message) uuid.UUID {
	if m == nil {
		return newUID()
	}
	return uuid.NewSHA1(m.CredentialID, []byte(m.ID))
}

// captureAgain answers a signed message that was taken before, with what is known of its job.
func (h *Handler) captureAgain(c *fiber.Ctx, in *admission, job store.Capture) error {
	job.Accepted, job.Rejected, job.FinishedAt = in.message.Accepted, in.message.Rejected, job.CreatedAt
	ctx, cancel := context.WithTimeout(c.UserContext(), capturePatience)
	defer cancel()
	if known, err := h.jobs.get(ctx, job.TenantID, job.Carrier, job.ID); err == nil { // else what the message says must do
		job = known
	}
	in.sayCounts(c, Response{Accepted: job.Accepted, Rejected: job.Rejected})
	c.Set(fiber.HeaderLocation, captureAddress(c, job))
	return c.Status(http.StatusAccepted).JSON(jobOf(job))
}

// captureErrors writes what was wrong with events as problems.
func captureErrors(r Response) json.RawMessage {
	all, more := []CaptureError{}, 0
	for _, result := range r.Results {
		for _, f := range result.Errors {
			if len(all) == maxCaptureErrors {
				more++
				continue
			}
			all = append(all, CaptureError{
				Type: validationException, Title: "Validation failed", Status: http.StatusBadRequest, Detail: f.Message, Pointer: f.Field, Code: f.Code,
				EventID: result.EventID, Position: result.Index,
			})
		}
	}
	if more > 0 {
		all = append(all, CaptureError{
			Type: validationException, Title: "Validation failed", Status: http.StatusBadRequest, Detail: fmt.Sprintf("and %d faults more, which are not listed", more),
			Position: len(r.Results) - 1,
		})
	}
	text, err := json.Marshal(all)
	if err != nil { // cannot be: it is made of texts and numbers
		return json.RawMessage("[]")
	}
	return text
}

func jobOf(job store.Capture) CaptureJob {
	told := CaptureJob{
		CaptureID: job.ID.String(), CreatedAt: job.CreatedAt, FinishedAt: job.FinishedAt, Success: job.Rejected == 0, CaptureErrorBehaviour: job.Behaviour,
		Accepted: job.Accepted, Rejected: job.Rejected, Errors: []CaptureError{},
	}
	_ = json.Unmarshal(job.Errors, &told.Errors) // ours; what cannot be read is not told
	return told
}

// refusalOf says that nothing of a document was taken, and why.
func refusalOf(job store.Capture, r Response) CaptureRefusal {
	p := problem.New(http.StatusBadRequest, "", "Nothing of the document was accepted, because of what errors says. Mend it and send it again, or have "+
		"what is right accepted without the rest: "+headerBehaviour+": "+behaviourProceed+".")
	p.Type, p.Title = validationException, "Validation failed"
	for _, result := range r.Results {
		for _, f := range result.Errors {
			if len(p.Errors) < maxCaptureErrors {
				p.Errors = append(p.Errors, problem.Field{Index: &result.Index, Field: f.Field, Code: f.Code, Message: f.Message})
			}
		}
	}
	return CaptureRefusal{p, job.ID.String()}
}
