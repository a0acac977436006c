// Command rastro is a track & trace engine: carriers stream events in, a pipeline makes them trustworthy, and whoever waits
// asks where things are.
package main

import (
	"os"

	"github.com/rastrohq/rastro/cli"
)

func main() { os.Exit(cli.Main()) }
