package ingest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/rastrohq/rastro/api/problem"
	"github.com/rastrohq/rastro/store"
)

// jobsAway is the answer when the database cannot be asked for jobs.
func jobsAway(c *fiber.Ctx) error {
	return later(c, problem.New(http.StatusServiceUnavailable, "unavailable",
		"What became of captured documents cannot be read just now; ask again after Retry-After seconds. Documents are taken all the same."))
}

func (h *Handler) getCapture(c *fiber.Ctx) error {
	in, err := h.asking(c)
	if err != nil {
		return err
	}
	if err := acceptable(c); err != nil {
		return err
	}
	unknown := func() error {
		return problem.New(http.StatusNotFound, "capture-unknown", "There is no such capture job of the carrier. What became of documents is told for 30 days; "+
			"sending a document again does no harm.")
	}
	id, err := uuid.Parse(c.Params("capture"))
	if err != nil {
		return unknown()
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), h.config.Timeout)
	defer cancel()
	job, err := h.jobs.get(ctx, in.identity.TenantID, in.carrier.Name, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return unknown()
	case err != nil:
		h.deps.Logger.WarnContext(ctx, "cannot read a capture job", slog.String("tenant", in.identity.TenantID), slog.Any("error", err))
		return jobsAway(c)
	}
	return c.JSON(jobOf(job))
}

func (h *Handler) listCaptures(c *fiber.Ctx) error {
	in, err := h.asking(c)
	if err != nil {
		return err
	}
	if err := acceptable(c); err != nil {
		return err
	}
	limit, behind, err := pageOf(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.UserContext(), h.config.Timeout)
	defer cancel()
	found, err := h.jobs.list(ctx, in.identity.TenantID, in.carrier.Name, behind, limit+1)
	if err != nil {
		return jobsAway(c)
	}
	jobs, bytes := []CaptureJob{}, 0
	for i, job := range found {
		if bytes += len(job.Errors); i > 0 && (i == limit || bytes > maxPageBytes) {
			c.Set(fiber.HeaderLink, fmt.Sprintf("<%s?perPage=%d&nextPageToken=%s>; rel=\"next\"",
				capturesAddress(c, in.carrier.Name), limit, pageToken(found[i-1])))
			break
		}
		jobs = append(jobs, jobOf(job))
	}
	return c.JSON(jobs)
}

// pageOf returns how many jobs are asked for, and behind which.
func pageOf(c *fiber.Ctx) (limit int, behind *store.Capture, err error) {
	bad := func(name, message string) error {
		p := problem.New(http.StatusBadRequest, "", "The parameter "+name+" "+message+".")
		p.Errors = []problem.Field{{Field: name, Code: "invalid", Message: message}}
		return p
	}
	limit = defaultPerPage
	if text := c.Query("perPage"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 {
			return 0, nil, bad("perPage", fmt.Sprintf("must be a number from 1 to %d", maxPerPage))
		}
	}
	if token := c.Query("nextPageToken"); token != "" {
		var at int64
		var id uuid.UUID
		raw, err := base64.RawURLEncoding.DecodeString(token)
		micros, rest, _ := strings.Cut(string(raw), " ")
		if err == nil {
			at, err = strconv.ParseInt(micros, 10, 53)
		}
		if err == nil {
			id, err = uuid.Parse(rest)
		}
		if err != nil || at < 0 {
			return 0, nil, bad("nextPageToken", "must be that of the Link of the page before")
		}
		behind = &store.Capture{CreatedAt: time.UnixMicro(at).UTC(), ID: id}
	}
	return min(limit, maxPerPage), behind, nil
}

func pageToken(last store.Capture) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(last.CreatedAt.UnixMicro(), 10) + " " + last.ID.String()))
}
