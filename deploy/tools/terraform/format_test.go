package terraform_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/stretchr/testify/require"
)

// Terraform's files are written as `terraform fmt` writes them, whether or not it is on this machine.
func TestTerraformIsFormatted(t *testing.T) {
	root := filepath.Join("..", "..", "terraform")
	found := map[string]int{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".tf", ".tfvars", ".hcl"}, filepath.Ext(path)) {
			return err
		}
		found[filepath.Ext(path)]++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		require.Equal(t, string(hclwrite.Format(text)), string(text), path)
		return nil
	}))
	require.Len(t, found, 3, "configuration, variables and tests")
}
