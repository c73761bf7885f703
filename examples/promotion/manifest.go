package main

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v2"
	"golang.org/x/text/encoding"
	bom "golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	structuraldefaulting "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/cli-runtime/pkg/resource"
	kjson "sigs.k8s.io/json"

	"github.com/requeue-go/requeue/examples/promotion/v1alpha1"
)

//go:embed manifests
var shipped embed.FS

// A manifest is one promotion of a file, checked. The object is kept as it was
// written, fields that this program does not know included.
type manifest struct {
	name    string
	from    string        // file, document and item
	timeout time.Duration // of the step that will not finish; 0 or less if it has none
	object  *unstructured.Unstructured
}

// copyFor returns the object as it is created in a namespace: with the metadata
// that is the author's, and none that a server or another controller has added
// (a resourceVersion of kubectl get, the finalizer of Kargo).
func (m manifest) copyFor(namespace string) *unstructured.Unstructured {
	object := m.object.DeepCopy()
	labels, annotations := object.GetLabels(), object.GetAnnotations()
	object.Object["metadata"] = map[string]any{"name": m.name, "namespace": namespace}
	object.SetLabels(labels)
	object.SetAnnotations(annotations)
	delete(object.Object, "status")
	return object
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
	return all, errors.Join(err, checkTogether(all))
}

// filesOf lists what kubectl reads for a path: the file itself, or what is in the
// directory and is named like a manifest.
func filesOf(path string) (files []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		path += string(filepath.Separator) // so that a link to it is followed
	}
	visitors, err := resource.ExpandPathsToFileVisitors(newBuilder().Mapper(), path, false, resource.FileExtensions, nil)
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

// checkTogether tells what is wrong with manifests that are right one by one.
func checkTogether(all []manifest) error {
	var problems []error
	seen := map[string]string{}
	for _, m := range all {
		if other, found := seen[m.name]; found {
			problems = append(problems, fmt.Errorf("%s: %w, as in %s; give each promotion a name of its own",
				m.from, field.Duplicate(field.NewPath("metadata", "name"), m.name), other))
		}
		seen[m.name] = m.from
	}
	return errors.Join(problems...)
}

// newBuilder returns kubectl's reader of manifests, for one that asks no server.
func newBuilder() *resource.Builder { return resource.NewLocalBuilder().Unstructured() }

// parseManifests reads the documents of one file, as kubectl does. Each problem is
// told with its document, field and value. Empty documents do not count.
func parseManifests(file string, text []byte) (all []manifest, err error) {
	text, _, err = transform.Bytes(bom.BOMOverride(encoding.UTF8Validator), text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	// For YAML a line ... ends a document, too; for the library only --- does.
	text = documentEnd.ReplaceAll(text, []byte("---$1"))
	notWhole := checkWhole(file, text)
	problems := []error{notWhole}
	var last lastDocument
	complain := func(problem error) {
		problems = append(problems, fmt.Errorf("%s: document %d: %w", file, last.number, problem))
	}
	stream := resource.NewStreamVisitor(bytes.NewReader(text), newBuilder().Mapper(), file, &last)
	streamErr := stream.Visit(func(info *resource.Info, infoErr error) error {
		var content map[string]any
		if infoErr == nil {
			content = info.Object.(runtime.Unstructured).UnstructuredContent()
		} else if utiljson.Unmarshal(last.json, &content) != nil {
			complain(fmt.Errorf("want an object with apiVersion, kind, metadata and spec, not %.40s", last.json))
			return nil
		}
		some, wrong := checkObject(nil, &unstructured.Unstructured{Object: content})
		if infoErr != nil && len(wrong) == 0 {
			complain(infoErr)
		}
		for _, problem := range wrong {
			complain(problem)
		}
		for i := range some {
			some[i].from = strings.TrimSuffix(fmt.Sprintf("%s: document %d: %s", file, last.number, some[i].from), ": ")
		}
		all = append(all, some...)
		return nil
	})
	if streamErr != nil && notWhole == nil { // else that tells the same, and better
		last.number++
		complain(streamErr)
	}
	return all, errors.Join(problems...)
}

var documentEnd = regexp.MustCompile(`(?m)^\.\.\.(\s|$)`)

// checkWhole tells what kubectl's library would pass over without a word. Of a
// document it takes the first value and not what follows it, such as a document
// after "..." or after a line end that YAML knows and the library does not; of a
// key that is there twice it takes the last.
func checkWhole(file string, text []byte) error {
	var problems []error
	complain := func(number int, problem error) {
		problems = append(problems, fmt.Errorf("%s: document %d: %w", file, number, problem))
	}
	number := 1
	if utilyaml.IsJSONBuffer(text[:min(len(text), jsonLookahead)]) {
		objects, rest := checkJSON(text, complain)
		text = skipSpace(rest)
		switch rest := bytes.TrimSpace(text); {
		case len(rest) == 0:
			return errors.Join(problems...)
		case objects > 1 || objects == 1 && rest[0] != '-' && rest[0] != '#':
			complain(objects, fmt.Errorf("what follows it, %s, is no JSON; put a line --- before what is YAML", quoteStart(rest)))
			return errors.Join(problems...)
		}
		number += objects // and the rest is YAML, which may look like JSON
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		chunk, readErr := documents.Read()
		if errors.Is(readErr, io.EOF) {
			return errors.Join(problems...)
		}
		if readErr != nil {
			complain(number, readErr)
			return errors.Join(problems...)
		}
		counts, problem := checkYAML(chunk)
		if problem != nil {
			complain(number, problem)
		}
		if counts {
			number++
		}
	}
}

// jsonLookahead is how far kubectl's library looks for the brace that makes it
// take its input for JSON.
const jsonLookahead = 4096

// skipSpace skips what kubectl's library skips where it goes over to YAML: space, up
// to the first line feed.
func skipSpace(text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if !unicode.IsSpace(r) {
			return text
		}
		text = text[size:]
		if r == '\n' {
			return text
		}
	}
	return text
}

// checkJSON reads JSON objects one after the other. It returns how many there are
// and the text after the last of them, from what is no JSON.
func checkJSON(text []byte, complain func(int, error)) (number int, rest []byte) {
	values := json.NewDecoder(bytes.NewReader(text))
	for {
		rest = text[values.InputOffset():]
		var raw json.RawMessage
		if values.Decode(&raw) != nil {
			return number, rest
		}
		if string(raw) == "null" {
			continue
		}
		number++
		var value any
		twice, _ := kjson.UnmarshalStrict(raw, &value)
		if len(twice) > 0 {
			complain(number, errors.Join(twice...))
		}
	}
}

// checkYAML checks that a document has one value at most, and returns whether it
// has one.
func checkYAML(chunk []byte) (counts bool, err error) {
	values := yaml.NewDecoder(bytes.NewReader(chunk))
	values.SetStrict(true)
	var first, next any
	var wrongKeys *yaml.TypeError
	err = values.Decode(&first)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil && !errors.As(err, &wrongKeys) {
		return true, err
	}
	nextErr := values.Decode(&next)
	object, _ := next.(map[any]any)
	switch {
	case errors.Is(nextErr, io.EOF):
	case nextErr != nil && !errors.As(nextErr, &wrongKeys):
		// The line that the error names is that of the end, or the one before it.
		err = errors.Join(err, fmt.Errorf("something follows its end (%w); put a line --- between two documents", nextErr))
	default:
		err = errors.Join(err, fmt.Errorf("another document, of kind %q, follows it after what is no line --- for kubectl "+
			"(its lines end in a line feed); put one before it", fmt.Sprint(object["kind"])))
	}
	return first != nil || err != nil, err
}

// quoteStart quotes the first line of a text, or the start of a long one.
func quoteStart(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if len(line) > 40 {
		return fmt.Sprintf("%q...", line[:40])
	}
	return fmt.Sprintf("%q", line)
}

// lastDocument is the one that was read last. It is a validator for kubectl's
// library, which tells it of each document that is not empty.
type lastDocument struct {
	number int
	json   []byte
}

// ValidateBytes implements resource.ContentValidator.
func (d *lastDocument) ValidateBytes(data []byte) error {
	d.number, d.json = d.number+1, data
	return nil
}

var (
	anyList       = schema.GroupVersionKind{Version: "v1", Kind: "List"}
	promotionList = v1alpha1.GroupVersion.WithKind(v1alpha1.Kind + "List")
)

// checkObject returns the promotions that an object is, one or a list of them, and
// all that is wrong. The path is that of the object in its document.
func checkObject(path *field.Path, object *unstructured.Unstructured) (all []manifest, problems field.ErrorList) {
	kind := object.GroupVersionKind()
	if kind != anyList && kind != promotionList {
		m, problems := checkManifest(object)
		if path != nil {
			m.from = path.String()
			for _, problem := range problems {
				problem.Field = path.String() + "." + problem.Field
			}
		}
		return []manifest{m}, problems
	}
	path = path.Child("items")
	items, ok := object.Object["items"].([]any)
	if value := object.Object["items"]; !ok && value != nil {
		problems = append(problems, field.TypeInvalid(path, value, "want a list"))
	}
	for i, item := range items {
		content, ok := item.(map[string]any)
		if !ok {
			problems = append(problems, field.TypeInvalid(path.Index(i), item, "want an object"))
			continue
		}
		some, wrong := checkObject(path.Index(i), &unstructured.Unstructured{Object: content})
		all, problems = append(all, some...), append(problems, wrong...)
	}
	return all, problems
}

// schemas are those of the CRD, so that what the API server would refuse is
// refused before there is one.
var schemas = sync.OnceValues(func() (*structuralschema.Structural, validation.SchemaValidator) {
	var internal apiextensions.JSONSchemaProps
	props := v1alpha1.CRD().Spec.Versions[0].Schema.OpenAPIV3Schema
	err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil)
	utilruntime.Must(err)
	structural, err := structuralschema.NewStructural(&internal)
	utilruntime.Must(err)
	validator, _, err := validation.NewSchemaValidator(&internal)
	utilruntime.Must(err)
	return structural, validator
})

// checkManifest reads the fields that this program needs.
func checkManifest(object *unstructured.Unstructured) (m manifest, problems field.ErrorList) {
	m = manifest{name: object.GetName(), object: object}
	if got, want := object.GetAPIVersion(), v1alpha1.GroupVersion.String(); got != want {
		problems = append(problems, field.NotSupported(field.NewPath("apiVersion"), got, []string{want}))
	}
	if got := object.GetKind(); got != v1alpha1.Kind {
		problems = append(problems, field.NotSupported(field.NewPath("kind"), got, []string{v1alpha1.Kind}))
	}
	if len(problems) > 0 {
		return m, problems // another kind has other fields
	}
	structural, validator := schemas()
	structuraldefaulting.PruneNonNullableNullsWithoutDefaults(object.Object, structural) // as the server does
	problems = validation.ValidateCustomResource(nil, object.Object, validator)
	for _, problem := range problems {
		// Of a wrong type the schema names the type where the value belongs.
		if value, found := valueAt(object.Object, problem.Field); found {
			problem.BadValue = value
		}
	}
	problems = append(problems, checkMetadata(object.Object["metadata"])...)
	for _, wrong := range utilvalidation.IsDNS1123Subdomain(m.name) {
		problems = append(problems, field.Invalid(field.NewPath("metadata", "name"), m.name, wrong))
	}
	steps, _, _ := unstructured.NestedSlice(object.Object, "spec", "steps")
	for i, step := range steps {
		step, _ := step.(map[string]any)
		text, _, _ := unstructured.NestedString(step, "retry", "timeout") // an error is the schema's to tell
		timeout, problem := v1alpha1.ParseTimeout(i, text)
		if problem != nil {
			problems = append(problems, problem)
		}
		if m.timeout <= 0 { // the first step that may time out is the one that will
			m.timeout = timeout
		}
	}
	return m, problems
}

// checkMetadata checks the types of all metadata and what labels and annotations
// may be.
func checkMetadata(value any) (problems field.ErrorList) {
	path := field.NewPath("metadata")
	data, err := json.Marshal(value)
	if err != nil {
		return field.ErrorList{field.Invalid(path, value, err.Error())}
	}
	var metadata metav1.ObjectMeta
	if err := json.Unmarshal(data, &metadata); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			path = path.Child(wrong.Field)
			value, _ = valueAt(value, wrong.Field)
		}
		return field.ErrorList{field.Invalid(path, value, err.Error())}
	}
	problems = metav1validation.ValidateLabels(metadata.Labels, path.Child("labels"))
	return append(problems, apivalidation.ValidateAnnotations(metadata.Annotations, path.Child("annotations"))...)
}

// valueAt returns the value at a path such as spec.steps[0].retry.
func valueAt(object any, path string) (any, bool) {
	for _, key := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		switch in := object.(type) {
		case map[string]any:
			value, found := in[key]
			if !found {
				return nil, false
			}
			object = value
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(in) {
				return nil, false
			}
			object = in[i]
		default:
			return nil, false
		}
	}
	return object, true
}
