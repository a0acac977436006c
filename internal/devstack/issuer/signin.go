package issuer

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"
)

const (
	signInPath    = "/sign-in"
	signedOutPath = "/signed-out"
)

//go:embed page.html
var pageSource string

// texts are what the pages say, in one language.
type texts struct {
	Lang, Title, Intro, Development, Tenant, SignedOut, SignedOutText, Gone, GoneText, Other, OtherLang string
}

func textsFor(lang string) texts {
	if lang == "en" {
		return texts{
			Lang: "en", Title: "Sign in to Rastro", Intro: "Choose who to be.",
			Development: "This sign-in is for development: it asks for no password and must not be reachable from outside.",
			Tenant:      "Tenant", SignedOut: "You are signed out", SignedOutText: "You may close this page.",
			Gone: "This sign-in is over", GoneText: "It expired or was used already. Go back to the application and sign in again.",
			Other: "Español", OtherLang: "es",
		}
	}
	return texts{
		Lang: "es", Title: "Entrar en Rastro", Intro: "Elija con quién entrar.",
		Development: "Este acceso es para desarrollo: no pide contraseña y no debe quedar al alcance de otros.",
		Tenant:      "Inquilino", SignedOut: "Sesión cerrada", SignedOutText: "Ya puede cerrar esta página.",
		Gone: "Este acceso ya no vale", GoneText: "Caducó o ya se usó. Vuelva a la aplicación y entre de nuevo.",
		Other: "English", OtherLang: "en",
	}
}

// page is what the template shows: users to choose from, or a heading and a sentence.
type page struct {
	T              texts
	Nonce          string
	Heading, Text  string
	Action         string
	ID             string
	Groups         []group
	OtherLangQuery string
}

type group struct {
	Tenant string
	Users  []option
}

type option struct{ Subject, Name, Title, Email, Roles string }

func (i *Issuer) showSignIn(w http.ResponseWriter, r *http.Request) {
	t := textsFor(preferred(r))
	id := r.URL.Query().Get("id")
	req, err := i.storage.AuthRequestByID(r.Context(), id)
	if err != nil {
		i.render(w, r, http.StatusGone, page{T: t, Heading: t.Gone, Text: t.GoneText}, "")
		return
	}
	p := page{
		T: t, Heading: t.Title, Action: i.config.Issuer + signInPath, ID: id, Groups: i.groups(t.Lang),
		OtherLangQuery: "?" + url.Values{"id": {id}, "lang": {t.OtherLang}}.Encode(),
	}
	i.render(w, r, http.StatusOK, p, req.GetRedirectURI())
}

func (i *Issuer) postSignIn(w http.ResponseWriter, r *http.Request) {
	t := textsFor(preferred(r))
	id, subject := r.PostFormValue("id"), r.PostFormValue("user")
	if err := i.storage.complete(id, subject); err != nil {
		i.render(w, r, http.StatusGone, page{T: t, Heading: t.Gone, Text: t.GoneText}, "")
		return
	}
	i.logger.InfoContext(r.Context(), "development sign-in", slog.String("user", i.storage.users[subject].Username))
	ctx := op.ContextWithIssuer(r.Context(), i.config.Issuer)
	http.Redirect(w, r, op.AuthCallbackURL(i.provider)(ctx, id), http.StatusSeeOther)
}

func (i *Issuer) showSignedOut(w http.ResponseWriter, r *http.Request) {
	t := textsFor(preferred(r))
	i.render(w, r, http.StatusOK, page{T: t, Heading: t.SignedOut, Text: t.SignedOutText}, "")
}

// render writes the page. Browsers hold a form to form-action even through the redirects that follow it, so the policy
// names the origin that the code is sent to.
func (i *Issuer) render(w http.ResponseWriter, r *http.Request, status int, p page, redirectURI string) {
	p.Nonce = rand.Text()
	action := "'self'"
	if u, err := url.Parse(redirectURI); err == nil && u.Host != "" {
		action += " " + u.Scheme + "://" + u.Host
	}
	var body bytes.Buffer
	if err := i.page.Execute(&body, p); err != nil {
		i.logger.ErrorContext(r.Context(), "render sign-in page", slog.Any("error", err))
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+"'; form-action "+action+
		"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if _, err := body.WriteTo(w); err != nil {
		i.logger.DebugContext(r.Context(), "write sign-in page", slog.Any("error", err))
	}
}

func (i *Issuer) groups(lang string) []group {
	var groups []group
	for _, u := range i.config.Users {
		if len(groups) == 0 || groups[len(groups)-1].Tenant != u.Tenant {
			groups = append(groups, group{Tenant: u.Tenant})
		}
		title := u.Title.ES
		if lang == "en" {
			title = u.Title.EN
		}
		g := &groups[len(groups)-1]
		g.Users = append(g.Users, option{
			Subject: u.Subject(), Name: u.Name(), Title: title, Email: u.Email, Roles: strings.Join(u.Roles, ", "),
		})
	}
	return groups
}

// preferred is the language the reader asked for by ?lang=, ui_locales or the browser: Spanish unless it is English.
func preferred(r *http.Request) string {
	if lang := r.URL.Query().Get("lang"); lang == "en" || lang == "es" {
		return lang
	}
	tags, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil || len(tags) == 0 {
		return "es"
	}
	supported := []language.Tag{language.Spanish, language.English}
	_, index, _ := language.NewMatcher(supported).Match(tags...)
	return []string{"es", "en"}[index]
}
