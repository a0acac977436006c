package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rastrohq/rastro/config"
)

const (
	settingsBegin = "<!-- settings: RASTRO_UPDATE_GOLDEN=1 go test ./config writes them -->\n"
	settingsEnd   = "<!-- end of settings -->\n"
)

// settingsGroups are the settings that stand together on the page, by the name of their field.
var settingsGroups = []struct{ field, title string }{
	{"", "The process"}, {"Database", "PostgreSQL"}, {"Broker", "The broker"}, {"SQS", "Amazon SQS and SNS"}, {"Identity", "Sign-in"},
	{"Credentials", "Credentials of carriers"}, {"Personal", "Personal data"}, {"Retention", "Retention"}, {"Ingest", "Ingest"}, {"Streams", "Live streams"}, {"Alerts", "Alerts"}, {"Log", "Logs"},
}

// settingsOf returns the rows of every setting below a struct, by the name of the field that the setting is in.
func settingsOf(t *testing.T, in reflect.Type, group string, rows map[string][]string) {
	t.Helper()
	for i := range in.NumField() {
		field := in.Field(i)
		name, ok := field.Tag.Lookup("env")
		if !ok {
			require.Equal(t, reflect.Struct, field.Type.Kind(), "%s has no env tag", field.Name)
			settingsOf(t, field.Type, field.Name, rows)
			continue
		}
		value, help := "", field.Tag.Get("help")
		if v := field.Tag.Get("envDefault"); v != "" {
			value = "`" + v + "`"
		}
		if field.Tag.Get("secret") == "true" {
			help += ". *Secret*"
		}
		rows[group] = append(rows[group], fmt.Sprintf("| `%s` | %s | %s |\n", name, value, strings.ReplaceAll(help, "|", `\|`)))
	}
}

// The page on configuration has every setting, with its default and what it is for.
func TestThePageHasEverySetting(t *testing.T) {
	rows := map[string][]string{}
	settingsOf(t, reflect.TypeFor[config.Process](), "", rows)
	var want strings.Builder
	for _, group := range settingsGroups {
		require.NotEmpty(t, rows[group.field], group.field)
		fmt.Fprintf(&want, "\n### %s\n\n| variable | default | |\n|---|---|---|\n%s", group.title, strings.Join(rows[group.field], ""))
		delete(rows, group.field)
	}
	require.Empty(t, rows, "settings of a group that the page does not have")
	want.WriteString("\n")

	page := filepath.Join("..", "docs", "configuration.md")
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), settingsBegin)
	require.True(t, ok, "the page has no place for settings")
	got, after, ok := strings.Cut(rest, settingsEnd)
	require.True(t, ok, "the page has no end of settings")
	if os.Getenv("RASTRO_UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(page, []byte(before+settingsBegin+want.String()+settingsEnd+after), 0o644))
		return
	}
	require.Equal(t, want.String(), got)
}
