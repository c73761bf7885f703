// Package release packs the modules of this repository as the Go module proxy would
// serve them, so that an import can be tried before there is a release.
package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Modules are the directories of the modules that are released, below the root of the
// repository, in the order of their tags: one that is required comes first.
var Modules = []string{".", "deadlinequeue", "requeuetest", "requeuelint"}

// Pack writes a version of all [Modules] below root into the directory of a file-based
// module proxy, in the layout that GOPROXY=file:///proxy reads. It takes the files as
// they are there.
func Pack(proxy, root, version string) error {
	for _, dir := range Modules {
		if err := pack(proxy, filepath.Join(root, dir), version); err != nil {
			return fmt.Errorf("pack %s: %w", dir, err)
		}
	}
	return nil
}

func pack(proxy, dir, version string) error {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	m := module.Version{Path: modfile.ModulePath(mod), Version: version}
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Unix(0, 0).UTC()})
	if err != nil {
		return err
	}
	var files bytes.Buffer
	if err := zip.CreateFromDir(&files, m, dir); err != nil {
		return err
	}
	to := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"list": []byte(version + "\n"), version + ".info": info, version + ".mod": mod, version + ".zip": files.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
