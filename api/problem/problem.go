// Package problem writes errors as RFC 9457 problem details (application/problem+json): what is wrong, where, and what to do
// about it.
package problem

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/gofiber/fiber/v2"
)

// ContentType is the media type of problem details.
const ContentType = "application/problem+json"

// Problem is an RFC 9457 problem. It is an error, and what an HTTP client gets as a body.
type Problem struct {
	// Type identifies the kind of problem: a URI reference relative to the API.
	Type string `json:"type" doc:"URI reference that identifies the kind of problem" example:"/problems/unauthenticated"`
	// Title is the kind of problem in words; it is the same for every occurrence.
	Title  string `json:"title" doc:"The kind of problem in words" example:"Authentication required"`
	Status int    `json:"status" doc:"HTTP status code" example:"401"`
	// Detail says what is wrong this time and what to do about it.
	Detail string `json:"detail,omitempty" doc:"What is wrong this time, and what to do about it"`
	// Instance identifies the request in the logs.
	Instance string  `json:"instance,omitempty" doc:"Identifies the request in the logs"`
	Errors   []Field `json:"errors,omitempty" doc:"The offending parts of the request"`
}

// Field is one offending part of a request.
type Field struct {
	// Index is the position of the event in a batch; nil outside one.
	Index   *int   `json:"index,omitempty" doc:"Position of the event in the batch"`
	Field   string `json:"field,omitempty" doc:"Name of the field, or a JSON pointer to it" example:"timestamp"`
	Code    string `json:"code" doc:"Stable code of what is wrong" example:"required"`
	Message string `json:"message" doc:"What is wrong, in words"`
}

// New makes a problem of a kind. kind is the last part of its type URI: "not-found".
func New(status int, kind, detail string) *Problem {
	return &Problem{Type: "/problems/" + kind, Title: http.StatusText(status), Status: status, Detail: detail}
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// GetStatus implements huma.StatusError, so that a handler may return a Problem as its error.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return ContentType }

// Write sends the problem as the response.
func (p *Problem) Write(c *fiber.Ctx) error {
	if p.Instance == "" {
		if id, ok := c.Locals("requestid").(string); ok {
			p.Instance = id
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, ContentType)
	return c.Status(p.Status).Send(body)
}

// Handler is a fiber.ErrorHandler that turns every error into a problem. What is not a Problem or a fiber.Error is an internal
// error: its text goes to onInternal, for the log, and not to the client.
func Handler(onInternal func(c *fiber.Ctx, err error)) fiber.ErrorHandler {
	return func(c *fiber.Ctx, err error) error {
		if p, ok := errors.AsType[*Problem](err); ok {
			return p.Write(c)
		}
		if e, ok := errors.AsType[*fiber.Error](err); ok {
			return fromStatus(e.Code, e.Message).Write(c)
		}
		onInternal(c, err)
		return New(http.StatusInternalServerError, "internal",
			"Something went wrong on our side; nothing of this request was accepted. Try again, and quote the instance when you report it.").Write(c)
	}
}

func fromStatus(status int, message string) *Problem {
	switch status {
	case http.StatusNotFound:
		return New(status, "not-found", "There is nothing at this address; GET /openapi.json lists what there is.")
	case http.StatusMethodNotAllowed:
		return New(status, "method-not-allowed", "This address does not take that method; GET /openapi.json lists what it takes.")
	case http.StatusRequestEntityTooLarge:
		return New(status, "too-large", "The request body is too large; send the events in several smaller requests.")
	default:
		return New(status, "request", message)
	}
}
