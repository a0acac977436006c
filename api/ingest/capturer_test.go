package ingest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/api/auth"
	"github.com/rastrohq/rastro/store"
)

const ownCaptures = "/api/v1/capture"

func client(id string) auth.Identity {
	return auth.Identity{Subject: "s", ClientID: id, TenantID: "talma-pe", Roles: []string{auth.RoleEventsWrite}}
}

// The carrier of a credential is that of the documents that come with it, and its address has all that the carrier's own has.
func TestACredentialCapturesForItsCarrier(t *testing.T) {
	t.Parallel()
	s, p, ask := capturing(t)
	document := epcisDocument(epcisEvent("1234567890", "ADD"))
	a := ask(http.MethodPost, ownCaptures, document, "GS1-EPCIS-Version", "2.0")
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	require.Equal(t, "2.0", a.header.Get("GS1-EPCIS-Version"))
	require.Equal(t, "demo-epcis", p.got[0].Source)
	told := p.job(a)
	require.Equal(t, ownCaptures+"/"+told.CaptureID, a.header.Get("Location"))
	for _, location := range []string{a.header.Get("Location"), captures + "/" + told.CaptureID} {
		got := ask(http.MethodGet, location, "")
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, told, p.job(got))
	}
	ask(http.MethodPost, ownCaptures, document)
	page := ask(http.MethodGet, ownCaptures+"?perPage=1", "")
	require.Equal(t, http.StatusOK, page.status, page.body)
	next := nextPage.FindStringSubmatch(page.header.Get("Link"))
	require.Contains(t, next[1], ownCaptures+"?")
	require.Equal(t, http.StatusOK, ask(http.MethodGet, next[1], "").status)
	options := ask(http.MethodOptions, ownCaptures, "")
	require.Equal(t, http.StatusNoContent, options.status, options.body)
	require.Equal(t, []string{"10000", "2.0"}, []string{options.header.Get("GS1-EPCIS-Capture-Limit"), options.header.Get("GS1-EPCIS-Max")})

	_, few := s.credential(store.CredentialAPIKey, "few-epcis", "")
	require.Equal(t, http.StatusNotFound, p.ask(http.MethodGet, ownCaptures+"/"+told.CaptureID, "", "X-API-Key", few).status, "it is another carrier's")
	a = p.ask(http.MethodPost, ownCaptures, epcisDocument(epcisEvent("1", "ADD"), epcisEvent("2", "ADD"), epcisEvent("3", "ADD")), "X-API-Key", few)
	require.Equal(t, http.StatusRequestEntityTooLarge, a.status, a.body)
	require.Equal(t, []string{"2", "3000"}, []string{a.header.Get("GS1-EPCIS-Capture-Limit"), a.header.Get("GS1-EPCIS-Capture-File-Size-Limit")})

	_, native := s.credential(store.CredentialAPIKey, "demo-native", "")
	a = p.ask(http.MethodPost, ownCaptures, document, "X-API-Key", native)
	require.Equal(t, http.StatusNotFound, a.status)
	require.Contains(t, a.Detail, "sends native")
	_, nobodys := s.credential(store.CredentialAPIKey, "", "bhs-lim")
	a = p.ask(http.MethodPost, ownCaptures, document, "X-API-Key", nobodys)
	require.Equal(t, http.StatusForbidden, a.status)
	require.Contains(t, a.Detail, "where it is a carrier's")
	require.Equal(t, http.StatusUnauthorized, p.ask(http.MethodPost, ownCaptures, document).status)
	require.Equal(t, http.StatusForbidden, ask(http.MethodPost, ownCaptures+"/"+told.CaptureID, document).status, "a job is only asked for")
	require.Len(t, p.got, 2)
}

func TestASignatureCapturesForItsCarrier(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	p := s.process()
	c, secret := s.credential(store.CredentialHMAC, "demo-epcis", "")
	body := epcisDocument(epcisEvent("1", "ADD"))
	headers := s.sign(c, secret, "m1", body, 0)
	a := p.ask(http.MethodPost, ownCaptures, body, headers...)
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	require.Equal(t, "demo-epcis", p.got[0].Source)
	require.Equal(t, a.body, p.ask(http.MethodPost, ownCaptures, body, headers...).body, "sent again it has the job that it had")
	require.Len(t, p.got, 1)
	require.Equal(t, http.StatusOK, p.ask(http.MethodGet, a.header.Get("Location"), "", s.sign(c, secret, "m2", "", 0)...).status)
	require.Equal(t, http.StatusUnauthorized, p.ask(http.MethodPost, ownCaptures, body+" ", s.sign(c, secret, "m3", body, 0)...).status)
	require.Equal(t, http.StatusUnauthorized, p.ask(http.MethodPost, ownCaptures, body, s.sign(c, "whsec_"+secret[6:10]+secret[6:], "m4", body, 0)...).status)

	unnamed := s.sign(c, secret, "m5", body, 0)
	a = p.ask(http.MethodPost, ownCaptures, body, unnamed[:len(unnamed)-2]...)
	require.Equal(t, http.StatusUnauthorized, a.status, "no address says whose signature it is")
	nobodys, secret := s.credential(store.CredentialHMAC, "", "bhs-lim")
	require.Equal(t, http.StatusForbidden, p.ask(http.MethodPost, ownCaptures, body, s.sign(nobodys, secret, "m6", body, 0)...).status)
	require.Len(t, p.got, 1)
}

func TestAClientCapturesForTheCarrierThatNamesIt(t *testing.T) {
	t.Parallel()
	document := epcisDocument(epcisEvent("1234567890", "ADD"))
	post := func(e *edge) answer { return e.postTo(ownCaptures, "application/ld+json", document) }
	named := newEdge(t, client("erp"))
	a := post(named)
	require.Equal(t, http.StatusAccepted, a.status, a.body)
	require.Equal(t, "own-epcis", named.got[0].Source)
	got, err := named.app.Test(httptest.NewRequestWithContext(t.Context(), http.MethodGet, a.header.Get("Location"), nil), -1)
	require.NoError(t, err)
	body, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	require.NoError(t, got.Body.Close())
	require.JSONEq(t, a.body, string(body))

	for id, of := range map[string]string{"both": "own-epcis, too-epcis", "bhs-lim": "demo-epcis, few-epcis"} {
		e := newEdge(t, client(id))
		a := post(e)
		require.Equal(t, http.StatusConflict, a.status, a.body)
		require.Equal(t, "/problems/several-carriers", a.Type)
		require.Contains(t, a.Detail, of)
		require.Contains(t, a.Detail, "/api/v1/carriers/{carrier}/capture", "it says what to do")
		require.Empty(t, e.got)
	}
	stranger := client("erp")
	stranger.TenantID = "talma-ec"
	e := newEdge(t, stranger)
	a = post(e)
	require.Equal(t, http.StatusNotFound, a.status, a.body)
	require.Equal(t, "epcisException:NoSuchResourceException", a.Type)
	require.Contains(t, a.Detail, "authentication.oidc.clients")
	require.NotContains(t, a.Detail, "own-epcis", "it is another tenant's")
	reader := client("erp")
	reader.Roles = []string{auth.RoleTracesRead}
	require.Equal(t, http.StatusForbidden, post(newEdge(t, reader)).status)
	require.NotEqual(t, uuid.Nil, named.got[0].UID)
}
