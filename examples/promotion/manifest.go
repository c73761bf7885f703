package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v2"
	"golang.org/x/text/encoding"
	bom "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	kjson "sigs.k8s.io/json"

	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

//go:embed manifests
var shipped embed.FS

// A manifest is one promotion, as it was written.
type manifest struct {
	name    string
	from    string // file and document
	object  *unstructured.Unstructured
	timeout time.Duration // of the step that will not finish; 0 or less if it has none; known once it is validated
}

// copyFor returns the object as it is created in a namespace, without what a server or another
// controller has added.
func (m manifest) copyFor(namespace string) *unstructured.Unstructured {
	object := m.object.DeepCopy()
	object.SetNamespace(namespace)
	object.SetResourceVersion("")
	object.SetFinalizers(nil) // nobody here would remove them
	object.SetOwnerReferences(nil)
	delete(object.Object, "status")
	return object
}

// validate has the API server check manifests, strictly, without keeping them, and reads their
// timeouts. All that is wrong is told at once.
func validate(ctx context.Context, cfg *rest.Config, namespace string, manifests []manifest) error {
	c, err := client.New(cfg, client.Options{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		return err
	}
	var problems []error
	timed := false
	for i := range manifests {
		m := &manifests[i]
		object := m.copyFor(namespace)
		err := c.Create(ctx, object, client.DryRunAll)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			m.timeout, err = timeoutOf(object)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %s: %w", m.from, m.name, err))
		}
		timed = timed || m.timeout > 0
	}
	if !timed && len(problems) == 0 {
		return errors.New("no promotion has a step with a timeout (spec.steps[].retry.timeout), so there is nothing to see")
	}
	return errors.Join(problems...)
}

// timeoutOf returns the timeout of the first step that has one, which is the one that times out.
func timeoutOf(object *unstructured.Unstructured) (time.Duration, error) {
	var p v1alpha1.Promotion
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &p); err != nil {
		return 0, err
	}
	timeouts, err := p.Timeouts()
	i := slices.IndexFunc(timeouts, func(d time.Duration) bool { return d > 0 })
	if i < 0 || err != nil {
		return 0, err
	}
	return timeouts[i], nil
}

// loadManifests reads the promotions of a file, of a directory's *.yaml, *.yml
// and *.json files, of standard input ("-"), or the shipped ones (""). All that
// is wrong with them is told at once.
func loadManifests(from string, stdin io.Reader) (all []manifest, err error) {
	add := func(file string, text []byte, readErr error) {
		if readErr == nil {
			var some []manifest
			some, readErr = parseManifests(file, text)
			all = append(all, some...)
		}
		err = errors.Join(err, readErr)
	}
	switch from {
	case "":
		from = "manifests"
		entries, err := shipped.ReadDir(from)
		utilruntime.Must(err)
		for _, entry := range entries {
			name := from + "/" + entry.Name()
			text, err := shipped.ReadFile(name)
			add(name, text, err)
		}
	case "-":
		from = "standard input"
		text, err := io.ReadAll(stdin)
		add(from, text, err)
	default:
		files, err := filesOf(from)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := readRegular(file)
			add(file, text, err)
		}
	}
	if len(all) == 0 && err == nil {
		err = fmt.Errorf("%s: nothing in it; want manifests of kind %s, in a directory those of its %s files",
			from, v1alpha1.Kind, strings.Join(resource.FileExtensions, ", "))
	}
	problems := []error{err}
	seen := map[string]string{}
	for _, m := range all {
		if other, found := seen[m.name]; found {
			problems = append(problems, fmt.Errorf("%s: the name %s is that of %s, too; give each promotion a name of its own", m.from, m.name, other))
		}
		seen[m.name] = m.from
	}
	return all, errors.Join(problems...)
}

// filesOf lists what kubectl reads for a path: the file itself, or what is in the
// directory and is named like a manifest.
func filesOf(path string) (files []string, err error) {
	if strings.Contains(path, "://") {
		return nil, fmt.Errorf("-f takes no URL; try: curl -fsS %s | promotion -f -", path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		path += string(filepath.Separator) // so that a link to it is followed
	}
	mapper := resource.NewLocalBuilder().Unstructured().Mapper()
	visitors, err := resource.ExpandPathsToFileVisitors(mapper, path, false, resource.FileExtensions, nil)
	for _, v := range visitors {
		files = append(files, v.(*resource.FileVisitor).Path)
	}
	return files, err
}

// readRegular reads a regular file. To open anything else may never end.
func readRegular(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is no regular file (its mode is %v); what comes from a pipe is read with -f -", file, info.Mode())
	}
	return os.ReadFile(file)
}

// parseManifests reads the promotions of one file with kubectl's library.
func parseManifests(file string, text []byte) (all []manifest, err error) {
	text, _, err = transform.Bytes(bom.BOMOverride(encoding.UTF8Validator), text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	// For YAML a line ... ends a document, too; for the library only --- does.
	text = documentEnd.ReplaceAll(text, []byte("---$1"))
	if trimmed := bytes.TrimLeftFunc(text, unicode.IsSpace); bytes.HasPrefix(trimmed, []byte("{")) {
		text = trimmed // the library skips more here than JSON and YAML do
	}
	inIt, err := countDocuments(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var read documents
	var problems []error
	err = resource.NewLocalBuilder().Unstructured().Schema(&read).ContinueOnError().Flatten().
		Stream(bytes.NewReader(text), file).Do().Visit(func(info *resource.Info, err error) error {
		if err != nil {
			return err
		}
		m := manifest{name: info.Name, from: fmt.Sprintf("%s: document %d", file, read), object: info.Object.(*unstructured.Unstructured)}
		switch kind := m.object.GroupVersionKind(); {
		case kind != v1alpha1.GroupVersion.WithKind(v1alpha1.Kind):
			problems = append(problems, fmt.Errorf("%s: the kind is %s of %s; want %s of %s", m.from, kind.Kind, kind.GroupVersion(), v1alpha1.Kind, v1alpha1.GroupVersion))
		case m.name == "":
			problems = append(problems, fmt.Errorf("%s: metadata.name is empty; want one", m.from))
		default:
			all = append(all, m)
		}
		return nil
	})
	if err == nil && inIt != int(read) {
		err = fmt.Errorf("of %d documents kubectl's library reads %d; put a line --- between two of them", inIt, read)
	}
	if err != nil {
		problems = append(problems, fmt.Errorf("%s: %w", file, err))
	}
	return all, errors.Join(problems...)
}

var documentEnd = regexp.MustCompile(`(?m)^\.\.\.(\s|$)`)

// documents counts those that kubectl's library has read. It is a resource.ContentValidator.
type documents int

// ValidateBytes refuses what would be dropped from a document of JSON.
func (d *documents) ValidateBytes(data []byte) error {
	*d++
	var value any
	twice, err := kjson.UnmarshalStrict(data, &value)
	object, _ := value.(map[string]any)
	if object["items"] != nil && object["kind"] == v1alpha1.Kind {
		twice = append(twice, errors.New(`unknown field "items"`)) // would be taken for a list
	}
	if err = errors.Join(append(twice, err)...); err != nil {
		return fmt.Errorf("document %d: %w", *d, err)
	}
	return nil
}

// countDocuments returns how many documents a text of JSON or YAML has, and refuses keys of
// which JSON would have one only. The API server does not see either: of a document kubectl's
// library sends the first value, and of a key that is there twice the last.
func countDocuments(text []byte) (n int, err error) {
	values := json.NewDecoder(bytes.NewReader(text))
	for err == nil {
		var value any
		if err = values.Decode(&value); value != nil {
			n++
		}
	}
	if errors.Is(err, io.EOF) {
		return n, nil
	}
	stream := yaml.NewDecoder(bytes.NewReader(text))
	stream.SetStrict(true)
	for n = 0; ; {
		var value any
		if err := stream.Decode(&value); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
		if value != nil {
			n++
		}
		if err := checkKeys(value); err != nil {
			return n, fmt.Errorf("document %d: %w", n, err)
		}
	}
}

// checkKeys refuses a map with keys such as 1 and "1".
func checkKeys(value any) error {
	var problems []error
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			problems = append(problems, checkKeys(item))
		}
	case map[any]any:
		seen := map[string]bool{}
		for key, item := range value {
			text := fmt.Sprint(key)
			if seen[text] {
				problems = append(problems, fmt.Errorf("key %q already set, as another type; JSON has one", text))
			}
			seen[text] = true
			problems = append(problems, checkKeys(item))
		}
	}
	return errors.Join(problems...)
}
