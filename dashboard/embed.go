// Package dashboard holds the web dashboard: the React application in src/, built by Vite, and this package, which embeds the
// build so that the binary serves it without any file beside it.
package dashboard

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Dist returns the files of the dashboard, with index.html at the root. It is the application when it has been built
// (npm run build writes it to dist/app), else the checked-in page that says how to build it.
func Dist() fs.FS { return choose(dist) }

// Built reports whether Dist is the application rather than the page that stands in for it.
func Built() bool { return built(dist) }

func choose(embedded fs.FS) fs.FS {
	dir := "dist"
	if built(embedded) {
		dir = "dist/app"
	}
	// fs.Sub fails only on an invalid path, and both are constants; on a missing directory the files are simply absent.
	sub, err := fs.Sub(embedded, dir)
	if err != nil {
		return embedded
	}
	return sub
}

func built(embedded fs.FS) bool {
	_, err := fs.Stat(embedded, "dist/app/index.html")
	return err == nil
}
